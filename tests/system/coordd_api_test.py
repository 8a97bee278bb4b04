#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordd_api_test: what coordd's API says to good and to bad calls. Prints
TAP.

The program is $COORDD (default build/release/coordd). Most nodes are put into
its database before it starts.
"""

import json
import os
import pathlib
import re
import signal
import sys
import threading
import time

from coordapi import MIB, TIME, Api, holding, seeded
from coordc import LIMIT, Client
from ctlfake import main


# ---- users, keys ----

def status():
    with seeded() as d:
        v = d.api("GET", "/status")
        assert list(v) == [
            "version", "server_url", "public_key", "domain", "started",
            "users", "nodes", "online", "streams", "pending_logins", "policy",
            "database"], v
        assert (v["users"], v["nodes"], v["online"], v["streams"],
                v["pending_logins"]) == (2, 2, 0, 0, 0), v
        assert re.fullmatch("mkey:[0-9a-f]{64}", v["public_key"])
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", v["server_url"])
        assert v["domain"] == "campus.test"
        assert TIME.fullmatch(v["started"])
        assert v["policy"]["source"] == "default"
        assert TIME.fullmatch(v["policy"]["loaded"])
        assert v["database"]["path"] == os.path.join(d.state, "coordd.db")
        assert v["database"]["bytes"] > 4096, v["database"]
        assert d.raw("GET", "/healthz").body == b"ok\n"


def users():
    with seeded(users=["alpha"], nodes=1) as d:
        u = d.api("POST", "/users", {
            "name": "beta@campus", "display_name": "B\u00e4ta \"<\\"},
            status=201)
        assert TIME.fullmatch(u.pop("created"))
        assert u == {"id": 2, "name": "beta@campus",
                     "display_name": "B\u00e4ta \"<\\", "nodes": 0}, u
        names = [(u["name"], u["nodes"])
                 for u in d.api("GET", "/users")["users"]]
        assert names == [("alpha", 1), ("beta@campus", 0)], names
        v = d.api("POST", "/users/2/rename", {"name": "gamma"})
        assert v["name"] == "gamma" and v["id"] == 2
        v = d.api("POST", "/users/gamma/rename", {"name": "beta@campus"})
        assert v["name"] == "beta@campus"
        d.api("DELETE", "/users/beta%40campus", status=204)
        d.refuses(404, 'no user "beta@campus"', "DELETE", "/users/beta@campus")
        d.refuses(409, 'user "alpha" owns 1 node: delete or move it first',
                "DELETE", "/users/alpha")
        d.refuses(409, 'user "alpha" exists already', "POST", "/users",
                {"name": "alpha"})
        for bad in ("", "A", "a b", "-a", "a@b@c", "a" * 64, "17", "a/b",
                    "\u00e4", "a\nb", "@"):
            d.refuses(400, re.compile('^user name ".*": want at most 63 of '),
                    "POST", "/users", {"name": bad})
            d.refuses(400, re.compile('^user name ".*": want at most 63 of '),
                    "POST", "/users/1/rename", {"name": bad})
        d.refuses(400, "display_name: 256 bytes; at most 255 are possible",
                "POST", "/users", {"name": "b", "display_name": "x" * 256})
        d.refuses(400, "display_name: holds a control character",
                "POST", "/users", {"name": "b", "display_name": "x\x7f"})
        d.refuses(404, 'no user "7"', "POST", "/users/7/rename", {"name": "b"})
        # Longer than any id.
        d.refuses(404, f'no user "{"9" * 30}"', "DELETE", "/users/" + "9" * 30)
        assert len(d.api("GET", "/users")["users"]) == 1


def keys():
    with Api() as d:
        for name in ("alpha", "beta"):
            d.api("POST", "/users", {"name": name}, status=201)
        k = d.api("POST", "/preauthkeys", {"user": "alpha"}, status=201)
        secret = k.pop("key")
        assert re.fullmatch("cnkey-[0-9a-f]{64}", secret), secret
        assert k["prefix"] == secret[:14]
        assert k["user"] == "alpha" and k["tags"] == [] and k["usable"]
        assert not (k["reusable"] or k["ephemeral"] or k["used"])
        life = [time.mktime(time.strptime(k[n], "%Y-%m-%dT%H:%M:%SZ"))
                for n in ("created", "expiration")]
        assert life[1] - life[0] == 3600, k
        other = d.api("POST", "/preauthkeys", {
            "user": "2", "reusable": True, "ephemeral": True, "expiration": 0,
            "tags": ["tag:b", "tag:a", "tag:b"]}, status=201)
        assert other["expiration"] is None and other["reusable"]
        assert other["ephemeral"] and other["tags"] == ["tag:a", "tag:b"]
        assert other.pop("key") != secret
        assert d.api("GET", "/preauthkeys")["preauthkeys"] == [k, other]
        assert d.api("GET", "/preauthkeys?user=beta") == \
            {"preauthkeys": [other]}
        # The secret is nowhere on the disk.
        for file in pathlib.Path(d.state).iterdir():
            assert secret[6:].encode() not in file.read_bytes(), file
        v = d.api("POST", f"/preauthkeys/{k['id']}/expire")
        assert not v["usable"] and TIME.fullmatch(v["expiration"])
        assert d.api("POST", f"/preauthkeys/{k['id']}/expire", {}) == v
        d.api("DELETE", f"/preauthkeys/{k['id']}", status=204)
        unknown = 'no pre-authentication key with the id "%s"'
        for bad in (str(k["id"]), "0", "x", "1" * 25):
            d.refuses(404, unknown % bad, "DELETE", f"/preauthkeys/{bad}")
            d.refuses(404, unknown % bad, "POST", f"/preauthkeys/{bad}/expire")
        d.refuses(404, 'no user "nobody"', "GET", "/preauthkeys?user=nobody")
        d.refuses(404, 'no user "nobody"', "POST", "/preauthkeys",
                {"user": "nobody"})
        for bad in (-1, 10 ** 15):
            d.refuses(400, f'member "expiration": {bad}; want 0 (never) to '
                         '3155760000 seconds', "POST", "/preauthkeys",
                    {"user": "alpha", "expiration": bad})
        d.refuses(400, re.compile('^tag "a": want tag: and then'), "POST",
                "/preauthkeys", {"user": "alpha", "tags": ["a"]})
        d.refuses(400, "tags: 65 of them; at most 64 are possible", "POST",
                "/preauthkeys", {"user": "alpha", "tags": ["tag:a"] * 65})
        d.api("PUT", "/policy", {
            "policy": '{"tagOwners": {"tag:a": ["alpha@"]}, "acls": []}'})
        d.api("POST", "/preauthkeys", {"user": "alpha", "tags": ["tag:a"]},
              status=201)
        d.refuses(400, 'tag "tag:b": the policy does not name it in tagOwners',
                "POST", "/preauthkeys", {"user": "alpha", "tags": ["tag:b"]})
        # A user takes its keys along.
        d.api("DELETE", "/users/beta", status=204)
        left = d.api("GET", "/preauthkeys")["preauthkeys"]
        assert [v["user"] for v in left] == ["alpha"], left


# ---- nodes ----

def nodes():
    with seeded() as d:
        v = d.api("GET", "/nodes/1")
        assert v == {
            "id": 1, "name": "robot-1", "fqdn": "robot-1.campus.test",
            "hostname": "Robot 1", "user": "alpha", "tags": [],
            "addresses": ["100.64.0.1", "fd7a:115c:a1e0::1"],
            "machine_key": "mkey:01" + "0" * 60 + "01",
            "node_key": "nodekey:02" + "0" * 60 + "01",
            "disco_key": "discokey:" + "03" * 32,
            "online": False, "last_seen": "2023-11-14T22:13:21Z",
            "created": "2023-11-14T22:13:20Z", "expiry": None,
            "expired": False, "approved": True, "ephemeral": False,
            "version": "1.102.5", "os": "linux",
            "endpoints": ["10.0.0.1:41641"], "relay": 900,
            "relay_name": 'The "campus"',
            "routes": {"advertised": ["0.0.0.0/0", "10.1.0.0/16", "::/0"],
                       "approved": [], "serving": []},
            "preauthkey": None}, v
        other = d.api("GET", "/nodes/2")
        assert (other["disco_key"], other["version"], other["os"],
                other["endpoints"], other["relay"], other["relay_name"]) == \
            ("", "", "", [], None, ""), other
        for name in ("robot-1", "Robot-1.Campus.Test", "robot-1.campus.test.",
                     "100.64.0.1", "fd7a:115c:a1e0::1",
                     "robot-1.", "FD7A:115C:A1E0:0:0:0:0:1", "%31", "robot%2D1"):
            assert d.api("GET", f"/nodes/{name}") == v, name
        for name in ("3", "robot-3", "robot-1.other", "100.64.0.3", "%FF",
                     "x" * 300, "robot-1.campus.test..", "."):
            d.refuses(404, re.compile('^no node "'), "GET", f"/nodes/{name}")
        assert d.api("GET", "/nodes") == {"nodes": [v, other]}
        assert d.api("GET", "/nodes?user=beta") == {"nodes": []}
        assert d.api("GET", "/nodes?user=1&tag=tag%3Aa") == {"nodes": []}
        d.refuses(400, 'query "tag": "a"; want such as tag:camera',
                  "GET", "/nodes?tag=a")
        d.api("POST", "/nodes/2/tags", {"tags": ["tag:a"]})
        found = d.api("GET", "/nodes?tag=tag%3Aa")["nodes"]
        assert [n["id"] for n in found] == [2], found
        d.refuses(404, 'no user "x"', "GET", "/nodes?user=x")


def node_changes():
    with seeded() as d:
        v = d.api("POST", "/nodes/robot-1/approve", {"approved": False})
        assert not v["approved"]
        assert d.api("POST", "/nodes/1/approve", {"approved": True})["approved"]
        v = d.api("POST", "/nodes/1/expire", {"expiry": "2031-02-28T01:02:03Z"})
        assert v["expiry"] == "2031-02-28T01:02:03Z" and not v["expired"]
        v = d.api("POST", "/nodes/1/expire",
                  {"expiry": "2031-02-28T01:02:03.9+02:00"})
        assert v["expiry"] == "2031-02-27T23:02:03Z"
        v = d.api("POST", "/nodes/1/expire")
        assert v["expired"] and TIME.fullmatch(v["expiry"])
        v = d.api("POST", "/nodes/1/expire", {"expiry": None})
        assert v["expiry"] is None and not v["expired"]
        for bad in ("tomorrow", "2031-02-29T00:00:00Z", "2031-02-28", "",
                    "2031-02-28T24:00:00Z", "1969-12-31T23:59:59Z", 7,
                    "2031-02-28T00:00:00", "2031-02-28T00:00:00Zz", "20"):
            d.refuses(400, 'member "expiry": want a time such as '
                         '"2030-01-31T12:00:00Z", or null', "POST",
                    "/nodes/1/expire", {"expiry": bad})
        assert d.api("POST", "/nodes/1/rename",
                     {"name": "crane"})["fqdn"] == "crane.campus.test"
        d.refuses(409, 'node name "crane": the node with id 1 has it', "POST",
                "/nodes/2/rename", {"name": "crane"})
        for bad in ("Crane", "a_b", "-a", "a-", "a.b", "a" * 64, "7", "\u00e4"):
            d.refuses(400, re.compile('^node name ".*": want at most 63 of'),
                    "POST", "/nodes/2/rename", {"name": bad})
        assert d.api("POST", "/nodes/1/rename", {"name": ""})["name"] == \
            "robot-1"
        v = d.api("POST", "/nodes/1/move", {"user": "beta"})
        assert v["user"] == "beta"
        d.refuses(404, 'no user "x"', "POST", "/nodes/1/move", {"user": "x"})
        assert [u["nodes"] for u in d.api("GET", "/users")["users"]] == [1, 1]
        v = d.api("POST", "/nodes/1/tags", {"tags": ["tag:b", "tag:a"]})
        assert v["tags"] == ["tag:a", "tag:b"] and v["user"] == "beta"
        d.refuses(400, re.compile('^tag "tag:_": want tag:'), "POST",
                "/nodes/1/tags", {"tags": ["tag:_"]})
        assert d.api("POST", "/nodes/1/tags", {"tags": []})["tags"] == []
        for action in ("approve", "expire", "rename", "move", "tags", "routes"):
            body = {"approve": {"approved": True}, "rename": {"name": "b"},
                    "move": {"user": "beta"}, "tags": {"tags": []},
                    "routes": {"approved": []}}.get(action)
            d.refuses(404, 'no node "9"', "POST", f"/nodes/9/{action}", body)
        d.api("DELETE", "/nodes/robot-1", status=204)
        d.refuses(404, 'no node "robot-1"', "DELETE", "/nodes/robot-1")
        assert d.api("GET", "/status")["nodes"] == 1


def routes():
    with seeded() as d:
        v = d.api("POST", "/nodes/1/routes", {
            "approved": ["10.1.0.0/16", "fd00::/64", "10.1.0.0/16",
                         "192.0.2.1"]})
        assert v["routes"] == {
            "advertised": ["0.0.0.0/0", "10.1.0.0/16", "::/0"],
            "approved": ["10.1.0.0/16", "192.0.2.1/32", "fd00::/64"],
            "serving": ["10.1.0.0/16"]}, v
        v = d.api("POST", "/nodes/1/routes", {"approved": ["0.0.0.0/0"]})
        assert v["routes"]["serving"] == ["0.0.0.0/0", "::/0"], v
        for bad in ("10.0.0.1/8", "10.0.0.0/33", "ten", "", "fd00::/129", "/8",
                    "10.0.0.0/8 "):
            d.refuses(400, re.compile('^member "approved": ".*" is no route;'),
                    "POST", "/nodes/1/routes", {"approved": [bad]})
        many = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(4097)]
        d.refuses(400, "approved: 4097 routes; at most 4096 are possible",
                "POST", "/nodes/1/routes", {"approved": many})
        assert d.api("GET", "/nodes/1")["routes"] == v["routes"]
        v = d.api("POST", "/nodes/1/routes", {"approved": many[:-1]})
        assert len(v["routes"]["approved"]) == 4096
        v = d.api("POST", "/nodes/1/routes", {"approved": []})
        assert v["routes"]["serving"] == []


class Waiting:
    """A client that asks to join, and waits for an administrator."""

    def __init__(self, d, hostname):
        self.client = Client(d)
        self.url = self.client.register(hostname=hostname)["AuthURL"]
        self.id = self.url.rpartition("/")[2]
        self.answer = None
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self):
        self.answer = self.client.register(Followup=self.url)

    def end(self):
        self.thread.join(LIMIT)
        self.client.close()
        return self.answer


def logins():
    with seeded(nodes=0) as d:
        assert d.api("GET", "/logins") == {"logins": []}
        first, second = Waiting(d, "Arm \"1\""), Waiting(d, "leg")
        found = d.api("GET", "/logins")["logins"]
        assert [v["id"] for v in found] == [first.id, second.id], found
        assert list(found[0]) == ["id", "hostname", "machine_key", "node_key",
                                  "created", "expires"]
        assert found[0]["hostname"] == "Arm \"1\""
        assert found[0]["node_key"] == first.client.node_key
        assert re.fullmatch("mkey:[0-9a-f]{64}", found[0]["machine_key"])
        assert TIME.fullmatch(found[0]["created"])
        assert TIME.fullmatch(found[0]["expires"])
        assert d.api("GET", "/status")["pending_logins"] == 2
        gone = "no login with this id waits"
        d.refuses(404, gone, "POST", "/nodes/register",
                  {"id": "x", "user": "alpha"})
        d.refuses(404, 'no user "x"', "POST", "/nodes/register",
                  {"id": first.id, "user": "x"})
        d.refuses(400, holding('tag "x": want tag:'), "POST",
                  "/nodes/register",
                  {"id": first.id, "user": "beta", "tags": ["x"]})
        v = d.api("POST", "/nodes/register", {
            "id": first.id, "user": "beta", "tags": ["tag:a"]})
        assert (v["name"], v["hostname"], v["user"], v["tags"]) == \
            ("arm-1", "Arm \"1\"", "beta", ["tag:a"]), v
        assert first.end()["MachineAuthorized"]
        d.refuses(404, gone, "POST", "/logins/x/deny")
        d.api("POST", f"/logins/{second.id}/deny", status=204)
        # If it came back only after that, it is given a new URL.
        answer = second.end()
        assert "denied" in answer.get("Error", "") or \
            answer["AuthURL"] not in ("", second.url), answer
        d.refuses(404, gone, "POST", f"/logins/{second.id}/deny")
        d.refuses(404, gone, "POST", "/nodes/register",
                  {"id": first.id, "user": "beta"})
        found = d.api("GET", "/logins")["logins"]
        assert not [v for v in found if v["id"] in (first.id, second.id)]
        what = [(e["who"], e["what"]) for e in d.api("GET", "/audit")["audit"]]
        uid = f"uid {os.geteuid()}"
        assert what[:2] == [(uid, "login deny"), (uid, "node join")], what


def joined():
    """A key is used up by who joins with it, and the node names it."""
    with Api() as d:
        d.api("POST", "/users", {"name": "alpha"}, status=201)
        k = d.api("POST", "/preauthkeys",
                  {"user": "alpha", "ephemeral": True}, status=201)
        with Client(d) as c:
            c.join(k["key"], "Crane")
            v = d.api("GET", "/nodes/crane")
            assert (v["preauthkey"], v["ephemeral"], v["user"]) == \
                (k["id"], True, "alpha"), v
            assert v["node_key"] == c.node_key
            found, = d.api("GET", "/preauthkeys")["preauthkeys"]
            assert found["used"] and not found["usable"], found
            assert d.api("GET", "/users")["users"][0]["nodes"] == 1
        with Client(d) as c:
            answer = c.register(k["key"], "other")
            assert answer["Error"], answer


def many_nodes():
    """The order is that of the ids, and a long answer arrives whole."""
    with seeded(nodes=2000) as d:
        found = d.api("GET", "/nodes")["nodes"]
        assert [n["id"] for n in found] == list(range(1, 2001))
        # The 2,000 addresses are each its own node's.
        assert d.api("GET", "/nodes/100.64.7.208")["id"] == 2000


# ---- the policy ----

POLICY = """// Who may do what
{
	"tagOwners": {"tag:cam": ["alpha@"]},
	"acls": [
		{"action": "accept", "src": ["alpha@"], "dst": ["tag:cam:22"]},
	],
	"autoApprovers": {"routes": {"10.0.0.0/8": ["tag:cam"]}},
}
"""


def policy():
    with seeded() as d:
        v = d.api("GET", "/policy")
        assert v["policy"] == "" and v["source"] == "default"
        assert d.api("POST", "/policy/check", {"policy": POLICY}) == \
            {"ok": True}
        assert d.api("GET", "/policy") == v
        new = d.api("PUT", "/policy", {"policy": POLICY})
        assert (new["policy"], new["source"]) == (POLICY, "database")
        assert TIME.fullmatch(new["loaded"])
        for bad, where in (('{"acls": [,]}', "line 1, column "),
                           ('{\n"acl": []}', "line 2, column "),
                           ('{"acls": []', "line 1, column "),
                           ("[]", "line 1, column ")):
            for method, path in (("POST", "/policy/check"), ("PUT", "/policy")):
                d.refuses(400, re.compile("^" + where), method, path,
                        {"policy": bad})
        failing = {"policy": POLICY.rstrip()[:-1] + '"tests": [{"src": '
                             '"alpha@", "accept": ["100.64.0.2:80"]}],}'}
        d.refuses(400, re.compile("^line 8, column .*100.64.0.2:80"), "PUT", "/policy", failing)
        d.refuses(400, re.compile("^line 8, column .*100.64.0.2:80"), "POST", "/policy/check",
                failing)
        assert d.api("GET", "/policy") == new
        v = d.api("POST", "/nodes/2/tags", {"tags": ["tag:cam"]})
        assert v["routes"]["serving"] == ["10.1.0.0/16"], v
        assert d.api("POST", "/policy/reload")["policy"] == POLICY
        d.stop()
        d.start()
        v = d.api("GET", "/policy")
        assert (v["policy"], v["source"]) == (POLICY, "database"), v


def explain():
    def ask(src, dst, port, **more):
        return d.api("POST", "/policy/explain",
                     {"src": src, "dst": dst, "port": port, **more})

    with seeded() as d:
        v = ask("robot-1", "robot-2", 80)
        assert v == {"allowed": True, "line": 0, "text": "",
                     "src": "robot-1 (100.64.0.1)",
                     "dst": "robot-2 (100.64.0.2)"}, v
        d.api("PUT", "/policy", {"policy": POLICY})
        d.api("POST", "/nodes/2/tags", {"tags": ["tag:cam"]})
        v = ask("robot-1", "2", 22, proto="tcp")
        assert v["allowed"] and v["line"] == 5, v
        assert v["text"] == '{"action": "accept", "src": ["alpha@"], ' \
            '"dst": ["tag:cam:22"]},', v
        v = ask("robot-1", "fd7a:115c:a1e0::2", 23)
        assert v == {"allowed": False, "line": 0, "text": "",
                     "src": "robot-1 (fd7a:115c:a1e0::1)",
                     "dst": "robot-2 (fd7a:115c:a1e0::2)"}, v
        v = ask("robot-2", "192.0.2.7", 22)
        assert not v["allowed"] and v["dst"] == "192.0.2.7", v
        assert not ask("1", "2", 22, proto="132")["allowed"]
        body = {"src": "1", "dst": "2", "port": 22}
        for change, status, says in (
                ({"port": 0}, 400, 'member "port": 0; want 1 to 65535'),
                ({"port": 65536}, 400, 'member "port": 65536; want 1 to 65535'),
                ({"proto": "ip"}, 400, 'member "proto": "ip"; want tcp, udp, '
                 "icmp, ipv6-icmp, sctp or a number from 1 to 255"),
                ({"proto": "256"}, 400, holding('member "proto": "256"')),
                ({"src": "192.0.2.1"}, 404, 'no node "192.0.2.1"'),
                ({"dst": "x"}, 404, 'no node "x", and it is no address')):
            d.refuses(status, says, "POST", "/policy/explain", {**body, **change})


def policy_file():
    with Api(start=False) as d:
        file = pathlib.Path(d.folder.name, "policy.hujson")
        d.flags += ["-policy", str(file)]
        line = d.refused()
        assert f"policy {file}: No such file or directory" in line, line
        file.write_text(POLICY)
        d.start()
        v = d.api("GET", "/policy")
        assert (v["policy"], v["source"]) == (POLICY, f"file:{file}"), v
        d.refuses(409, f"the policy comes from the file {file}: change that, "
                       "then reload", "PUT", "/policy", {"policy": "{}"})
        file.write_text('{"acls": [1]}')
        d.refuses(400, re.compile(f"^policy {re.escape(str(file))}: line 1, "),
                  "POST", "/policy/reload")
        d.child.send_signal(signal.SIGHUP)
        d.line(r"SIGHUP: the old policy stays: policy .*: line 1, ")
        assert d.api("GET", "/policy") == v
        file.write_text("{}")
        assert d.api("POST", "/policy/reload")["policy"] == "{}"
        file.write_text("{ }")
        d.child.send_signal(signal.SIGHUP)
        d.line("SIGHUP: policy load: file:")
        assert d.api("GET", "/policy")["policy"] == "{ }"
        file.write_bytes(b" " * (MIB + 1))
        d.refuses(400, holding("larger than 1 MiB"), "POST", "/policy/reload")


# ---- what a request may bring ----

def bodies():
    with Api() as d:
        def refused(body, says, path="/api/v1/users", status=400):
            answer = d.raw("POST", path, body)
            assert answer.status == status, (body[:80], answer.body)
            error = answer.json["error"]
            assert says.search(error), (body[:80], error)
            assert "\n" not in error

        refused(b"", re.compile('^member "name": missing; want a string$'))
        refused(b"{}", re.compile('^member "name": missing; want a string$'))
        refused(b"[]", re.compile("^body: want a JSON object$"))
        refused(b"null", re.compile("^body: "))
        refused(b'{"name": "a",}', re.compile("^body: line 1, column "))
        refused(b'{\n\n"name" "a"}', re.compile("^body: line 3, column "))
        refused(b'{"name": "a"} x', re.compile("^body: line 1, "))
        refused(b'{"name": "a", "name": "b"}', holding("duplicate"))
        refused(b'{"name": "\xff"}', re.compile(
            "^body: line 1, column 10: unable to decode byte 0xff"))
        refused(b'{"name": "\xed\xa0\x80"}', re.compile("^body: "))
        refused(b'{"name": "a\\u0000b"}', re.compile(
            r"^body: line 1, column \d+: a string holds a zero byte"))
        refused(b'{"name": "a", "x\\ny": 1}', re.compile(
            r'^member "x\\x0ay": unknown; want name, display_name$'))
        refused(b"[" * 100000, re.compile("^body: "))
        refused(b'{"name": 1}', re.compile('^member "name": want a string$'))
        refused(b'{"name": null}', re.compile('^member "name": want a string$'))
        keys_path = "/api/v1/preauthkeys"
        for member, wrong, want in (
                ("reusable", "1", "true or false"),
                ("ephemeral", '"yes"', "true or false"),
                ("expiration", "1.5", "an integer"),
                ("expiration", '"1"', "an integer"),
                ("tags", '"tag:a"', "an array of strings"),
                ("tags", '["tag:a", 1]', "an array of strings"),
                ("tags", "null", "an array of strings")):
            refused(b'{"user": "a", "%s": %s}' % (member.encode(),
                                                  wrong.encode()),
                    re.compile(f'^member "{member}": want {want}$'), keys_path)
        refused(b'{"expiration": 99999999999999999999, "user": "a"}',
                re.compile("^body: .*integer"), keys_path)
        refused(b'{"x": 1}', re.compile('^member "x": unknown; want none$'),
                "/api/v1/preauthkeys/1/expire")
        answer = d.raw("GET", "/api/v1/users", b"{}")
        assert answer.status == 400 and answer.json["error"] == \
            "body: want none"
        # Up to the limit it is read, beyond it is not.
        fits = b'{"name": "a", "display_name": "%s"}'
        fits = fits % (b"x" * (MIB - len(fits) + 2))
        assert len(fits) == MIB
        refused(fits, re.compile("^display_name: "))
        refused(fits + b" ", re.compile(
            "^body: 1048577 bytes; at most 1048576 are possible$"), status=413)
        assert d.api("GET", "/users") == {"users": []}


def too_large_from_afar():
    """Who has no token yet makes coordd keep no more than 1 MiB."""
    with Api() as d:
        for extra in (1, MIB):
            answer = d.raw("POST", "/api/v1/users", b"x" * (MIB + extra),
                           {"Authorization": "Bearer " + d.token()}, True)
            assert answer.status == 413, answer.status
        assert d.raw("GET", "/healthz", remote=True).status == 200


def queries():
    with Api() as d:
        d.refuses(400, 'query "x": unknown; want user', "GET",
                "/preauthkeys?x=1")
        d.refuses(400, 'query "x%0a": unknown; want none', "GET",
                "/users?x%0a=1")
        d.refuses(400, "query: want name=value", "GET", "/nodes?user")
        d.api("GET", "/users?")
        for bad in ("0", "-1", "x", "", "10001", "1e3", "9" * 30):
            d.refuses(400, f'query "limit": "{bad}"; want 1 to 10000', "GET",
                    f"/audit?limit={bad}")


def paths():
    with Api() as d:
        d.refuses(404, "no such path: nope", "GET", "/nope")
        d.refuses(404, "no such path: ", "GET", "")
        d.refuses(404, "no such path: users/", "GET", "/users/")
        d.refuses(404, "no such path: users//rename", "POST", "/users//rename")
        d.refuses(404, "no such path: nodes/1/x", "POST", "/nodes/1/x")
        d.refuses(404, "no such path: status/x", "GET", "/status/x")
        d.refuses(400, "path: holds a zero byte", "DELETE", "/users/a%00b")
        d.refuses(404, 'no user "a/b"', "DELETE", "/users/a%2fb")
        d.refuses(404, 'no user "\\x0a\\xff"', "DELETE", "/users/%0a%FF")
        for path in ("/api/v1x", "/api", "/api/v2/users"):
            assert d.raw("GET", path).status == 404, path


def methods():
    with Api() as d:
        for method, path, allow in (
                ("PUT", "/users", "GET, POST"), ("POST", "/status", "GET"),
                ("GET", "/policy/check", "POST"),
                ("POST", "/policy", "GET, PUT"),
                ("POST", "/nodes/1", "GET, DELETE"),
                ("PATCH", "/users", "GET, POST"),
                ("OPTIONS", "/nodes", "GET"), ("DELETE", "/backup", "GET")):
            answer = d.raw(method, "/api/v1" + path)
            assert answer.status == 405, (method, path, answer.status)
            assert answer.headers["Allow"] == allow, answer.headers
            assert answer.json["error"] == f"method: want {allow}"
        answer = d.raw("HEAD", "/api/v1/users")
        assert answer.status == 200 and answer.body == b""
        assert d.raw("TRACE", "/api/v1/users").status in (405, 501)


def audit():
    with seeded() as d:
        d.api("POST", "/nodes/1/rename", {"name": "crane"})
        d.api("POST", "/nodes/1/tags", {"tags": ["tag:a"]})
        d.api("POST", "/nodes/1/routes", {"approved": ["10.1.0.0/16"]})
        d.api("POST", "/users/beta/rename", {"name": "gamma"})
        k = d.api("POST", "/preauthkeys", {"user": "1"}, status=201)
        d.api("POST", f"/preauthkeys/{k['id']}/expire")
        d.api("DELETE", "/nodes/1", status=204)
        entries = d.api("GET", "/audit")["audit"]
        uid = f"uid {os.geteuid()}"
        got = [(e["who"], e["what"], e["detail"]) for e in entries]
        key = f"{k['prefix']}... of user alpha"
        assert got[:8] == [
            (uid, "node delete", "crane (id 1) of user alpha"),
            (uid, "key expire", key), (uid, "key create", key),
            (uid, "user rename", "beta to gamma"),
            (uid, "node routes", "crane (id 1): 10.1.0.0/16"),
            (uid, "node tag", "crane (id 1): tag:a"),
            (uid, "node rename", "robot-1 (id 1): renamed crane"),
            ("start", "policy load", "default")], got
        assert all(TIME.fullmatch(e["time"]) for e in entries)
        assert d.api("GET", "/audit?limit=2")["audit"] == entries[:2]
        assert k["key"] not in json.dumps(entries)
        # What was refused changed nothing, so it is not there.
        d.refuses(404, 'no user "x"', "DELETE", "/users/x")
        assert d.api("GET", "/audit")["audit"] == entries


def store_fails():
    """If the store refuses, the answer says so and nothing has changed."""
    with seeded() as d:
        def sql(text):
            with d.sql() as db:
                db.execute(text)

        k = d.api("POST", "/preauthkeys", {"user": "1"}, status=201)
        lists = ("/users", "/nodes", "/preauthkeys", "/audit")
        before = [d.api("GET", path) for path in lists]
        sql("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN"
            " SELECT RAISE(FAIL, 'the disk is in pieces'); END")
        for method, path, body in (
                ("POST", "/users", {"name": "gamma"}),
                ("POST", "/users/1/rename", {"name": "gamma"}),
                ("DELETE", "/users/beta", None),
                ("POST", "/preauthkeys", {"user": "1"}),
                ("POST", f"/preauthkeys/{k['id']}/expire", None),
                ("DELETE", f"/preauthkeys/{k['id']}", None),
                ("POST", "/nodes/1/approve", {"approved": False}),
                ("POST", "/nodes/1/expire", None),
                ("POST", "/nodes/1/rename", {"name": "crane"}),
                ("POST", "/nodes/1/move", {"user": "beta"}),
                ("POST", "/nodes/1/tags", {"tags": ["tag:a"]}),
                ("POST", "/nodes/1/routes", {"approved": ["10.1.0.0/16"]}),
                ("DELETE", "/nodes/1", None),
                ("PUT", "/policy", {"policy": POLICY})):
            d.refuses(500, re.compile("the disk is in pieces.*: nothing was "
                                    "changed$"), method, path, body)
        assert [d.api("GET", path) for path in lists] == before
        assert d.api("GET", "/policy")["source"] == "default"
        assert b"\ncampusnet_coordd_store_failures_total 14\n" in \
            d.raw("GET", "/metrics").body
        sql("DROP TRIGGER broken")
        d.api("POST", "/users", {"name": "gamma"}, status=201)


if __name__ == "__main__":
    sys.exit(main([
        status, users, keys, nodes, node_changes, routes, logins, joined,
        many_nodes, policy, explain, policy_file, bodies, too_large_from_afar,
        queries, paths, methods, audit, store_fails]))
