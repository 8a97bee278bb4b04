#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordctl_test: coordctl from outside: what it takes, what it sends, what it
prints. Prints TAP. Behind the socket is a server of our own, see ctlfake.py.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time

from ctlfake import (COORDCTL, KEY, LIMIT, NODE, TOP, USER, Fake, Skip, ask,
                     ctl, environment, fails, main, reply, told, works)


def commands():
    """All commands, as the help lists them: words and arguments."""
    found = []
    for line in works("--help").splitlines():
        if line.startswith("  ") and not line.lstrip().startswith("-"):
            found.append(" ".join(filter(str.islower, line[2:28].split())))
    return found


# ---- the command line ----

def usage():
    """What is typed wrongly is told in one line that helps; status 2."""
    for arguments, *says in [
            [(), "a command is missing", "--help"],
            [("nodes",), "nodes: a command is missing", "nodes --help"],
            [("node", "lst"), "nodes lst: no such command", "nodes list?"],
            [("nods", "list"), "nods: no such command", "is it nodes?"],
            [("statsu",), "statsu", "is it status?"],
            [("polic",), "is it policy?"],
            [("users", "remove", "x"), "users remove: no such command",
             "users --help"],
            [("frobnicate",), "frobnicate: no such command", "--help"],
            [("\x1b[31mx",), "\\x1b[31mx: no such command"],
            [("nodes", "list", "--usr", "x"), "--usr", "is it --user?"],
            [("nodes", "list", "--what"), "nodes list --what: no such flag",
             "nodes list --help"],
            [("nodes", "list", "-z"), "-z: no such flag"],
            [("nodes", "list", "--u", "alice"), "--u: no such flag"],
            [("--user", "alice", "nodes", "list"), "--user: no such flag"],
            [("nodes", "list", "--user"), "--user: USER is missing"],
            [("nodes", "list", "-u"), "-u: USER is missing"],
            [("nodes", "list", "extra"), "nodes list: extra is too much"],
            [("nodes", "show"), "nodes show: NODE is missing",
             "usage: coordctl nodes show NODE"],
            [("nodes", "show", ""), "nodes show: NODE is empty"],
            [("nodes", "expire"), "NODE is missing", "[--expiry TIME]"],
            [("nodes", "move", "arm"), "nodes move: --user USER is missing"],
            [("nodes", "tag", "arm"), "nodes tag: --tags TAG,... is missing"],
            [("preauthkeys", "create"), "--user USER is missing"],
            [("preauthkeys", "create", "-u", "a", "--reusable=maybe"),
             "--reusable=maybe: want true or false"],
            [("preauthkeys", "expire", "x"), "x is no ID", "preauthkeys list"],
            [("restore", "file"), "restore: --state DIR is missing"],
            [("completion", "tcsh"), "tcsh: want bash, zsh or fish"],
            [("status", "-o", "yaml"), "--output yaml: want json or json-line"],
            [("status", "--timeout", "soon"), "--timeout soon: want a time"],
            [("audit", "--limit", "-1"), "--limit -1: want a number"],
            [("nodes", "routes", "--approve", "10.0.0.0/8"), "wants a NODE"],
            [("users", "create", b"\xff"), "not UTF-8"],
            [("status", "--socket", "/" + "x" * 108), "at most 107 bytes"]]:
        fails(2, *arguments, says=says)


def bad_times():
    for bad in ("", "d", "1", "1x", "1d1w", "1d1d", "-1d", "1.5h", " 1d",
                "1d ", "99999y", "201y", "99999999999999999999s", "never"):
        fails(2, "preauthkeys", "create", "-u", "a", "--expiration", bad,
              says=[f"--expiration {bad}: want a time as 90d"])
    for bad in ("0", "tomorrow", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                "2026-01-01", "2026-01-01 00:00:00Z", "2026-01-01T24:00:00Z",
                "2026-01-01T00:00:00", "2026-01-01T00:00:00+1:00",
                "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00.Z",
                "2026-01-01T00:00:00Zx", "+026-01-01T00:00:00Z"):
        fails(2, "nodes", "expire", "arm", "--expiry", bad,
              says=[f"--expiry {bad}: want a time as"])


def help_texts():
    """Help is printed on standard output; each command has its own."""
    text = works("--help")
    assert text == works("help") == works("-h")
    assert "\n  nodes show NODE " in text and "\n      --json " in text, text
    assert max(map(len, text.splitlines())) <= 100, text
    assert works("help", "nodes") == works("nodes", "--help")
    assert "policy" not in works("node", "--help")
    for command in commands():
        text = works(*command.split(), "--help")
        assert text.startswith(f"usage: coordctl {command}"), text
        assert "--socket PATH" in text, text
    assert len(commands()) == 31, commands()
    assert re.fullmatch(r"coordctl \S+\n", works("--version"))
    assert works("nodes", "--version") == works("--version")


