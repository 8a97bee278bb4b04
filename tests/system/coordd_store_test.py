#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordd_store_test: what becomes of what clients were told when coordd is
killed, the disk is full, the state is read-only or damaged. Prints TAP.

The program is $COORDD (default build/release/coordd).
"""

import contextlib
import http.client
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
import threading

from coordc import COORDD, LIMIT, Client, Coordd
from ctlfake import Skip, main, wait_for

ROOT = os.geteuid() == 0

# Runs the rest in a mount namespace, after the mount commands of $1 for $2.
IN_MOUNTS = ["unshare", "-m", "--propagation", "private", "sh", "-ec",
             'eval "$1"; shift 2; exec "$@"', "sh"]
SMALL = 'mount -t tmpfs -o size=1m,mode=755 none "$2"'
READ_ONLY = 'mount --bind "$2" "$2"; mount -o remount,bind,ro "$2"'


def need_mounts():
    if subprocess.run([*IN_MOUNTS, "true", "/", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("may not make a mount namespace")


class Robots:
    """Clients that join, one after the other in each of some threads, and
    what they were told."""

    def __init__(self, coordd, keys_once, key):
        self.coordd, self.key = coordd, key
        self.keys_once, self.spent = list(keys_once), []
        self.told, self.wrong = [], []
        self.stopping = False
        self.threads = [threading.Thread(target=self._joins)
                        for _ in range(6)]
        for thread in self.threads:
            thread.start()

    def _joins(self):
        # A coordd that is killed ends a connection anywhere.
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.stopping:
                self._join()

    def _join(self):
        once = None
        with contextlib.suppress(IndexError):
            once = self.keys_once.pop()
        with Client(self.coordd) as client:
            try:
                client.join(once or self.key)
            except PermissionError as why:
                self.wrong.append(why)
                return
            if once:
                self.spent.append(once)
            node = client.map()["Node"]
        self.told.append((client, node))

    def end(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(LIMIT)
        assert not self.wrong, self.wrong


def check_told(coordd, told):
    """All of them are nodes with all that they were told."""
    nodes = {node["id"]: node for node in coordd.json("nodes", "list")}
    for client, was in told:
        node = nodes[was["ID"]]
        assert node["node_key"] == client.node_key == was["Key"], (node, was)
        assert node["fqdn"] + "." == was["Name"], (node, was)
        assert [a.partition("/")[0] for a in was["Addresses"]] == \
            node["addresses"], (node, was)
    for field in ("name", "node_key", "machine_key"):
        assert len({node[field] for node in nodes.values()}) == len(nodes)
    addresses = [a for node in nodes.values() for a in node["addresses"]]
    assert len(set(addresses)) == 2 * len(nodes), addresses


def still_known(coordd, client, was):
    """A client that comes again is the node that it was."""
    with Client(coordd, client.machine, client.node) as again:
        assert again.register()["MachineAuthorized"]
        now = again.map()["Node"]
    for field in ("ID", "Name", "Addresses", "Key", "User"):
        assert now[field] == was[field], (now, was)


def kill_in_joins():
    """kill -9 in the middle of joins loses nothing that was told."""
    with Coordd() as d:
        key = d.authkey("--reusable")
        told = []
        for wanted in (3, 12, 30):
            once = [d.authkey() for _ in range(3)]
            robots = Robots(d, once, key)
            wait_for(lambda: robots.wrong or (
                len(robots.told) >= wanted and len(robots.spent) == 3))
            d.kill()
            robots.end()
            told += robots.told
            d.start()
            check_told(d, told)
            still_known(d, *told[0])
            still_known(d, *told[-1])
            for spent in robots.spent:
                with Client(d) as other:
                    try:
                        other.join(spent)
                    except PermissionError:
                        continue
                    raise AssertionError("a key for one was good for two")
        d.works("verify")


def join(d, key):
    with Client(d) as client:
        client.join(key)
        return client, client.map()["Node"]


def join_until_refused(d, key):
    """Returns those that joined, and why the first that did not."""
    told = []
    while len(told) < 1000:
        try:
            told.append(join(d, key))
        except PermissionError as why:
            return told, str(why)
    raise AssertionError("there is no end")


def check_full(d, told, why):
    """Nothing more is taken in, and nobody loses what he has."""
    assert told and "coordd.db" in why and "\n" not in why, why
    # What is smaller may still fit.
    for name in range(1000):
        if d.ctl("users", "create", f"another-{name}")[0] != 0:
            break
    d.fails("users", "create", "last", says=["coordd.db"])
    d.line(r" store: .*coordd\.db")
    check_told(d, told)
    still_known(d, *told[0])


def file_limit():
    """No file may grow any more."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400000, 400000))

    with Coordd(preexec_fn=limit) as d:
        key = d.authkey("--reusable")
        told, why = join_until_refused(d, key)
        check_full(d, told, why)
        d.options = {}
        d.kill()
        d.start()
        check_told(d, told)
        join(d, key)
        assert all(u["name"] != "last" for u in d.json("users", "list"))


