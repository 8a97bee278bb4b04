#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordd_hostile_test: what a stranger, or a machine that was let in and means
ill, cannot take from the others. Prints TAP.

The program is $COORDD (default build/release/coordd).
"""

import base64
import http.client
import json
import os
import pwd
import socket
import struct
import sys
import tempfile

from coordc import (
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, LIMIT, RST_STREAM,
    SETTINGS, STATUS, Client, Coordd, Handshake)
from ctlfake import Skip, main

# What coordd lets one machine have: coordd/machine.c, login.c, request.c. And
# one source of strangers: source.h.
CONNECTIONS, ASKS, LOGINS = 8, 60, 4
STRANGER_BODY = 64 * 1024
HANDSHAKES = 2000


def status_of(head):
    """It comes first: as an index, or as three digits behind one (RFC 7541)."""
    return STATUS[head[0]] if head[0] & 0x80 else int(head[2:5])


class Machine(Client):
    """Begins requests without waiting for their answers."""

    def begin(self, path, value, window=None):
        """Sends a request; window: what it may be answered (RFC 9113 section
        6.5.2)."""
        if window is not None:
            self._frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window))
        self.stream += 2
        fields = {":method": "POST", ":scheme": "https", ":authority": "c",
                  ":path": path}
        self._frame(HEADERS, END_HEADERS, self.stream, b"\x20" + b"".join(
            b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode()
            for k, v in fields.items()))
        body = json.dumps(value).encode()
        while len(body) > 16000:
            self._frame(DATA, 0, self.stream, body[:16000])
            body = body[16000:]
        self._frame(DATA, END_STREAM, self.stream, body)
        return self.stream

    def end(self, stream):
        """Returns the status of the answer."""
        status = None
        while True:
            head = self._read(9)
            kind, flags, number = struct.unpack(">BBI", head[3:])
            part = self._read(int.from_bytes(head[:3], "big"))
            assert kind != GOAWAY and kind != RST_STREAM, (kind, part)
            if number != stream:
                continue
            if kind == HEADERS:
                status = status_of(part.lstrip(b"\x20"))
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return status

    def asks(self, path, value):
        return self.end(self.begin(path, value))

    def update(self, **more):
        return self.asks("/machine/map", {
            "Version": 142, "NodeKey": self.node_key, "OmitPeers": True,
            **more})


def twin(d, client):
    """Another connection of the same machine."""
    return Machine(d, client.machine, client.node)


def is_open(client):
    try:
        return client.update() is not None
    except OSError:
        return False


def connections():
    """A machine may have a few; the oldest makes room for a new one."""
    with Coordd() as d, Machine(d) as other:
        key = d.authkey("--reusable")
        other.join(key)
        machine = Machine(d)
        machine.join(key)
        all_of_it = [machine]
        for _ in range(CONNECTIONS + 2):
            all_of_it.append(twin(d, machine))
            assert is_open(all_of_it[-1])
        assert [is_open(c) for c in all_of_it] == \
            [False] * 3 + [True] * CONNECTIONS
        assert is_open(other)
        for client in all_of_it:
            client.close()


def asks():
    """Who asks without end is told that it is too much; others notice
    nothing."""
    with Coordd() as d, Machine(d) as machine, Machine(d) as other:
        key = d.authkey("--reusable")
        machine.join(key)
        other.join(key)
        answers = {machine.update() for _ in range(3 * ASKS)}
        assert answers == {200, 429}, answers
        assert other.update() == 200
        # Another connection does not help.
        with twin(d, machine) as again:
            answers = {again.update() for _ in range(3 * ASKS)}
            assert 429 in answers, answers
        d.line("asks for too much")


def shake(d, first, source):
    """Begins a handshake and leaves; returns the status."""
    with socket.create_connection(
            ("127.0.0.1", d.port), LIMIT, (source, 0)) as tcp:
        tcp.sendall(
            b"POST /ts2021 HTTP/1.1\r\nHost: c\r\nConnection: upgrade\r\n"
            b"Upgrade: tailscale-control-protocol\r\n"
            b"X-Tailscale-Handshake: " + base64.b64encode(first) +
            b"\r\n\r\n")
        return int(tcp.makefile("rb").readline().split()[1])


def handshakes():
    """They cost a stranger little and coordd much: of one source there may be
    many, but not without end, and other sources do not feel it."""
    with Coordd() as d:
        page = http.client.HTTPConnection("127.0.0.1", d.port, LIMIT)
        page.request("GET", "/key?v=142")
        key = json.loads(page.getresponse().read())["publicKey"]
        page.close()
        first = Handshake(
            bytes.fromhex(key.removeprefix("mkey:")), os.urandom(32)).first()
        count = 0
        while shake(d, first, "127.0.0.9") == 101:
            count += 1
            # One hundred come back each second.
            assert count < 20 * HANDSHAKES, count
        assert count >= HANDSHAKES, count
        assert shake(d, first, "127.0.0.8") == 101
        with Client(d) as client:
            client.join(d.authkey())
        d.line(r"127\.0\.0\.9: too many handshakes")


def maps_not_taken():
    """First maps that a machine asks for and does not take hold up nobody."""
    with Coordd() as d, Machine(d) as machine, Machine(d) as other:
        key = d.authkey("--reusable")
        machine.join(key)
        other.join(key)
        held = []
        for _ in range(10):
            held.append(twin(d, machine))
            for _ in range(31):
                held[-1].begin("/machine/map", {
                    "Version": 142, "NodeKey": machine.node_key}, window=0)
        assert other.map()["Node"]["Key"] == other.node_key
        for client in held:
            client.close()


def bodies():
    """A stranger's is small; that of a machine with a node may be larger."""
    with Coordd() as d, Machine(d) as machine:
        key = d.authkey()
        big = {"Version": 142, "NodeKey": machine.node_key,
               "Junk": "x" * STRANGER_BODY}
        assert machine.asks("/machine/register", big) == 413
        machine.join(key)
        assert machine.update(Junk="x" * 900000) == 200
        assert machine.update(Junk="x" * (1 << 20)) == 413
        assert machine.update() == 200