def manual_page():
    """Each command and flag has its line in coordctl.8, and each line is of
    one."""
    page = (TOP / "coordctl/coordctl.8").read_text()
    in_page = {re.sub(r" (Ar|Op|Oo|Fl) .*", "", words)
               for words in re.findall(r"^\.It Ic (.+)$", page, re.M)}
    assert in_page == set(commands()), in_page ^ set(commands())
    flags = set()
    for command in commands():
        flags |= set(re.findall(r" --([a-z-]+)", re.sub(
            r"(?m)^(  .{25}).*$", r"\1", works(*command.split(), "--help"))))
    told_of = set(re.findall(r"Fl \\-([a-z-]+)", page))
    assert flags <= told_of, flags - told_of


def flags_anywhere():
    """Global flags stand before, between and behind the words."""
    with Fake(reply(200, {"nodes": []})) as fake:
        for arguments in [("--json", "--socket", fake.path, "nodes", "list"),
                          ("nodes", "--socket=" + fake.path, "list", "--json"),
                          ("nodes", "list", "-o", "json", "-socket", fake.path),
                          ("node", "ls", "-o=json", "--socket", fake.path),
                          ("nodes", "list", "--output=json", "--json=false",
                           "--socket", "/wrong", "--socket", fake.path)]:
            assert json.loads(works(*arguments)) == [], arguments
        assert json.loads(works("nodes", "list", "--json",
                                env=environment(COORDD_SOCKET=fake.path))) == []
    with Fake(reply(200, NODE)) as fake:
        works("nodes", "show", socket=fake.path, *["--", "--json"])
        assert fake.requests == [("GET", "/nodes/--json", None)]


# ---- what is sent ----

