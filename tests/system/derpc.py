"""derpc: what the tests of relayd share: the program under test, a small DERP
client and TAP. The client is written anew, so as not to believe the code under
test; nothing of it is fit for another use.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import signal
import tempfile
import threading
import time
import traceback

import nacl.exceptions
import nacl.public

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
RELAYD = os.path.abspath(
    os.environ.get("RELAYD", TOP / "build/release/relayd"))
VARIANT = os.environ.get("VARIANT", "release")
SANITIZED = VARIANT in ("asan", "tsan")

# No condition takes longer than this, on a busy machine and with sanitizers.
LIMIT = 120.0 if SANITIZED else 40.0

MIB = 1 << 20
# What the relay may grow by in a case; address sanitizer keeps freed memory.
GROWTH = 1024 * MIB if SANITIZED else 48 * MIB

SERVER_KEY, CLIENT_INFO, SERVER_INFO, SEND, RECV, KEEP_ALIVE, PREFERRED, \
    PEER_GONE, PEER_PRESENT, FORWARD = range(1, 11)
WATCH, CLOSE_PEER, PING, PONG = range(0x10, 0x14)
GONE_DISCONNECTED, GONE_NOT_HERE = 0, 1

MAGIC = bytes.fromhex("44455250f09f9491")
DISCO = b"TS\xf0\x9f\x92\xac" + bytes(56)


class Skip(Exception):
    pass


class Closed(Exception):
    """The relay ended the connection."""


def until(condition, what, limit=LIMIT):
    """Waits for a condition; returns its first true value."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not in {limit:.0f} s: {what}"
        time.sleep(0.02)
    return value


def samples(page):
    """{series: value} of a page of metrics."""
    return {name: float(value) for name, value in
            re.findall(r"^([a-z_0-9]+(?:\{[^}]*\})?) (\S+)$", page, re.M)}


# ---- the relay ----