def logins():
    """A machine that begins one login after the other pushes out its own."""
    with Coordd() as d, Machine(d) as waiting, Machine(d) as machine:
        d.works("users", "create", "robots")
        url = waiting.register(hostname="waits")["AuthURL"]
        held = waiting.begin("/machine/register", {
            "Version": 142, "NodeKey": waiting.node_key, "Followup": url})
        for _ in range(3 * LOGINS):
            assert machine.asks("/machine/register", {
                "Version": 142, "Hostinfo": {"Hostname": "many"},
                "NodeKey": "nodekey:" + os.urandom(32).hex()}) == 200
        assert d.json("status")["pending_logins"] == 1 + LOGINS
        d.works("nodes", "register", "--user", "robots",
                url.rpartition("/")[2])
        assert waiting.end(held) == 200
        assert [n["hostname"] for n in d.json("nodes", "list")] == ["waits"]


def names_stay():
    """A node that logs in anew keeps its name, though a better one is free."""
    with Coordd() as d, Client(d) as first:
        key = d.authkey("--reusable")
        first.join(key)
        with Client(d) as second:
            second.join(key)
            machine = second.machine
        assert [n["name"] for n in d.json("nodes", "list")] == \
            ["robot", "robot-1"]
        d.works("nodes", "delete", "robot")
        with Client(d, machine) as again:
            again.join(key)
            assert [n["name"] for n in d.json("nodes", "list")] == ["robot-1"]
            again.join(key, "drone")


def relay_map():
    """One that clients could not read is refused, or the old one stays."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        os.chmod(file.name, 0o644)

        def put(**node):
            file.seek(0)
            file.truncate()
            json.dump({"Regions": {"900": {"RegionID": 900, "Nodes": [
                {"Name": "900a", "HostName": "relay.example", **node}]}}}, file)
            file.flush()

        wrong = [{"STUNPort": "3478"}, {"DERPPort": 70000}, {"hostname": 5},
                 {"CanPort80": "yes"}, {"RegionID": 1 << 40}]
        for node in wrong:
            put(**node)
            with Coordd("-derp-map", file.name, start=False) as d:
                status, lines = d.run()
                assert status == 2 and next(iter(node)).lower() in \
                    lines[-1].lower(), (node, status, lines)
        put(STUNPort=3478, CanPort80=False, Unknown=[1])
        with Coordd("-derp-map", file.name) as d, Client(d) as client:
            client.join(d.authkey())
            good = client.map()["DERPMap"]
            put(STUNPort="3478")
            d.child.send_signal(1)
            d.line("the old relay map stays: .*STUNPort")
            assert client.map()["DERPMap"] == good


def state_of_others():
    """Root does not give away a folder in which others have files."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "passwd")
        with open(path, "w", encoding="ascii") as file:
            file.write("root\n")
        with Coordd("-user", "nobody", state=folder, start=False) as d:
            status, lines = d.run()
            assert status != 0 and "folder of its own" in lines[-1], lines
        assert os.stat(path).st_uid == 0 and os.stat(folder).st_uid == 0
        os.unlink(path)
        # Its own, brought back by root.
        with Coordd("-user", "nobody", state=folder) as d:
            d.authkey()
        backup = os.path.join(folder, "old.db")
        os.link(os.path.join(folder, "coordd.db"), backup)
        os.chown(os.path.join(folder, "coordd.db"), 0, 0)
        with Coordd("-user", "nobody", state=folder) as d:
            assert d.json("users", "list")[0]["name"] == "robots"
        owner = os.stat(os.path.join(folder, "coordd.db")).st_uid
        assert owner == pwd.getpwnam("nobody").pw_uid


TESTS = [connections, asks, handshakes, maps_not_taken, bodies, logins, names_stay,
         relay_map, state_of_others]


if __name__ == "__main__":
    sys.exit(main(TESTS))
