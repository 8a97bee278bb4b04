"""coordwire: a client of coordd that may break every rule: each byte, record
and frame of it is the test's. What it shares with the well-behaved one of
coordc.py is the handshake.
"""

import base64
import contextlib
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import tempfile

from nacl import bindings

from coordapi import Api
from coordc import (
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, LIMIT, RST_STREAM,
    SETTINGS, STATUS, WINDOW_UPDATE, Client, Handshake, seal, unseal)
from shiftclock import Clocks

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, CONTINUATION = 6, 9
PREFIX = "campusnet_coordd_"


def certificate(folder, name="cert"):
    """Makes FOLDER/name.crt and name.key; returns both paths."""
    crt, key = (os.path.join(folder, f"{name}.{end}") for end in ("crt", "key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
         f"/CN={name}", "-keyout", key, "-out", crt], check=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT)
    return crt, key


class Target(Api):
    """A coordd that tells why it closes connections, plain and with TLS, and
    whose clocks can be moved."""

    def __init__(self, *flags, tls=True, start=True, **options):
        self.certs = tempfile.TemporaryDirectory()
        self.clocks = Clocks()
        self.tls_port = None
        if tls:
            self.crt, self.key_file = certificate(self.certs.name)
            flags = ("-tls-listen", "127.0.0.1:0", "-tls-cert", self.crt,
                     "-tls-key", self.key_file, *flags)
        super().__init__("-log", "debug", *flags, start=False,
                         env=self.clocks.env, **options)
        self.has_tls = tls
        if start:
            self.start()

    def start(self):
        super().start()
        if self.has_tls:
            self.tls_port = int(self.line(
                r"listening on 127\.0\.0\.1:(\d+)/tcp \(tls-listen\)")[1])
        text = self.line(r"coordinator mkey:([0-9a-f]{64}) ready")[1]
        self.public = bytes.fromhex(text)

    def metric(self, name):
        for line in self.raw("GET", "/metrics").body.decode().splitlines():
            if line.startswith((PREFIX + name + " ", name + " ")):
                return int(float(line.split()[1]))
        raise KeyError(name)

    def rss(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def settled(self):
        return self.metric("open_connections") == 0 and \
            self.metric("open_streams") == 0

    def __exit__(self, *reason):
        super().__exit__(*reason)
        self.clocks.close()
        self.certs.cleanup()


class Wire:
    """A connection: bytes out, bytes in."""

    def __init__(self, d, tls=False, source="127.0.0.1"):
        self.tcp = socket.create_connection(
            ("127.0.0.1", d.tls_port if tls else d.port), LIMIT, (source, 0))
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.tcp = context.wrap_socket(self.tcp)
        self.pending = b""

    def send(self, data):
        """True unless coordd is gone."""
        try:
            self.tcp.sendall(data)
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def some(self):
        """What comes next; b"" at the end, clean or not."""
        try:
            return self.tcp.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return b""

    def take(self, n):
        while len(self.pending) < n:
            if not (more := self.some()):
                raise EOFError(self.pending)
            self.pending += more
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def rest(self):
        """All until the end, which must come."""
        data, self.pending = self.pending, b""
        while more := self.some():
            data += more
        return data

    def reset(self):
        """Goes without a goodbye."""
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.tcp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def upgrade(first, field=b"X-Tailscale-Handshake: %s\r\n"):
    """The head that asks for a Noise connection."""
    if isinstance(first, bytes):
        first = base64.b64encode(first)
    else:
        first = first.encode()
    return (b"POST /ts2021 HTTP/1.1\r\nHost: c\r\nConnection: upgrade\r\n"
            b"Upgrade: tailscale-control-protocol\r\nContent-Length: 0\r\n" +
            (field % first if field else b"") + b"\r\n")


def status_line(data):
    """Status of an answer, 0 if there is none."""
    return int(data.split()[1]) if data.startswith(b"HTTP/1.1 ") else 0


def ask(d, data, tls=False):
    """Sends bytes; returns the status and the body of the one answer."""
    with Wire(d, tls) as wire:
        wire.send(data)
        answer = wire.rest()
    return status_line(answer), answer.partition(b"\r\n\r\n")[2]


class Answer:
    """What came on a stream so far."""

    def __init__(self):
        self.status, self.body, self.ended = None, b"", False


class Tunnel(Wire):
    """Noise, and HTTP/2 inside it as far as the test wants."""

    def __init__(self, d, machine=None, node=None, tls=False, preface=True,
                 source="127.0.0.1"):
        super().__init__(d, tls, source)
        self.machine = machine or os.urandom(32)
        self.public = bindings.crypto_scalarmult_base(self.machine)
        self.node = node or os.urandom(32)
        self.node_key = "nodekey:" + \
            bindings.crypto_scalarmult_base(self.node).hex()
        self.plain, self.sent, self.received, self.stream = b"", 0, 0, -1
        self.goaway = None  # the error that came in one
        self.streams, self.reading = {}, True
        hand = Handshake(d.public, self.machine)
        self.first = hand.first()
        self.send(upgrade(self.first))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        assert status_line(head) == 101, head
        assert self.take(3) == b"\2\0\x30"
        self.to_key, self.from_key = hand.second(self.take(48))
        if preface:
            self.record(PREFACE)
            self.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 24))
            self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24))

    # Records.
    def sealed(self, plain):
        text = seal(self.to_key, self.sent, plain)
        self.sent += 1
        return struct.pack(">BH", 4, len(text)) + text

    def record(self, plain):
        return self.send(b"".join(self.sealed(plain[i:i + 4077])
                                  for i in range(0, len(plain), 4077)))

    def opened(self):
        kind, size = struct.unpack(">BH", self.take(3))
        assert kind == 4, kind
        plain = unseal(self.from_key, self.received, self.take(size))
        self.received += 1
        return plain

    # Frames.
    def frame(self, kind, flags, stream, body=b""):
        return self.record(frame(kind, flags, stream, body))

    def read(self):
        """The next frame: kind, flags, stream, body."""
        def take(n):
            while len(self.plain) < n:
                self.plain += self.opened()
                if self.plain.startswith(b"\xff\xff\xffTS"):
                    size = 9 + int.from_bytes(self.plain[5:9], "big")
                    self.plain = self.plain[size:]
            data, self.plain = self.plain[:n], self.plain[n:]
            return data

        head = take(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        body = take(int.from_bytes(head[:3], "big"))
        if kind == GOAWAY:
            self.goaway = int.from_bytes(body[4:8], "big")
        return kind, flags, stream, body

    def frames(self):
        """All that come until the end, which must come."""
        frames = []
        with contextlib.suppress(EOFError):
            while True:
                frames.append(self.read())
        return frames

    # Requests.
    def begin(self, path, body=None, method="POST", end=True, **fields):
        """Opens a stream; the body, if there is one, follows and ends it."""
        self.stream += 2
        names = {":method": method, ":scheme": "https", ":authority": "c",
                 ":path": path, **fields}
        self.frame(HEADERS, END_HEADERS | (END_STREAM if body is None and end
                                           else 0), self.stream, hpack(names))
        if body is not None:
            data = body if isinstance(body, bytes) else \
                json.dumps(body).encode()
            self.body(self.stream, data, end)
        return self.stream

    def body(self, stream, data, end=True):
        parts = [data[i:i + 16000] for i in range(0, len(data), 16000)] or [b""]
        for part in parts[:-1]:
            self.frame(DATA, 0, stream, part)
        self.frame(DATA, END_STREAM if end else 0, stream, parts[-1])

    def step(self):
        """Files the next frame with its stream; what it read may be sent
        again."""
        kind, flags, number, part = self.read()
        if kind == SETTINGS and not flags & ACK:
            self.frame(SETTINGS, ACK, 0)
        assert kind != GOAWAY or self.goaway == 0, part
        stream = self.streams.setdefault(number, Answer())
        if kind == HEADERS:
            stream.status = status_of(part)
        elif kind == DATA:
            stream.body += part
        elif kind == RST_STREAM:
            stream.status, stream.ended = None, True
            stream.body = int.from_bytes(part, "big")
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            stream.ended = True
        elif kind == DATA and part and self.reading:
            size = struct.pack(">I", len(part))
            self.frame(WINDOW_UPDATE, 0, 0, size)
            self.frame(WINDOW_UPDATE, 0, number, size)

    def answer(self, stream):
        """Status and body of an answer that ends; (None, error) if it is
        reset."""
        while not self.streams.setdefault(stream, Answer()).ended:
            self.step()
        answer = self.streams.pop(stream)
        return answer.status, answer.body

    def post(self, path, value):
        return self.answer(self.begin(path, value))

    def map_request(self, **more):
        return {"Version": 142, "NodeKey": self.node_key, "Stream": True,
                "KeepAlive": True, **more}

    def open_map(self, **more):
        """Opens a stream of maps and reads the first."""
        self.map_stream = self.begin("/machine/map", self.map_request(**more))
        return self.message()

    def message(self):
        """The next message of the stream; None at its end."""
        stream = self.streams.setdefault(self.map_stream, Answer())
        while len(stream.body) < 4 or len(stream.body) < 4 + \
                struct.unpack("<I", stream.body[:4])[0]:
            if stream.ended:
                assert (stream.status, stream.body) == (200, b"")
                return None
            self.step()
        size, = struct.unpack("<I", stream.body[:4])
        text, stream.body = stream.body[4:4 + size], stream.body[4 + size:]
        return json.loads(text)


def frame(kind, flags, stream, body=b""):
    return len(body).to_bytes(3, "big") + \
        struct.pack(">BBI", kind, flags, stream) + body


def hpack(fields):
    """Literals without indexing, and that no table is kept (RFC 7541)."""
    def text(s):
        s = s if isinstance(s, bytes) else s.encode()
        head, n = b"", len(s)
        if n < 127:
            head = bytes([n])
        else:
            head, n = b"\x7f", n - 127
            while n >= 128:
                head, n = head + bytes([n % 128 + 128]), n // 128
            head += bytes([n])
        return head + s

    pairs = fields.items() if isinstance(fields, dict) else fields
    return b"\x20" + b"".join(b"\0" + text(k) + text(v) for k, v in pairs)


def status_of(head):
    """It comes first: as an index, or as three digits behind one."""
    head = head.lstrip(b"\x20")
    return STATUS[head[0]] if head[0] & 0x80 else int(head[2:5])


def joined(d, count, user="robots"):
    """Well-behaved clients that have joined."""
    key = d.authkey("--reusable", user=user)
    clients = [Client(d) for _ in range(count)]
    for number, client in enumerate(clients):
        client.join(key, f"robot{number}")
    return clients