def disk_full():
    """A disk that is full at the start, and one that becomes so."""
    need_mounts()
    with Coordd(start=False) as d:
        disk = os.path.join(d.folder.name, "disk")
        os.mkdir(disk)
        d.state = os.path.join(disk, "state")
        d.prefix = [*IN_MOUNTS, SMALL + '; head -c 2m /dev/zero >"$2/filler"'
                    ' 2>/dev/null || :', disk]
        status, lines = d.run()
        assert status != 0 and "disk" in lines[-1], lines
        assert all(" listening " in line for line in lines[:-1]), lines
        d.prefix = [*IN_MOUNTS, SMALL, disk]
        d.start()
        key = d.authkey("--reusable")
        told = [join(d, key)]
        inside = pathlib.Path(f"/proc/{d.child.pid}/root{disk}/filler")
        with contextlib.suppress(OSError), inside.open("wb", 0) as filler:
            while True:
                filler.write(bytes(4096))
        more, why = join_until_refused(d, key)
        assert "full" in why, why
        told += more
        check_full(d, told, why)
        d.fails("backup", os.path.join(d.folder.name, "copy"))
        inside.unlink()
        told.append(join(d, key))
        check_told(d, told)
        d.works("verify")


def refused(d, *says):
    """It ends at once, with one line, and changes nothing in its folder."""
    def content():
        # An empty WAL means nothing, nor does what only helps to share it.
        return {path.name: path.read_bytes()
                for path in pathlib.Path(d.state).iterdir()
                if not path.name.endswith("-shm") and path.stat().st_size}

    was = content()
    status, lines = d.run()
    assert status not in (0, -signal.SIGSEGV), (status, lines)
    for word in says:
        assert word in lines[-1], (word, lines)
    assert all(" listening " in line for line in lines[:-1]), lines
    assert content() == was


def with_node(d):
    """A stopped coordd with one node. Returns the node, and its database."""
    told = join(d, d.authkey())
    d.stop()
    return told, pathlib.Path(d.state, "coordd.db")


def read_only():
    """A state folder that may not be written."""
    with Coordd() as d:
        told, _ = with_node(d)
        if ROOT:
            need_mounts()
            d.prefix = [*IN_MOUNTS, READ_ONLY, d.state]
        else:
            os.chmod(d.state, 0o500)
        refused(d, d.state)
        d.prefix = []
        os.chmod(d.state, 0o700)
        d.start()
        still_known(d, *told)


def sql(path, text):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(text)


def damaged():
    """A database that cannot be right is refused and left as it is."""
    with Coordd() as d:
        d.authkey()
        copy = os.path.join(d.folder.name, "copy.db")
        told, database = with_node(d)
        d.start()
        d.works("backup", copy)
        d.stop()
        good = database.read_bytes()
        for at in range(0, len(good), 4096):
            database.write_bytes(
                good[:at] + b"\xa5" * 4096 + good[at + 4096:])
            refused(d, "coordd.db", "damaged")
        database.write_bytes(good[:len(good) // 2])
        refused(d, "coordd.db", "damaged")
        database.write_bytes(b"this is no database\n" * 500)
        refused(d, "coordd.db", "no SQLite database")
        database.unlink()
        sql(database, "CREATE TABLE other (a)")
        refused(d, "coordd.db", "another program")
        database.write_bytes(good)
        sql(database, "PRAGMA user_version=1000000")
        refused(d, "coordd.db", "newer coordd")
        database.write_bytes(good)
        sql(database, "UPDATE nodes SET node_key=x'00'")
        refused(d, "coordd.db", "table nodes, id 1, column node_key")
        done = subprocess.run(
            [COORDD, "-state", d.state, "-restore", copy],
            capture_output=True, text=True, timeout=LIMIT, check=False)
        assert done.returncode == 0, done.stderr
        d.start()
        check_told(d, [told])
        still_known(d, *told)


def second():
    """A second coordd is kept out, and the first does not notice."""
    with Coordd() as d:
        told = join(d, d.authkey())
        with Coordd(state=d.state, start=False) as other:
            status, lines = other.run()
            assert status != 0 and d.state in lines[-1] and \
                "another coordd" in lines[-1], lines
        status, lines = d.run()
        assert status != 0, lines
        check_told(d, [told])
        still_known(d, *told)


TESTS = [kill_in_joins, file_limit, disk_full, read_only, damaged, second]


if __name__ == "__main__":
    sys.exit(main(TESTS))