class Relayd:
    """One running relayd on loopback. Ports are the kernel's choice, read from
    its log. Leaving the with block stops it, and expects exit status 0."""

    def __init__(self, *flags, state=None, tls=True, base=True, env=None,
                 program=RELAYD, **options):
        self.folder = None
        if state is None:
            self.folder = tempfile.TemporaryDirectory()
            state = self.folder.name
        self.state = pathlib.Path(state)
        command = [program]
        if base:
            command += ["-a", "127.0.0.1:0", "-http-port", "0", "-stun=false",
                        "-hostname", "127.0.0.1",
                        "-c", str(self.state / "derper.key"),
                        "-certdir", str(self.state / "certs")]
            command += ["-certmode", "manual"] * tls
        self.tls = tls
        self.child = subprocess.Popen(
            [*command, *flags], stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})}, **options)
        self.lines, self.news = [], threading.Condition()
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            ready = self.line(r"relay nodekey:([0-9a-f]{64}) ready, (\d+) ")
        except BaseException:
            self.child.kill()
            self._gone()
            raise
        self.key, self.workers = bytes.fromhex(ready[1]), int(ready[2])
        self.port = self.port_of("a", "tcp")
        # Pages that the tests ask for do not count as TLS requests.
        self.pages = self.port_of("http-port", "tcp") or self.port

    @property
    def pid(self):
        return self.child.pid

    def _read(self):
        for line in self.child.stderr:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def logged(self, pattern):
        """The matches in the log so far."""
        with self.news:
            lines = list(self.lines)
        return [m for m in (re.search(pattern, line) for line in lines) if m]

    def line(self, pattern, after=0):
        """Waits for a match in the log, from line `after` on."""
        deadline = time.monotonic() + LIMIT
        with self.news:
            while True:
                for line in self.lines[after:]:
                    if found := re.search(pattern, line):
                        return found
                assert not self.ended, f"it ended: {self.lines}"
                left = deadline - time.monotonic()
                assert left > 0, f"no {pattern!r} in the log: {self.lines}"
                self.news.wait(left)

    def port_of(self, flag, protocol):
        found = self.logged(rf"listening on \S+:(\d+)/{protocol} \({flag}\)$")
        return int(found[0][1]) if found else None

    def get(self, path):
        """Asks the plain port: (status, body)."""
        c = http.client.HTTPConnection("127.0.0.1", self.pages, timeout=LIMIT)
        with contextlib.closing(c):
            c.request("GET", path, headers={"Connection": "close"})
            r = c.getresponse()
            return r.status, r.read().decode()

    def metrics(self):
        status, page = self.get("/metrics")
        assert status == 200, page
        return samples(page)

    def metric(self, name):
        return self.metrics()[name]

    def closed(self, reason):
        return self.metric(f'relayd_closed{{reason="{reason}"}}')

    def status(self):
        """/proc's fields of the process."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines()
                    if ":\t" in line)

    def rss(self):
        return int(self.status()["VmRSS"].split()[0]) * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self):
        self.child.kill()
        self._gone()

    def stop(self, signo=signal.SIGTERM):
        """Stops it; the exit status."""
        if self.child.poll() is None:
            self.child.send_signal(signo)
        try:
            return self.child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise
        finally:
            self._gone()

    def _gone(self):
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()
        self.child.stderr.close()
        if self.folder is not None:
            self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.child.returncode is not None:
            return
        status = self.stop()
        if kind is not None:
            # Comes before the traceback, for whoever reads the report.
            print("\n".join(f"# log: {line}" for line in self.lines[-20:]))
        assert kind or status == 0, f"exit status {status}: {self.lines}"


# ---- the client ----

def tcp(port, rcvbuf=None, host="127.0.0.1"):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(LIMIT)
    if rcvbuf is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    try:
        # By way of getaddrinfo, which knows the scope of fe80::1%lo.
        s.connect(socket.getaddrinfo(host, port, s.family, s.type)[0][4])
    except BaseException:
        s.close()
        raise
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def tls_context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def client_hello():
    """The bytes with which a TLS client begins."""
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        tls_context().wrap_bio(come, go).do_handshake()
    return go.read()


def frame(kind, payload=b""):
    return struct.pack(">BI", kind, len(payload)) + payload


def head(fast=False, *fields, path="/derp"):
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1",
             "User-Agent: Go-http-client/1.1", "Connection: Upgrade",
             "Upgrade: DERP", *["Derp-Fast-Start: 1"] * fast, *fields, "", ""]
    return "\r\n".join(lines).encode()


INFO = {"version": 2, "CanAckPings": True}


class Client:
    """A DERP connection, made up to a stage:

    tcp    connected                    hello  101 and ServerKey are here
    tls    handshake done               derp   admitted: ServerInfo is here
    """

    def __init__(self, relay, upto="derp", *, key=None, fast=False,
                 rcvbuf=None, fields=(), host="127.0.0.1"):
        self.private = key or nacl.public.PrivateKey.generate()
        self.key = bytes(self.private.public_key)
        self.buffer = bytearray()
        self.server_key = relay.key
        self.socket = tcp(relay.port, rcvbuf, host)
        try:
            self._begin(relay, upto, fast, fields)
        except BaseException:
            self.socket.close()
            raise

    def _begin(self, relay, upto, fast, fields):
        if upto == "tcp":
            return
        if relay.tls:
            self.socket = tls_context().wrap_socket(self.socket)
        if upto == "tls":
            return
        if fast and upto == "derp":
            self.send(head(True, *fields) + self.info())
        else:
            self.send(head(fast, *fields))
        if not fast:
            self._read_101()
        kind, payload = self.frame()
        assert kind == SERVER_KEY and payload == MAGIC + relay.key
        if upto == "hello":
            return
        if not fast:
            self.send(self.info())
        self.read_server_info()

    def _read_101(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        text, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        lines = text.decode().split("\r\n")
        assert lines[0].startswith("HTTP/1.1 101 "), lines
        fields = dict(line.split(": ", 1) for line in lines[1:])
        assert fields["Upgrade"] == "DERP" and fields["Derp-Version"] == "2"
        assert fields["Derp-Public-Key"] == self.server_key.hex()

    def box(self):
        return nacl.public.Box(self.private,
                               nacl.public.PublicKey(self.server_key))

    def info(self, text=None):
        """A ClientInfo frame; text is JSON, or bytes."""
        text = json.dumps(INFO).encode() if text is None else text
        return frame(CLIENT_INFO, self.key + bytes(self.box().encrypt(text)))

    def read_server_info(self):
        kind, payload = self.frame()
        assert kind == SERVER_INFO, f"frame {kind} before ServerInfo"
        info = json.loads(self.box().decrypt(payload))
        assert info["version"] == 2, info

    # -- bytes --

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise Closed(str(error)) from error

    def _more(self, limit=LIMIT):
        self.socket.settimeout(max(limit, 0.001))
        try:
            data = self.socket.recv(1 << 16)
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise Closed(str(error)) from error
        finally:
            with contextlib.suppress(OSError):
                self.socket.settimeout(LIMIT)
        if not data:
            raise Closed("end of stream")
        self.buffer += data

    def wait_closed(self, limit=LIMIT):
        """Reads what comes until the relay ends the connection; returns it."""
        deadline = time.monotonic() + limit
        with contextlib.suppress(Closed):
            while True:
                self._more(deadline - time.monotonic())
        return bytes(self.buffer)

    # -- frames --

    def frame(self, limit=LIMIT):
        """The next frame: (type, payload)."""
        deadline = time.monotonic() + limit
        while len(self.buffer) < 5:
            self._more(deadline - time.monotonic())
        kind, n = struct.unpack_from(">BI", self.buffer)
        assert n <= MIB, f"frame {kind} of {n} bytes"
        while len(self.buffer) < 5 + n:
            self._more(deadline - time.monotonic())
        payload = bytes(self.buffer[5:5 + n])
        del self.buffer[:5 + n]
        return kind, payload

    def expect(self, *kinds, limit=LIMIT):
        """The next frame of these types; others are passed over."""
        deadline = time.monotonic() + limit
        while True:
            kind, payload = self.frame(deadline - time.monotonic())
            if kind in kinds:
                return kind, payload

    def packet(self, limit=LIMIT):
        """The next packet: (key of its source, packet)."""
        payload = self.expect(RECV, limit=limit)[1]
        return payload[:32], payload[32:]

    def send_packet(self, to, packet):
        self.send(frame(SEND, getattr(to, "key", to) + packet))

    def ping(self):
        """Asks, and waits for the answer: all sent before was worked off."""
        data = os.urandom(8)
        self.send(frame(PING, data))
        assert self.expect(PONG)[1] == data

    # -- the end --

    def close(self):
        """Ends it with a FIN."""
        self.socket.close()

    def reset(self):
        """Ends it with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()


