#!/usr/bin/python3
"""stundc: what the system tests of stund share: STUN messages written anew, so
as not to believe the code under test, a running stund, and the runner.

The program is $STUND (default build/release/stund).
"""

import contextlib
import http.client
import os
import pathlib
import queue
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib

from taprun import Skip, main  # for those who import this, too

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
STUND = os.path.abspath(os.environ.get("STUND", TOP / "build/release/stund"))

# No condition takes longer than this, on a busy machine and with sanitizers.
LIMIT = 20.0

COOKIE = 0x2112A442
REQUEST, INDICATION, SUCCESS, ERROR = 0x0001, 0x0011, 0x0101, 0x0111


UNLIMITED = ("-source-rate", "0", "-prefix-rate", "0", "-total-rate", "0")


# ---- STUN ----

def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind=REQUEST, attributes=b"", txid=None, fingerprint=False,
            cookie=COOKIE):
    txid = os.urandom(12) if txid is None else txid
    length = len(attributes) + (8 if fingerprint else 0)
    m = struct.pack(">HHI", kind, length, cookie) + txid + attributes
    if fingerprint:
        m += struct.pack(">HHI", 0x8028, 4, zlib.crc32(m) ^ 0x5354554E)
    return m


def tailnode():
    return message(attributes=attribute(0x8022, b"tailnode"), fingerprint=True)


def attributes_of(m):
    found = {}
    at = 20
    while at < len(m):
        kind, length = struct.unpack_from(">HH", m, at)
        found.setdefault(kind, m[at + 4:at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    assert at == len(m), "attributes end with the message"
    return found


def mapped(m):
    """The address in a success response: (text, port)."""
    kind, length, cookie = struct.unpack_from(">HHI", m)
    assert kind == SUCCESS and cookie == COOKIE and length == len(m) - 20
    value = attributes_of(m)[0x0020]
    port = struct.unpack_from(">H", value, 2)[0] ^ COOKIE >> 16
    ip = bytes(a ^ b for a, b in zip(value[4:], m[4:20]))
    family = {1: socket.AF_INET, 2: socket.AF_INET6}[value[1]]
    return socket.inet_ntop(family, ip), port


# ---- the server ----

class Stund:
    """One running stund. Ports are the kernel's choice, read from its log."""

    def __init__(self, *flags, listen=("127.0.0.1:0",), env=None, before=()):
        flags = [f for a in listen for f in ("-listen", a)] + list(flags)
        self.child = subprocess.Popen(
            [*before, STUND, *flags], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, env={**os.environ, **(env or {})})
        self.lines = []
        self.queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.ports = [self._port() for _ in listen]
        except BaseException:
            self.child.kill()
            self.child.wait()
            raise

    def _read(self):
        for line in self.child.stderr:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def line(self, pattern):
        """Waits for a line of the log; returns the match."""
        deadline = time.monotonic() + LIMIT
        while True:
            line = self.queue.get(timeout=max(0, deadline - time.monotonic()))
            assert line is not None, f"ended: {self.lines}"
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    def _port(self):
        return int(self.line(r"listening udp \S+:(\d+)$")[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            status = self.child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise
        assert kind or status == 0, f"exit status {status}: {self.lines}"


def udp(family=socket.AF_INET, host=None):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host or ("127.0.0.1" if family == socket.AF_INET else "::1"), 0))
    s.settimeout(LIMIT)
    return s


def ask(s, to, request):
    s.sendto(request, to)
    answer, source = s.recvfrom(4096)
    assert answer[8:20] == request[8:20], "the transaction id comes back"
    return answer, source


def has_ipv6():
    with contextlib.suppress(OSError), udp(socket.AF_INET6):
        return True
    return False


def free_tcp_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def run(*flags):
    """Runs stund to its end: (status, stdout, stderr)."""
    done = subprocess.run([STUND, *flags], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


def refused(*flags, says):
    """One line on standard error that holds all of `says`, and status 2."""
    status, out, err = run(*flags)
    assert status == 2, f"status {status}: {err}"
    assert out == "" and err.count("\n") == 1, (out, err)
    assert err.startswith("stund: "), err
    for word in says:
        assert word in err, f"{word!r} is not in {err!r}"


def http_get(port, path, method="GET"):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    with contextlib.closing(c):
        c.request(method, path)
        r = c.getresponse()
        return r.status, r.getheader("Content-Type"), r.read().decode()


def outcome(name, transport="udp", family="ipv4"):
    return (f'campusnet_stun_requests_total{{transport="{transport}",'
            f'family="{family}",outcome="{name}"}}')


def samples(page):
    return {name: float(value) for name, value in
            re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", page, re.M)}


def wait_for(look, enough):
    """Looks again and again, until what is seen is enough; returns that."""
    deadline = time.monotonic() + LIMIT
    while not enough(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen
