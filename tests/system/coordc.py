"""coordc: what the tests of coordd share: the program under test, and a small
client of the control protocol. The client is written anew, so as not to
believe the code under test; nothing of it is fit for another use.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from nacl import bindings

import ctlfake
from ctlfake import TOP

COORDD = os.path.abspath(os.environ.get("COORDD", TOP / "build/release/coordd"))
VARIANT = os.environ.get("VARIANT", "release")

# No condition takes longer than this, on a busy machine and with sanitizers.
LIMIT = 120.0 if VARIANT in ("asan", "tsan") else 40.0


# ---- the coordinator ----

class Coordd:
    """A coordd with a state folder of its own, which may be started again and
    again. `prefix` is a command that runs it, `options` are of Popen."""

    def __init__(self, *flags, state=None, start=True, prefix=(), **options):
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o755)
        self.state = state or os.path.join(self.folder.name, "state")
        self.socket = os.path.join(self.folder.name, "s")
        self.flags, self.prefix, self.options = flags, prefix, options
        self.child, self.lines, self.news = None, [], threading.Condition()
        if start:
            self.start()

    def command(self):
        return [*self.prefix, COORDD, "-listen", "127.0.0.1:0", "-admin", "",
                "-state", self.state, "-socket", self.socket, *self.flags]

    def run(self):
        """Starts it, and waits for it to end by itself: (status, lines)."""
        done = subprocess.run(
            self.command(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=LIMIT, **self.options)
        assert done.stdout == "", done.stdout
        return done.returncode, done.stderr.splitlines()

    def start(self):
        self.child = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self.options)
        self.lines, self.ended = [], False
        self.reader = threading.Thread(
            target=self._read, args=(self.child.stderr,), daemon=True)
        self.reader.start()
        try:
            ready = self.line(r" ready at http://127\.0\.0\.1:(\d+), ")
        except BaseException:
            self.kill()
            raise
        self.port = int(ready[1])

    def _read(self, stderr):
        with stderr:
            for line in stderr:
                with self.news:
                    self.lines.append(line.rstrip("\n"))
                    self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def line(self, pattern):
        """Waits for a match in the log."""
        deadline = time.monotonic() + LIMIT
        with self.news:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                left = deadline - time.monotonic()
                assert left > 0 and not self.ended, \
                    f"no {pattern!r} in the log: {self.lines}"
                self.news.wait(left)

    def kill(self):
        self.child.kill()
        self.child.wait(LIMIT)
        self.reader.join(LIMIT)
        self.child = None

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        status = self.child.wait(LIMIT)
        self.reader.join(LIMIT)
        self.child = None
        assert status == 0, (status, self.lines)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.child is not None and kind is not None:
            self.kill()
        elif self.child is not None:
            self.stop()
        self.folder.cleanup()

    # coordctl, in four ways.
    def ctl(self, *arguments, **options):
        return ctlfake.ctl(*arguments, socket=self.socket, **options)

    def works(self, *arguments, **options):
        return ctlfake.works(*arguments, socket=self.socket, **options)

    def fails(self, *arguments, **options):
        return ctlfake.fails(1, *arguments, socket=self.socket, **options)

    def json(self, *arguments):
        return json.loads(self.works(*arguments, "--json"))

    def authkey(self, *flags, user="robots"):
        """Makes a key, and its user if there is none."""
        if all(u["name"] != user for u in self.json("users", "list")):
            self.works("users", "create", user)
        return self.works(
            "preauthkeys", "create", "--user", user, *flags).strip()


# ---- Noise IK, as Tailscale uses it ----

def blake(data):
    return hashlib.blake2s(data).digest()


def hkdf(salt, secret):
    """Two keys (RFC 5869 without info)."""
    prk = hmac.new(salt, secret, "blake2s").digest()
    first = hmac.new(prk, b"\1", "blake2s").digest()
    return first, hmac.new(prk, first + b"\2", "blake2s").digest()


def seal(key, counter, text, more=b""):
    return bindings.crypto_aead_chacha20poly1305_ietf_encrypt(
        text, more, bytes(4) + counter.to_bytes(8, "big"), key)


def unseal(key, counter, text, more=b""):
    return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(
        text, more, bytes(4) + counter.to_bytes(8, "big"), key)


class Handshake:
    VERSION = 142

    def __init__(self, server, machine):
        self.server, self.machine = server, machine
        self.own = os.urandom(32)
        name = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
        self.chain = self.hash = blake(name)
        self.mix(b"Tailscale Control Protocol v%d" % self.VERSION)
        self.mix(server)

    def mix(self, data):
        self.hash = blake(self.hash + data)
        return data

    def key(self, private, public):
        self.chain, key = hkdf(
            self.chain, bindings.crypto_scalarmult(private, public))
        return key

    def sealed(self, key, text):
        return self.mix(seal(key, 0, text, self.hash))

    def first(self):
        body = self.mix(bindings.crypto_scalarmult_base(self.own))
        body += self.sealed(self.key(self.own, self.server),
                            bindings.crypto_scalarmult_base(self.machine))
        body += self.sealed(self.key(self.machine, self.server), b"")
        return struct.pack(">HBH", self.VERSION, 1, len(body)) + body

    def second(self, body):
        """Takes the answer; returns the keys to send and to receive with."""
        other = self.mix(body[:32])
        self.key(self.own, other)
        unseal(self.key(self.machine, other), 0, body[32:], self.hash)
        return hkdf(self.chain, b"")


# ---- a client ----

DATA, HEADERS, SETTINGS, WINDOW_UPDATE, GOAWAY, RST_STREAM = 0, 1, 4, 8, 7, 3
END_STREAM, ACK, END_HEADERS = 1, 1, 4
STATUS = {0x88: 200, 0x89: 204, 0x8c: 400, 0x8d: 404, 0x8e: 500}


class Client:
    """One machine with one node key. A request at a time."""

    def __init__(self, coordd, machine=None, node=None):
        self.port = coordd.port
        self.machine = machine or os.urandom(32)
        self.node = node or os.urandom(32)
        self.node_key = "nodekey:" + \
            bindings.crypto_scalarmult_base(self.node).hex()
        self.stream = -1
        self.plain = b""
        self.sent = self.received = 0
        self._connect()

    def _connect(self):
        page = http.client.HTTPConnection("127.0.0.1", self.port, LIMIT)
        with contextlib.closing(page):
            page.request("GET", f"/key?v={Handshake.VERSION}")
            key = json.loads(page.getresponse().read())["publicKey"]
        hand = Handshake(
            bytes.fromhex(key.removeprefix("mkey:")), self.machine)
        self.tcp = socket.create_connection(("127.0.0.1", self.port), LIMIT)
        # Its records are small, and would wait for the answer to the last.
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = self.tcp.makefile("rb")
        first = base64.b64encode(hand.first())
        self.tcp.sendall(
            b"POST /ts2021 HTTP/1.1\r\nHost: c\r\nConnection: upgrade\r\n"
            b"Upgrade: tailscale-control-protocol\r\nContent-Length: 0\r\n"
            b"X-Tailscale-Handshake: " + first + b"\r\n\r\n")
        if not (line := self.wire.readline()):
            raise ConnectionResetError("coordd is gone")
        assert b" 101 " in line, line
        while self.wire.readline() != b"\r\n":
            pass
        kind, size = struct.unpack(">BH", self._exactly(3))
        assert (kind, size) == (2, 48)
        self.to_key, self.from_key = hand.second(self._exactly(48))
        self._send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        # INITIAL_WINDOW_SIZE; then the same for the connection.
        self._frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 24))
        self._frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24))

    def _exactly(self, n):
        data = self.wire.read(n)
        if len(data) != n:
            raise ConnectionResetError("coordd is gone")
        return data

    def _send(self, data):
        for at in range(0, len(data), 4077):
            text = seal(self.to_key, self.sent, data[at:at + 4077])
            self.sent += 1
            self.tcp.sendall(struct.pack(">BH", 4, len(text)) + text)

    def _frame(self, kind, flags, stream, body):
        self._send(len(body).to_bytes(3, "big") +
                   struct.pack(">BBI", kind, flags, stream) + body)

    def _read(self, n):
        while len(self.plain) < n:
            kind, size = struct.unpack(">BH", self._exactly(3))
            assert kind == 4, kind
            self.plain += unseal(
                self.from_key, self.received, self._exactly(size))
            self.received += 1
            if self.plain.startswith(b"\xff\xff\xffTS"):
                # The early payload.
                size = 9 + int.from_bytes(self.plain[5:9], "big")
                self.plain = self.plain[size:]
        data, self.plain = self.plain[:n], self.plain[n:]
        return data

    def post(self, path, value):
        """Returns the status and the body of the answer."""
        self.stream += 2
        body = json.dumps(value).encode()
        fields = {":method": "POST", ":scheme": "https", ":authority": "c",
                  ":path": path, "content-length": str(len(body))}
        # First, that no table is kept, as coordd wants it (RFC 7541 section 4.2).
        self._frame(HEADERS, END_HEADERS, self.stream, b"\x20" + b"".join(
            b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode()
            for k, v in fields.items()))
        while len(body) > 16000:
            self._frame(DATA, 0, self.stream, body[:16000])
            body = body[16000:]
        self._frame(DATA, END_STREAM, self.stream, body)
        status, answer = None, b""
        while True:
            head = self._read(9)
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            part = self._read(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                self._frame(SETTINGS, ACK, 0, b"")
            assert kind != GOAWAY and kind != RST_STREAM, (kind, part)
            if stream != self.stream:
                continue
            if kind == HEADERS:
                status = STATUS.get(part.lstrip(b"\x20")[0], 0)
            elif kind == DATA:
                answer += part
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return status, answer

    def register(self, authkey=None, hostname="robot", **more):
        status, body = self.post("/machine/register", {
            "Version": Handshake.VERSION, "NodeKey": self.node_key,
            "OldNodeKey": "nodekey:" + "0" * 64,
            "Auth": {"AuthKey": authkey} if authkey else None,
            "Expiry": "0001-01-01T00:00:00Z",
            "Hostinfo": {"Hostname": hostname, "OS": "linux"}, **more})
        assert status == 200, (status, body)
        return json.loads(body)

    def join(self, authkey, hostname="robot"):
        """Joins, or raises what coordd says against it."""
        answer = self.register(authkey, hostname)
        if answer.get("Error") or not answer.get("MachineAuthorized"):
            raise PermissionError(answer.get("Error"))
        return answer

    def map(self):
        """What it is told: one whole message."""
        status, body = self.post("/machine/map", {
            "Version": Handshake.VERSION, "NodeKey": self.node_key,
            "DiscoKey": "discokey:" + self.node.hex(), "Stream": False,
            "OmitPeers": False, "Hostinfo": {"OS": "linux"}})
        assert status == 200, (status, body)
        size, = struct.unpack("<I", body[:4])
        assert len(body) == 4 + size, (size, len(body))
        return json.loads(body[4:])

    def close(self):
        self.wire.close()
        self.tcp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