def requests():
    """Each command, in coordctl's spelling and in Headscale's, sends what
    docs/api.md says."""
    node, users = reply(200, NODE), reply(200, USER)
    for answer, request, *lines in [
            (reply(201, USER), ("POST", "/users", {"name": "alice"}),
             "users create alice", "user new alice"),
            (reply(201, USER), ("POST", "/users",
                                {"name": "alice", "display_name": "Al"}),
             "users create alice --display-name Al", "users create -d Al alice"),
            (users, ("POST", "/users/alice/rename", {"name": "bob"}),
             "users rename alice bob", "users rename --identifier alice -r bob",
             "users mv bob --name alice", "users rename -i=alice --new-name bob"),
            (reply(204), ("DELETE", "/users/a@b.example", None),
             "users delete a@b.example", "users destroy --name a@b.example"),
            (reply(201, {**KEY, "key": "k"}),
             ("POST", "/preauthkeys", {"user": "1", "reusable": False,
                                       "ephemeral": False, "tags": []}),
             "preauthkeys create --user 1", "preauthkey create -u 1",
             "authkey new -u 1 --reusable=false"),
            (reply(201, {**KEY, "key": "k"}),
             ("POST", "/preauthkeys", {
                 "user": "a", "reusable": True, "ephemeral": True,
                 "expiration": 5400, "tags": ["tag:a", "tag:b", "tag:c"]}),
             "preauthkeys create -u a --reusable --ephemeral --expiration "
             "1h30m --tags tag:a,tag:b --tags tag:c",
             "preauthkeys create -u a -e 90m --reusable --ephemeral=true "
             "-t tag:a -t ,tag:b,,tag:c,"),
            (reply(201, {**KEY, "key": "k"}),
             ("POST", "/preauthkeys", {"user": "a", "reusable": False,
                                       "ephemeral": False, "expiration": 0,
                                       "tags": []}),
             "preauthkeys create -u a -e 0", "pre create -u a -e 0s"),
            (reply(200, {"preauthkeys": []}), ("GET", "/preauthkeys", None),
             "preauthkeys list", "preauthkeys ls"),
            (reply(200, {"preauthkeys": []}),
             ("GET", "/preauthkeys?user=a%26b", None),
             "preauthkeys list --user a&b"),
            (reply(200, KEY), ("POST", "/preauthkeys/7/expire", None),
             "preauthkeys expire 7", "preauthkeys revoke --id 7"),
            (reply(204), ("DELETE", "/preauthkeys/7", None),
             "preauthkeys delete 7", "preauthkeys rm -i 7"),
            (reply(200, {"nodes": []}), ("GET", "/nodes", None), "nodes list"),
            (reply(200, {"nodes": []}), ("GET", "/nodes?user=a", None),
             "nodes list -u a"),
            (reply(200, {"nodes": []}), ("GET", "/nodes?tag=tag:x", None),
             "nodes list --tag tag:x"),
            (reply(200, {"nodes": []}), ("GET", "/nodes?user=a&tag=tag:x", None),
             "nodes list --user=a --tag=tag:x"),
            (node, ("GET", "/nodes/fd7a:115c:a1e0::1", None),
             "nodes show fd7a:115c:a1e0::1"),
            (node, ("GET", "/nodes/a%2F..%3F%25%C3%A4", None),
             "nodes show a/..?%ä"),
            (reply(200, {"logins": []}), ("GET", "/logins", None),
             "nodes logins"),
            (node, ("POST", "/nodes/register", {"id": "abc", "user": "a"}),
             "nodes register --user a --key abc", "nodes register abc -u a",
             "auth register --auth-id abc --user a",
             "nodes register -u a http://host:8080/register/abc"),
            (node, ("POST", "/nodes/register",
                    {"id": "abc", "user": "a", "tags": ["tag:x"]}),
             "nodes register abc -u a --tags tag:x"),
            (reply(204), ("POST", "/logins/abc/deny", None),
             "nodes deny abc", "auth reject --auth-id abc"),
            (node, ("POST", "/nodes/arm/approve", {"approved": True}),
             "nodes approve arm"),
            (node, ("POST", "/nodes/arm/approve", {"approved": False}),
             "nodes approve arm --revoke"),
            (node, ("POST", "/nodes/3/expire", {}),
             "nodes expire 3", "nodes logout -i 3"),
            (node, ("POST", "/nodes/3/expire", {"expiry": None}),
             "nodes expire 3 --expiry never", "nodes expire -i 3 --disable",
             "nodes expire -d -i 3"),
            (node, ("POST", "/nodes/3/expire",
                    {"expiry": "2027-01-31T12:00:00Z"}),
             "nodes expire 3 --expiry 2027-01-31T12:00:00Z",
             "nodes expire 3 -e 2027-01-31T14:30:00.25+02:30",
             "nodes expire 3 -e 2027-01-31T06:45:00-05:15"),
            (node, ("POST", "/nodes/3/rename", {"name": "leg"}),
             "nodes rename 3 leg", "nodes rename -i 3 leg",
             "nodes rename leg --identifier 3"),
            (node, ("POST", "/nodes/3/rename", {"name": ""}),
             "nodes rename 3"),
            (node, ("POST", "/nodes/arm/move", {"user": "bob"}),
             "nodes move arm --user bob"),
            (node, ("POST", "/nodes/arm/tags", {"tags": ["tag:a", "tag:b"]}),
             "nodes tag arm --tags tag:a,tag:b", "nodes tags -i arm -t tag:a -t "
             "tag:b"),
            (node, ("POST", "/nodes/arm/tags", {"tags": []}),
             "nodes tag arm --tags="),
            (node, ("POST", "/nodes/arm/routes",
                    {"approved": ["0.0.0.0/0", "::/0"]}),
             "nodes routes arm --approve 0.0.0.0/0,::/0",
             "nodes approve-routes -i arm --routes 0.0.0.0/0,::/0"),
            (node, ("POST", "/nodes/arm/routes", {"approved": []}),
             "nodes routes arm --approve=", "nodes approve-routes -i arm -r="),
            (reply(200, {"nodes": []}), ("GET", "/nodes", None),
             "nodes routes", "nodes list-routes"),
            (node, ("GET", "/nodes/3", None),
             "nodes routes 3", "nodes list-routes -i 3"),
            (reply(200, {"policy": "{}"}), ("GET", "/policy", None),
             "policy show", "policy get"),
            (reply(200, {"source": "file:/p"}), ("POST", "/policy/reload", None),
             "policy reload"),
            (reply(200, {"allowed": True}),
             ("POST", "/policy/explain", {"src": "a", "dst": "b", "port": 22}),
             "policy explain a b:22", "policy explain a [b]:22"),
            (reply(200, {"allowed": True}),
             ("POST", "/policy/explain", {"src": "a", "dst": "fd7a::1",
                                          "port": 53, "proto": "udp"}),
             "policy explain a [fd7a::1]:53 --proto udp"),
            (reply(200, {"audit": []}), ("GET", "/audit", None), "audit"),
            (reply(200, {"audit": []}), ("GET", "/audit?limit=5", None),
             "audit --limit 5"),
            (reply(200, {}), ("GET", "/status", None), "status"),
            (reply(200, {"ok": True}), ("POST", "/verify", None), "verify")]:
        for line in lines:
            _, asked = ask(answer, *line.split())
            assert asked == [request], (line, asked)
    with Fake(reply(200, {"nodes": []})) as fake:
        works("nodes", "list", socket=fake.path)
        assert "\r\nConnection: close" in fake.heads[0], fake.heads


