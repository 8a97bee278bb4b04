#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordctl_coordd_test: coordctl and the real coordd. Prints TAP.

Nodes are put into the database while coordd is stopped: what a client does to
become one is tested in tests/interop. The program is $COORDD (default
build/release/coordd).
"""

import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time

from ctlfake import COORDCTL, LIMIT, MAGIC, TOP, ctl, fails, main, works

COORDD = os.environ.get("COORDD", str(TOP / "build/release/coordd"))


class Coordd:
    """A coordd with a state folder of its own. Without its web page; nobody
    connects to its listener."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o755)
        self.state = os.path.join(self.folder.name, "state")
        self.socket = os.path.join(self.folder.name, "s")
        self.flags = flags
        self.child = None
        self.start()

    def start(self):
        self.child = subprocess.Popen(
            [COORDD, "-listen", "127.0.0.1:0", "-admin", "", "-state",
             self.state, "-socket", self.socket, *self.flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        lines = queue.Queue()
        stderr = self.child.stderr

        def read():
            with stderr:
                for line in stderr:
                    lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        seen = []
        deadline = time.monotonic() + LIMIT
        while not seen or not re.search(r" ready at http", seen[-1]):
            line = lines.get(timeout=max(0, deadline - time.monotonic()))
            if line is None:
                self.stop()
                raise AssertionError(f"coordd ended: {seen}")
            seen.append(line)

    def stop(self):
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)
            status = self.child.wait(LIMIT)
            self.child = None
            return status
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    def works(self, *arguments, **options):
        return works(*arguments, socket=self.socket, **options)

    def fails(self, *arguments, **options):
        return fails(1, *arguments, socket=self.socket, **options)

    def json(self, *arguments):
        return json.loads(self.works(*arguments, "--json"))

    def add_nodes(self):
        """Two nodes of alice, arm-1 and arm-2, of which the first offers a
        route, and leg-1 of bob, which is tagged."""
        self.works("users", "create", "alice")
        self.works("users", "create", "bob")
        assert self.stop() == 0
        with contextlib.closing(sqlite3.connect(
                os.path.join(self.state, "coordd.db"))) as db, db:
            for i, (user, label, tags, routes) in enumerate(
                    [(1, "arm-1", "", "10.0.0.0/8"), (1, "arm-2", "", ""),
                     (2, "leg-1", "tag:leg", "")], 1):
                db.execute(
                    "INSERT INTO nodes (user, machine, node_key, disco,"
                    " hostname, label, label_set, ip4, ip6, created, expiry,"
                    " last_seen, ephemeral, authorized, authkey, tags,"
                    " home_derp, capver, advertised, approved) VALUES (?, ?,"
                    " ?, ?, ?, ?, 0, ?, ?, 1700000000, 0, 1700000000, 0, 1, 0,"
                    " ?, 0, 130, ?, '')",
                    (user, bytes([i]) * 32, bytes([16 + i]) * 32, bytes(32),
                     label.title(), label, f"100.64.0.{i}",
                     f"fd7a:115c:a1e0::{i}", tags, routes))
        self.start()


def users_and_keys():
    with Coordd() as d:
        assert d.works("users", "create", "alice", "-d", "Größe") == \
            "User alice (ID 1) created.\n"
        d.fails("users", "create", "alice", says=["alice", "exists"])
        d.fails("users", "create", "", says=["user name"])
        d.fails("users", "list", "bob", says=['no user "bob"'])
        assert d.works("users", "list").splitlines()[1].startswith(
            "1   Größe  alice     0      2")
        key = d.works("preauthkeys", "create", "-u", "alice", "--reusable",
                      "--tags", "tag:x,tag:a", "-e", "2w").strip()
        assert re.fullmatch(r"[!-~]+", key), key
        life = d.json("preauthkeys", "create", "-u", "1", "-e", "0")
        assert life["expiration"] is None and life["key"] != key
        keys = d.json("preauthkeys", "list", "--user", "alice")
        assert [k["id"] for k in keys] == [1, 2]
        assert key.startswith(keys[0]["prefix"]) and key != keys[0]["prefix"]
        assert keys[0]["tags"] == ["tag:a", "tag:x"] and keys[0]["usable"]
        assert " (ID 1) expired." in d.works("preauthkeys", "expire", "1")
        assert [k["usable"] for k in d.json("preauthkeys", "list")] == \
            [False, True]
        assert d.works("preauthkeys", "delete", "1") == "Key 1 deleted.\n"
        d.fails("preauthkeys", "delete", "1", says=['"1"'])
        d.fails("preauthkeys", "create", "-u", "carol", says=["carol"])
        d.fails("preauthkeys", "create", "-u", "alice", "-e", "150y",
                says=["expiration"])
        assert d.works("users", "rename", "1", "bob") == \
            "User bob (ID 1) renamed, was 1.\n"
        assert d.works("users", "delete", "bob") == "User bob deleted.\n"
        assert d.json("users", "list") == d.json("preauthkeys", "list") == []
        who = {e["who"] for e in d.json("audit") if e["what"] == "user create"}
        assert who == {f"uid {os.getuid()}"}, who
        assert len(d.json("audit", "--limit", "2")) == 2


def nodes():
    with Coordd("-approve-devices") as d:
        d.add_nodes()
        assert [n["name"] for n in d.json("nodes", "list")] == \
            ["arm-1", "arm-2", "leg-1"]
        assert [n["name"] for n in d.json("nodes", "list", "-u", "alice")] == \
            ["arm-1", "arm-2"]
        assert [n["name"] for n in d.json("nodes", "list", "--tag",
                                          "tag:leg")] == ["leg-1"]
        rows = d.works("nodes", "list").splitlines()
        assert len(rows) == 4 and rows[1].startswith(
            "1   Arm-1     arm-1  alice  100.64.0.1, fd7a:115c:a1e0::1 "), rows
        for name in ("1", "arm-1", "100.64.0.1", "fd7a:115c:a1e0::1"):
            assert "\nName             arm-1\n" in d.works("nodes", "show", name)
        d.fails("nodes", "show", "a/../b?c%", says=["a/../b?c%"])
        d.fails("nodes", "show", "nobody", says=["nobody"])
        assert d.works("nodes", "approve", "arm-1", "--revoke") == \
            "Node arm-1 (ID 1) is not approved any more.\n"
        assert not d.json("nodes", "show", "1")["approved"]
        assert d.works("nodes", "approve", "1") == \
            "Node arm-1 (ID 1) approved.\n"
        assert d.works("nodes", "rename", "arm-1", "hand") == \
            "Node hand (ID 1) renamed.\n"
        d.fails("nodes", "rename", "hand", "arm-2", says=["arm-2"])
        d.fails("nodes", "rename", "hand", "no good", says=["no good"])
        assert d.works("nodes", "rename", "hand") == \
            "Node arm-1 (ID 1) renamed.\n"
        assert d.works("nodes", "routes") == (
            "ID  Name   Route       Available  Approved  Serving\n"
            "1   arm-1  10.0.0.0/8  yes        no        no\n")
        assert d.works("nodes", "routes", "arm-1", "--approve",
                       "10.0.0.0/8,10.9.0.0/16").splitlines()[1:] == [
            "1   arm-1  10.0.0.0/8   yes        yes       yes",
            "1   arm-1  10.9.0.0/16  no         yes       no"]
        d.fails("nodes", "routes", "arm-1", "--approve", "10.0.0.1/8",
                says=["10.0.0.1/8"])
        assert d.json("nodes", "routes", "arm-1", "--approve=")[
            "routes"]["approved"] == []
        assert d.works("nodes", "tag", "arm-2", "-t", "tag:b,tag:a") == \
            "Node arm-2 (ID 2) has the tags tag:a, tag:b.\n"
        assert d.works("nodes", "tag", "arm-1", "-t", "") == \
            "Node arm-1 (ID 1) has no tags.\n"
        d.fails("nodes", "tag", "arm-2", "-t", "leg", says=['"leg"'])
        assert d.works("nodes", "move", "arm-2", "--user", "bob") == \
            "Node arm-2 (ID 2) moved to user bob.\n"
        d.fails("users", "delete", "bob", says=["bob"])
        d.fails("nodes", "register", "abc", "-u", "bob", says=["login"])
        d.fails("nodes", "deny", "abc", says=["login"])
        assert d.works("nodes", "logins").startswith("ID  Hostname")
        assert d.works("nodes", "delete", "100.64.0.2") == \
            "Node arm-2 (ID 2) deleted.\n"
        d.fails("nodes", "delete", "arm-2", says=["arm-2"])


def expiry():
    with Coordd() as d:
        d.add_nodes()
        assert d.works("nodes", "expire", "1", "-e",
                       "2100-01-01T01:00:00+01:00") == \
            "Node arm-1 (ID 1) expires 2100-01-01 00:00:00.\n"
        assert d.json("nodes", "show", "1")["expiry"] == "2100-01-01T00:00:00Z"
        assert d.works("nodes", "expire", "1", "--expiry", "never") == \
            "Node arm-1 (ID 1) never expires.\n"
        assert d.works("nodes", "expire", "1").startswith(
            "Node arm-1 (ID 1) expired, 20")
        assert d.json("nodes", "show", "1")["expired"]


POLICY = """{
\t// Arms reach legs.
\t"acls": [
\t\t{"action": "accept", "src": ["alice@"], "dst": ["tag:leg:22"]},
\t],
\t"tagOwners": {"tag:leg": ["bob@"]},
}
"""


def policy():
    with Coordd() as d, tempfile.TemporaryDirectory() as folder:
        d.add_nodes()
        file = pathlib.Path(folder) / "policy.hujson"
        assert d.works("policy", "explain", "arm-1", "leg-1:80") == (
            "arm-1 (100.64.0.1) may reach leg-1 (100.64.0.3) port 80.\n"
            "There is no policy: all may reach all.\n")
        file.write_text(POLICY)
        assert d.works("policy", "check", file) == f"{file} is good.\n"
        assert d.works("policy", "show") == ""
        assert d.works("policy", "check") == "the policy in force is good.\n"
        assert d.works("policy", "set", "-", stdin=POLICY.encode()) == \
            "Policy put in force: database.\n"
        assert d.works("policy", "show") == POLICY
        assert d.works("policy", "check") == "the policy in force is good.\n"
        assert d.works("policy", "explain", "arm-1", "leg-1:22", "--proto",
                       "tcp") == (
            "arm-1 (100.64.0.1) may reach leg-1 (100.64.0.3) port 22/tcp.\n"
            'line 4: {"action": "accept", "src": ["alice@"], '
            '"dst": ["tag:leg:22"]},\n')
        assert d.works("policy", "explain", "1",
                       "[fd7a:115c:a1e0::3]:80") == (
            "arm-1 (fd7a:115c:a1e0::1) may not reach leg-1 "
            "(fd7a:115c:a1e0::3) port 80.\nNo line of the policy lets it.\n")
        for target in ("leg-1", "leg-1:7", "100.64.0.3", "[100.64.0.3]"):
            assert d.works("policy", "explain", "arm-1", target, "--proto",
                           "icmp").startswith(
                "arm-1 (100.64.0.1) may reach leg-1 (100.64.0.3) by icmp.\n"
                "line 4: "), target
        assert " by 47.\n" in d.works("policy", "explain", "arm-1",
                                      "fd7a:115c:a1e0::3", "--proto", "47")
        fails(2, "policy", "explain", "arm-1", "leg-1", "--proto", "udp",
              socket=d.socket, says=["leg-1: want NAME:PORT"])
        d.fails("policy", "explain", "arm-1", "leg-1:22", "--proto", "x",
                says=['"x"'])
        file.write_text(POLICY.replace("accept", "refuse"))
        for command in ("check", "set"):
            d.fails("policy", command, file,
                    says=[f"{file}: line 4, column ", "refuse"])
        file.write_text("")
        for command in ("check", "set"):
            d.fails("policy", command, file, says=[f"{file}: it is empty"])
        assert d.works("policy", "show") == POLICY
        d.stop()
        d.start()
        assert d.works("policy", "show") == POLICY


def policy_file():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        file = pathlib.Path(folder) / "policy.hujson"
        file.write_text('{"acls": []}')
        with Coordd("-policy", str(file)) as d:
            d.works("users", "create", "bob")
            d.fails("policy", "set", file, says=[str(file)])
            file.write_text("// new\n{}\n")
            assert d.works("policy", "show") == '{"acls": []}'
            assert str(file) in d.works("policy", "reload")
            assert d.works("policy", "show") == "// new\n{}\n"
            file.write_text("{")
            d.fails("policy", "reload", says=["line 1"])
            file.write_text("")
            d.fails("policy", "reload", says=[str(file), "empty"])
            assert d.works("policy", "show") == "// new\n{}\n"


def copies():
    """Backup while it runs, verify, restore into the stopped one."""
    with Coordd() as d, tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "copy.db")
        d.works("users", "create", "alice")
        before = d.json("status")
        d.works("backup", copy)
        assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
        out = subprocess.run([COORDCTL, "--socket", d.socket, "backup", "-"],
                             stdout=subprocess.PIPE, timeout=LIMIT, check=True)
        assert out.stdout.startswith(MAGIC)
        assert d.works("verify") == "The database in use is sound.\n"
        assert ctl("verify", copy, "--coordd", COORDD)[0] == 0
        assert json.loads(works("verify", copy, "--coordd", COORDD,
                                "--json")) == {"ok": True}
        d.works("users", "create", "mallory")
        restore = ["restore", copy, "--state", d.state, "--coordd", COORDD]
        status, _, error = ctl(*restore)
        assert status != 0 and d.state in error, error
        d.stop()
        status, out, error = ctl(*restore)
        assert status == 0, error
        d.start()
        assert [u["name"] for u in d.json("users", "list")] == ["alice"]
        assert d.json("status")["public_key"] == before["public_key"]
        data = bytearray(pathlib.Path(copy).read_bytes())
        data[len(data) // 2:] = bytes(len(data) - len(data) // 2)
        pathlib.Path(copy).write_bytes(data)
        d.stop()
        for arguments in (["verify", copy, "--coordd", COORDD], restore):
            status, _, error = ctl(*arguments)
            assert status != 0 and copy in error and \
                error.count("\n") == 1, error
        d.start()
        assert [u["name"] for u in d.json("users", "list")] == ["alice"]


def status():
    with Coordd("-domain", "robots.example") as d:
        d.add_nodes()
        got = d.json("status")
        assert (got["users"], got["nodes"], got["online"]) == (2, 3, 0), got
        out = d.works("status")
        assert "\nDomain          robots.example\n" in out, out
        assert "\nNodes           3, 0 connected\n" in out, out
        d.child.kill()
        d.child.wait()
        d.child = None
        d.fails("status", says=["start coordd"])


TESTS = [users_and_keys, nodes, expiry, policy, policy_file, copies, status]


if __name__ == "__main__":
    sys.exit(main(TESTS))