def exchange(x, y, count=20, sizes=(1, 100, 1400)):
    """count packets each way between two clients; all arrive, in order."""
    for a, b in ((x, y), (y, x)):
        sent = [os.urandom(sizes[i % len(sizes)]) for i in range(count)]
        for packet in sent:
            a.send_packet(b, packet)
        for packet in sent:
            assert b.packet() == (a.key, packet), "lost, or not what was sent"


def check_healthy(relay):
    """Two new clients, one by fast start, reach each other."""
    with Client(relay) as x, Client(relay, fast=True) as y:
        exchange(x, y, 8, (0, 1, 1400, 65536))


GAUGES = ("derp_current_connections", "derp_current_home_connections",
          "derp_current_notideal_connections", "derp_clients_total",
          "derp_clients_local", "derp_current_dup_client_keys",
          "derp_current_dup_client_conns",
          'derper_tls_active_version{version="1.3"}')


def check_settled(relay):
    """All gauges are back at zero, and the directory agrees."""
    def raised():
        now = relay.metrics()
        return {name: now[name] for name in GAUGES if now[name] != 0}
    try:
        until(lambda: not raised(), "gauges back to zero")
    except AssertionError:
        raise AssertionError(f"gauges stay: {raised()}") from None
    assert relay.get("/debug/check")[0] == 200, "ConsistencyCheck"


# ---- TAP ----

def main(tests):
    """tests: (name, function) pairs. Returns the exit status."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    return 1 if failed else 0