def expire_from_now():
    before = time.time()
    _, asked = ask(reply(200, NODE), "nodes", "expire", "3", "-e", "90d")
    then = asked[0][2]["expiry"]
    then = time.mktime(time.strptime(then, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert before + 90 * 86400 - 1 <= then <= time.time() + 90 * 86400 + 1, then


def bad_targets():
    for bad in ("b", "b:", ":22", "b:x", "b:65536", "b:123456", "fd7a::1:22",
                "b:0", "[]:22", "[fd7a::1:22", "b:-1", "[b]22"):
        fails(2, "policy", "explain", "a", bad, says=[f"{bad}: want NAME:PORT"])


# ---- what is printed ----

def table_of_nodes():
    other = {**NODE, "id": 12, "hostname": "Größe", "name": "groesse",
             "user": "b", "tags": [], "online": False, "last_seen": None,
             "expiry": "2027-01-01T00:00:00Z", "expired": True,
             "approved": False, "ephemeral": True}
    wide = {**NODE, "id": 7, "hostname": "機械e\u0301"}
    out, _ = ask(reply(200, {"nodes": [NODE, other, wide]}), "nodes", "list")
    want = """\
ID  Hostname  Name     User   IP addresses                   Ephemeral  Last seen            Expiration           Connected  Expired  Approved  Tags
3   Arm 1     arm-1    alice  100.64.0.1, fd7a:115c:a1e0::1  false      2026-11-22 21:50:06  never                online     no       yes       tag:arm, tag:lab
12  Größe     groesse  b      100.64.0.1, fd7a:115c:a1e0::1  true       -                    2027-01-01 00:00:00  offline    yes      no        -
7   機械e\u0301     arm-1    alice  100.64.0.1, fd7a:115c:a1e0::1  false      2026-11-22 21:50:06  never                online     no       yes       tag:arm, tag:lab
"""
    assert out == want, out


def long_names():
    """What strangers choose is cut where it would push all else away; `show`
    has it whole."""
    for name, cut in (("x" * 255, "x" * 29 + "..."), ("x" * 32, "x" * 32),
                      ("x" * 33, "x" * 29 + "..."),
                      ("機" * 255, "機" * 14 + "..."),
                      ("\x1b" * 255, "\\x1b" * 7 + "\\..."),
                      ("e\u0301" * 100, "e\u0301" * 29 + "...")):
        for answer, *line in (
                ({"nodes": [{**NODE, "hostname": name}]}, "nodes", "list"),
                ({"users": [{**USER, "display_name": name}]}, "users", "list"),
                ({"logins": [{"id": "a", "hostname": name}]}, "nodes",
                 "logins")):
            out, _ = ask(reply(200, answer), *line)
            assert f"  {cut}  " in out, (name, out)
        out, _ = ask(reply(200, {**NODE, "hostname": name}), "nodes", "show",
                     "3")
        assert name.replace("\x1b", "\\x1b") in out, out


def tables():
    """The other tables and lines."""
    out, _ = ask(reply(200, {"users": [USER, {**USER, "id": 2, "name": "b",
                                              "display_name": ""}]}),
                 "users", "list")
    assert out == ("ID  Name   Username  Nodes  Created\n"
                   "1   Alice  alice     2      2026-11-01 00:00:00\n"
                   "2   -      b         2      2026-11-01 00:00:00\n"), out
    out, _ = ask(reply(200, {"users": [USER, {**USER, "id": 2, "name": "b"}]}),
                 "users", "list", "--name", "b", "--json")
    assert [u["id"] for u in json.loads(out)] == [2]
    out, _ = ask(reply(200, {"preauthkeys": [KEY]}), "preauthkeys", "list")
    assert out == (
        "ID  Key/Prefix  Reusable  Ephemeral  Used   Expiration           "
        "Created              Owner  Usable  Tags\n"
        "7   ck-abc      true      false      false  2027-01-01 00:00:00  "
        "2026-11-01 00:00:00  alice  yes     -\n"), out
    for arguments in (["nodes", "routes", "3"],
                      ["nodes", "routes", "3", "--approve", "x"]):
        out, _ = ask(reply(200, NODE), *arguments)
        assert out == ("ID  Name   Route        Available  Approved  Serving\n"
                       "3   arm-1  10.0.0.0/8   yes        yes       yes\n"
                       "3   arm-1  10.1.0.0/16  yes        no        no\n"
                       "3   arm-1  10.9.0.0/16  no         yes       no\n"), out
    out, _ = ask(reply(200, NODE), "nodes", "show", "3")
    assert "\nIP addresses     100.64.0.1, fd7a:115c:a1e0::1\n" in out, out
    assert "\nRoutes approved  10.0.0.0/8, 10.9.0.0/16\n" in out, out
    assert "\nExpiration       never\n" in out, out
    out, _ = ask(reply(200, {"logins": [{
        "id": "abc", "hostname": "h", "machine_key": "mkey:aa",
        "node_key": "nodekey:bb", "created": "2026-11-01T00:00:00Z",
        "expires": "2026-11-01T00:10:00Z"}]}), "nodes", "logins")
    assert out.splitlines()[1].split() == [
        "abc", "h", "2026-11-01", "00:00:00", "2026-11-01", "00:10:00",
        "mkey:aa"], out
    out, _ = ask(reply(200, {
        "version": "v", "server_url": "http://h", "public_key": "mkey:aa",
        "domain": "d", "started": "2026-11-01T00:00:00Z", "users": 1,
        "nodes": 5, "online": 4, "streams": 4, "pending_logins": 0,
        "policy": {"source": "default", "loaded": "2026-11-01T00:00:00Z"},
        "database": {"path": "/s/coordd.db", "bytes": 1234567}}), "status")
    assert "\nNodes           5, 4 connected\n" in out, out
    assert "\nPolicy          default, loaded 2026-11-01 00:00:00\n" in out, out
    assert "\nDatabase        /s/coordd.db, 1.2 MB\n" in out, out
    out, _ = ask(reply(200, {"audit": [{
        "time": "2026-11-01T00:00:00Z", "who": "uid 0", "what": "user.create",
        "detail": "alice"}]}), "audit")
    assert out == ("Time                 Who    What         Detail\n"
                   "2026-11-01 00:00:00  uid 0  user.create  alice\n"), out


def said():
    """What was changed is named."""
    node = reply(200, NODE)
    for answer, line, want in [
            (reply(201, USER), "users create alice",
             "User alice (ID 1) created."),
            (reply(200, {**USER, "name": "bob"}), "users rename alice bob",
             "User bob (ID 1) renamed, was alice."),
            (reply(204), "users delete alice", "User alice deleted."),
            (reply(200, KEY), "preauthkeys expire 7",
             "Key ck-abc (ID 7) expired."),
            (reply(204), "preauthkeys delete 7", "Key 7 deleted."),
            (node, "nodes register x -u a", "Node arm-1 (ID 3) registered."),
            (reply(204), "nodes deny x", "Login x denied."),
            (node, "nodes approve 3", "Node arm-1 (ID 3) approved."),
            (node, "nodes expire 3 -d", "Node arm-1 (ID 3) never expires."),
            (reply(200, {**NODE, "expired": True,
                         "expiry": "2026-11-01T00:00:00Z"}), "nodes expire 3",
             "Node arm-1 (ID 3) expired, 2026-11-01 00:00:00."),
            (reply(200, {**NODE, "expiry": "2027-11-01T00:00:00Z"}),
             "nodes expire 3 -e 2027-11-01T00:00:00Z",
             "Node arm-1 (ID 3) expires 2027-11-01 00:00:00."),
            (node, "nodes rename 3", "Node arm-1 (ID 3) renamed."),
            (node, "nodes move 3 -u bob", "Node arm-1 (ID 3) moved to user "
             "bob."),
            (node, "nodes tag 3 -t tag:x", "Node arm-1 (ID 3) has the tags "
             "tag:arm, tag:lab."),
            ([node, reply(204)], "nodes delete arm-1",
             "Node arm-1 (ID 3) deleted."),
            (reply(200, {"source": "file:/p"}), "policy reload",
             "Policy read again: file:/p."),
            (reply(200, {"ok": True}), "verify", "The database in use is "
             "sound."),
            (reply(200, {"allowed": True, "line": 4, "text": '"*:*"',
                         "src": "a (100.64.0.1)", "dst": "b (100.64.0.2)"}),
             "policy explain a b:22 --proto tcp",
             "a (100.64.0.1) may reach b (100.64.0.2) port 22/tcp.\n"
             'line 4: "*:*"'),
            (reply(200, {"allowed": True, "line": 0, "text": "",
                         "src": "a", "dst": "b"}), "policy explain a b:22",
             "a may reach b port 22.\nThere is no policy: all may reach all."),
            (reply(200, {"allowed": True, "line": 4, "text": "x",
                         "src": "a", "dst": "b"}),
             "policy explain a b --proto icmp",
             "a may reach b by icmp.\nline 4: x"),
            (reply(200, {"allowed": False, "line": 0, "text": "",
                         "src": "a", "dst": "b"}), "policy explain a b:9",
             "a may not reach b port 9.\nNo line of the policy lets it.")]:
        out, _ = ask(answer, *line.split())
        assert out == want + "\n", (line, out)


def delete_by_id():
    """A node is deleted by the id that its name had when it was named."""
    _, asked = ask([reply(200, NODE), reply(204)], "nodes", "delete", "arm-1")
    assert asked == [("GET", "/nodes/arm-1", None),
                     ("DELETE", "/nodes/3", None)], asked
    with Fake(reply(404, {"error": "no such node: x"})) as fake:
        fails(1, "nodes", "delete", "x", socket=fake.path,
              says=["no such node: x"])
        assert len(fake.requests) == 1


def json_forms():
    """--json gives what came, of lists the list; json-line in one line."""
    for line, answer, want in [
            ("nodes list", reply(200, {"nodes": [NODE]}), [NODE]),
            ("nodes routes", reply(200, {"nodes": [NODE]}), [NODE]),
            ("nodes show 3", reply(200, NODE), NODE),
            ("nodes delete 3", [reply(200, NODE), reply(204)], NODE),
            ("preauthkeys create -u a", reply(201, {**KEY, "key": "k"}),
             {**KEY, "key": "k"}),
            ("users delete a", reply(204), {"deleted": "a"}),
            ("policy show", reply(200, {"policy": "// ä\n{}\n"}),
             {"policy": "// ä\n{}\n"})]:
        for form in ("--json", "--output=json", "-o json-line"):
            out, _ = ask(answer, *line.split(), *form.split())
            assert json.loads(out) == want, out
            assert out.isascii() and out.endswith("\n")
            assert ("line" in form) == (out.count("\n") == 1), out


def key_alone():
    """Nothing but the key is printed; a strange one is not."""
    out, _ = ask(reply(201, {**KEY, "key": "ck-abc-123_x"}), "preauthkeys",
                 "create", "-u", "a")
    assert out == "ck-abc-123_x\n", out
    for key in ("", "a b", "a\nb", "a\x1b[2J", "ä", None, 5):
        with Fake(reply(201, {**KEY, "key": key})) as fake:
            fails(1, "preauthkeys", "create", "-u", "a", socket=fake.path,
                  says=["not understood"])


def escapes():
    """No answer moves the terminal, wherever it is shown."""
    bad = "\x1b]0;x\x07\x7f\x85\u202ex\u200b\ufeff\r\nz\t"
    safe = "\\x1b]0;x\\x07\\x7f\\u0085\\u202ex\\u200b\\ufeff\\x0d\\x0az\\x09"
    node = {k: bad if isinstance(v, str) else [bad] if isinstance(v, list)
            else v for k, v in NODE.items()}
    node["routes"] = {"advertised": [bad]}
    for line, answer in [
            ("nodes list", {"nodes": [node]}), ("nodes show x", node),
            ("nodes routes x", node), ("nodes rename x y", node),
            ("nodes expire x", node), ("nodes tag x -t y", node),
            ("audit", {"audit": [{"time": bad, "who": bad}]}),
            ("status", {"policy": {"source": bad, "loaded": bad}}),
            ("policy reload", {"source": bad}),
            ("policy explain a b:1", {"line": 1, "text": bad, "src": bad}),
            ("users create x", {"name": bad, "id": 1})]:
        out, _ = ask(reply(200, answer), *line.split())
        assert safe in out, (line, out)
        assert not re.search(r"[^\n\x20-\x7e]", out), (line, out)
        if "list" in line or "routes" in line:
            assert out.count("\n") == 2, out
    with Fake(reply(400, {"error": bad})) as fake:
        fails(1, "status", socket=fake.path, says=[safe])


def in_terminal(*arguments, socket, **env):
    """What coordctl prints on a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(
        [COORDCTL, "--socket", socket, *arguments], stdin=slave, stdout=slave,
        stderr=slave, env=environment(**{"TERM": "xterm", **env}))
    os.close(slave)
    out = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while more := os.read(master, 65536):
            out += more
    os.close(master)
    assert child.wait(LIMIT) == 0, out
    return out.decode()


def terminal():
    """Colours on a terminal alone, and not if they are not wanted; a policy
    is shown there without what would move it."""
    with Fake(reply(200, {"nodes": [NODE]})) as fake:
        assert "\x1b[32monline\x1b[0m  " in in_terminal(
            "nodes", "list", socket=fake.path)
        assert "\x1b" not in in_terminal("nodes", "list", socket=fake.path,
                                         NO_COLOR="1")
        assert "\x1b" not in in_terminal("nodes", "list", socket=fake.path,
                                         TERM="dumb")
        assert "\x1b" not in works("nodes", "list", socket=fake.path,
                                   env=environment(TERM="xterm"))
    with Fake(reply(200, {"policy": "{\n\t// \x1b[2J\n}"})) as fake:
        assert in_terminal("policy", "show", socket=fake.path).replace(
            "\r\n", "\n") == "{\n\t// \\x1b[2J\n}\n"
        assert works("policy", "show", socket=fake.path) == \
            "{\n\t// \x1b[2J\n}"


# ---- policy ----

def policy_files():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "policy.hujson"
        text = "// Größe\n{\"acls\": [],}\n"
        file.write_text(text)
        good = reply(200, {"policy": text, "source": "database", "loaded": None})
        for arguments, stdin in ((["set", file], b""),
                                 (["put", "--file", file], b""),
                                 (["set", "-"], text.encode())):
            out, asked = ask(good, "policy", *arguments, stdin=stdin)
            assert asked == [("PUT", "/policy", {"policy": text})], asked
            assert out == "Policy put in force: database.\n", out
        out, asked = ask(reply(200, {"ok": True}), "policy", "check", file)
        assert asked == [("POST", "/policy/check", {"policy": text})], asked
        assert out == f"{file} is good.\n"
        out, asked = ask([good, reply(200, {"ok": True})], "policy", "check")
        assert asked == [("GET", "/policy", None),
                         ("POST", "/policy/check", {"policy": text})], asked
        assert out == "the policy in force is good.\n", out
        with Fake(reply(400, {"error": "line 2, column 3: what"})) as fake:
            for command, stdin, name in (
                    (["set", file], b"", file), (["check", file], b"", file),
                    (["check", "-"], b"{}", "standard input")):
                error = fails(1, "policy", *command, socket=fake.path,
                              stdin=stdin)
                assert error == f"coordctl: {name}: line 2, column 3: what\n"
        with Fake(reply(409, {"error": "it comes from file:/p"})) as fake:
            assert fails(1, "policy", "set", file, socket=fake.path) == \
                "coordctl: it comes from file:/p\n"
        # One with a zero is coordd's to judge.
        file.write_text("a\0b")
        _, asked = ask(good, "policy", "set", file)
        assert asked[0][2] == {"policy": "a\0b"}
        # One without rules opens everything; nobody means that by nothing.
        for command in ("set", "check"):
            fails(1, "policy", command, "-", says=["standard input: it is "
                                                   "empty", "write {}"])
        file.write_bytes(b"{\xff}")
        fails(1, "policy", "set", file, says=[str(file), "not UTF-8"])
        file.write_bytes(b" " * ((1 << 20) + 1))
        fails(1, "policy", "set", file, says=[str(file), "over 1 MiB"])
        fails(1, "policy", "check", folder, says=[folder, "Is a directory"])
        fails(1, "policy", "check", file.with_name("x"), says=["No such file"])


def runs_coordd():
    """restore and verify of a file are coordd's work: its words, its
    status."""
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder) / "fake"
        script.write_text('#!/bin/sh\nfor a; do echo "<$a>"; done\n'
                          'echo "coordd: no" >&2\nexit 42\n')
        script.chmod(0o755)
        for arguments, want in (
                (["restore", "--state", "/s", "--coordd", script, "--", "-x"],
                 "<-restore>\n<-x>\n<-state>\n</s>\n"),
                (["verify", "a.db", "--coordd", script],
                 "<-verify>\n<a.db>\n")):
            assert ctl(*arguments) == (42, want, "coordd: no\n"), arguments
            assert ctl("--json", *arguments) == (42, "", "coordd: no\n")
        works_too = pathlib.Path(folder) / "works"
        works_too.write_text("#!/bin/sh\necho done\n")
        works_too.chmod(0o755)
        assert json.loads(works("verify", "a.db", "--json", "--coordd",
                                works_too)) == {"ok": True}
        works_too.write_text("#!/bin/sh\nkill -9 $$\n")
        fails(1, "verify", "a.db", "--json", "--coordd", works_too,
              says=["coordd: ended by signal 9"])
        # Beside coordctl, under both names.
        beside = pathlib.Path(folder) / "bin"
        beside.mkdir()
        program = shutil.copy(COORDCTL, beside)
        fails(1, "verify", "a.db", program=program,
              says=["no coordd beside coordctl", "--coordd"])
        for name in ("campusnet-coordd", "coordd"):
            shutil.copy(script, beside / name)
            assert ctl("verify", "a.db", program=program)[0] == 42
            os.unlink(beside / name)
        fails(1, "verify", "a.db", "--coordd", "/nonexistent",
              says=["/nonexistent: No such file"])


# ---- completion ----

def answer_lists(method, path):
    lists = {"/nodes": {"nodes": [NODE, {**NODE, "name": "bad name\x1b"},
                                  {**NODE, "name": "leg-1"}]},
             "/users": {"users": [USER]}, "/preauthkeys": {"preauthkeys": [KEY]},
             "/logins": {"logins": [{"id": "abc", "hostname": "h\x1b"}]}}
    return reply(200, lists[path])


def completions():
    """What a last word may become."""
    def complete(*words):
        out = ctl("__complete", *words, env=environment(
            COORDD_SOCKET=fake.path))[1]
        return [line.partition("\t")[0] for line in out.splitlines()]

    with Fake(answer_lists) as fake:
        assert complete("") == [
            "users", "preauthkeys", "nodes", "policy", "status", "audit",
            "backup", "restore", "verify", "completion"], complete("")
        assert complete("po") == ["policy"]
        assert complete("nodes", "re") == ["register", "rename"]
        assert complete("--json", "node", "del") == ["delete"]
        assert complete("nodes", "show", "") == ["arm-1", "leg-1"]
        assert complete("nodes", "show", "l") == ["leg-1"]
        assert complete("nodes", "show", "arm-1", "") == []
        assert complete("nodes", "move", "arm-1", "--user", "") == ["alice"]
        assert complete("nodes", "move", "-u", "=", "a") == ["alice"]
        assert complete("nodes", "move", "arm-1", "--us") == ["--user"]
        assert "--expiration" in complete("preauthkeys", "create", "--")
        assert "--expiration" not in complete("nodes", "list", "--")
        assert complete("preauthkeys", "expire", "") == ["7"]
        assert complete("nodes", "register", "") == ["abc"]
        assert complete("policy", "set", "") == [":file"]
        assert complete("restore", "x", "--state", "") == [":dir"]
        assert complete("completion", "") == ["bash", "zsh", "fish"]
        assert complete("status", "--output", "json-") == ["json-line"]
        assert complete("help", "nodes", "rou") == ["routes"]
        assert complete("nonsense", "") == []
        assert complete("nodes", "list", "--nonsense", "") == []
        assert complete() == complete("")
        out = works("__complete", "nodes", "register", "--socket", fake.path, "")
        assert out == "abc\th\\x1b\n", out
    assert "\x1b" not in works("completion", "zsh")


def completion_bash():
    """The code for bash, in bash."""
    script = """
eval "$("$1" completion bash)"
COMP_WORDS=("$1" "${@:2}")
COMP_CWORD=$(($# - 1))
_coordctl
printf '%s\\n' "${COMPREPLY[@]}"
"""
    def complete(*words, **options):
        out = subprocess.run(
            ["bash", "-c", script, "bash", COORDCTL, *words], text=True,
            capture_output=True, timeout=LIMIT,
            env=environment(COORDD_SOCKET=fake.path), **options)
        return out.stdout.split()

    with Fake(answer_lists) as fake, tempfile.TemporaryDirectory() as folder:
        assert complete("nodes", "re") == ["register", "rename"]
        assert complete("nodes", "show", "") == ["arm-1", "leg-1"]
        assert complete("nodes", "list", "--user", "=", "al") == ["alice"]
        assert complete("nodes", "list", "--user", "=") == ["alice"]
        (pathlib.Path(folder) / "p.hujson").touch()
        (pathlib.Path(folder) / "d").mkdir()
        assert complete("policy", "set", "p", cwd=folder) == ["p.hujson"]
        assert complete("restore", "--state", "", cwd=folder) == ["d"]
        assert complete("nonsense", "") == []


def run_shell(shell, script, *words, socket, folder):
    if shutil.which(shell) is None:
        raise Skip(f"there is no {shell}; deploy/bootstrap test installs it")
    options = ["-f"] if shell == "zsh" else ["--no-config"]
    env = environment(COORDD_SOCKET=socket, HOME=folder)
    done = subprocess.run(
        [shell, *options, "-c", script, *words], text=True,
        capture_output=True, timeout=LIMIT, env=env, cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def completion_zsh():
    """The code for zsh, in zsh. What its own functions would show is printed
    in their place."""
    script = """
compdef() { [[ "$*" = "_coordctl coordctl campusnet-coordctl" ]] }
_describe() { print -l -- "${(@P)2}" }
_files() { print -- files "$@" }
eval "$($1 completion zsh)"
words=("$@")
CURRENT=$#words
_coordctl
"""
    def complete(*words):
        return run_shell("zsh", script, "zsh", COORDCTL, *words,
                         socket=fake.path, folder=folder)

    with Fake(answer_lists) as fake, tempfile.TemporaryDirectory() as folder:
        assert complete("nodes", "re") == [
            "register:Let a node in that waits with this ID",
            "rename:Give a node another name, or again its hostname"]
        assert complete("nodes", "show", "l") == [
            "leg-1:100.64.0.1, fd7a:115c:a1e0::1"]
        assert complete("nodes", "list", "--user", "") == ["alice:Alice"]
        assert complete("policy", "set", "")[0] == "files"
        assert complete("restore", "x", "--state", "")[0] == "files -/"
        assert complete("nonsense", "") == [""]


def completion_fish():
    """The code for fish, in fish."""
    def complete(line):
        script = f"""
function coordctl; {COORDCTL} $argv; end
coordctl completion fish | source
complete -C '{line}'
"""
        return [word.partition("\t")[0] for word in run_shell(
            "fish", script, socket=fake.path, folder=folder)]

    with Fake(answer_lists) as fake, tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "p.hujson").touch()
        (pathlib.Path(folder) / "d").mkdir()
        assert complete("coordctl nodes re") == ["register", "rename"]
        assert complete("coordctl nodes show ") == ["arm-1", "leg-1"]
        assert complete("coordctl nodes list --user al") == ["alice"]
        assert complete("coordctl policy set p") == ["p.hujson"]
        assert complete("coordctl restore --state ") == ["d/"]
        assert complete("coordctl nonsense ") == []


TESTS = [usage, bad_times, help_texts, manual_page, flags_anywhere, requests,
         expire_from_now, bad_targets, table_of_nodes, long_names, tables, said,
         delete_by_id, json_forms, key_alone, escapes, terminal, policy_files,
         runs_coordd, completions, completion_bash, completion_zsh,
         completion_fish]


if __name__ == "__main__":
    sys.exit(main(TESTS))
