#!/usr/bin/python3
"""stund_stream_test: the real stund over TCP and TLS, from outside, and from
those who mean it no good. Prints TAP.

The program is $STUND (default build/release/stund).
"""

import contextlib
import os
import pathlib
import random
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import stundc
from stundc import LIMIT, UNLIMITED, Skip, Stund, attribute, attributes_of
from stundc import mapped, message, udp

MAPPED_ADDRESS, RESPONSE_ORIGIN, OTHER_ADDRESS = 0x0001, 0x802B, 0x802C
ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x0009, 0x000A
ALPN = "stun.nat-discovery"


class Client:
    """One connection, TCP or TLS, that speaks STUN."""

    def __init__(self, to, source="127.0.0.1", tls=None):
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        self.s = socket.socket(family)
        try:
            if family == socket.AF_INET:
                self.s.bind((source, 0))
            self.s.settimeout(LIMIT)
            self.s.connect(to)
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.name = self.s.getsockname()[:2]
            if tls:
                self.s = tls.wrap_socket(self.s, server_hostname="stun.example")
        except BaseException:
            self.s.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, data):
        self.s.sendall(data)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            assert more, f"ended after {len(data)} of {n} bytes"
            data += more
        return data

    def answer(self):
        head = self.exactly(20)
        return head + self.exactly(struct.unpack_from(">H", head, 2)[0])

    def ask(self, request):
        self.send(request)
        answer = self.answer()
        assert answer[8:20] == request[8:20], "the transaction id comes back"
        return answer

    def works(self):
        assert mapped(self.ask(message())) == self.name
        return True

    def ended(self):
        """Reads to the end; returns what came. A reset is an end, too."""
        data = b""
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError,
                                 BrokenPipeError):
            while more := self.s.recv(65536):
                data += more
        return data


def at(d, host="127.0.0.1", which=0):
    return host, d.ports[which]


class Metrics:
    """The flags for a metrics page, and what it says."""

    def __init__(self):
        self.port = stundc.free_tcp_port()
        self.flags = ("-metrics", f"127.0.0.1:{self.port}")

    def __getitem__(self, name):
        return stundc.samples(
            stundc.http_get(self.port, "/metrics")[2])[name]

    def closed(self, why):
        return self[f'campusnet_stun_connections_closed_total{{reason="{why}"}}']

    def wait(self, condition, what):
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.02)


def code_of(answer):
    value = attributes_of(answer)[ERROR_CODE]
    return value[2] * 100 + value[3]


# ---- TCP ----

def answers_v4():
    with Stund() as d, Client(at(d)) as c:
        found = attributes_of(c.ask(message()))
        # Nobody's source can be forged here: all of RFC 5780 comes, also for
        # 20 bytes.
        assert set(found) == {0x0020, MAPPED_ADDRESS, RESPONSE_ORIGIN}, found
        assert found[RESPONSE_ORIGIN] == struct.pack(
            ">HH4B", 1, d.ports[0], 127, 0, 0, 1)
        assert len(c.ask(stundc.tailnode())) == 32
        assert c.works()


def answers_v6():
    if not stundc.has_ipv6():
        raise Skip("no IPv6 on loopback")
    with Stund(listen=["[::1]:0"]) as d, Client(at(d, "::1")) as c:
        assert c.works()


def wildcard():
    """The address that was connected to is told as the origin."""
    with Stund(listen=[":0"]) as d:
        for host in ("127.0.0.1", "127.0.0.5"):
            with Client(at(d, host)) as c:
                found = attributes_of(c.ask(message()))
                assert found[RESPONSE_ORIGIN][4:] == socket.inet_aton(host)
                assert c.works()
        if stundc.has_ipv6():
            with Client(at(d, "::1")) as c:
                assert c.works()


def four_addresses():
    """The mapping test of RFC 5780 over TCP: by connecting to each."""
    port = stundc.free_tcp_port()
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            net = f"127.{random.randrange(2, 250)}.{random.randrange(250)}"
            first, second = (f"{net}.1", 3478), (f"{net}.2", port)
            with contextlib.suppress(AssertionError):
                d = stack.enter_context(Stund(
                    "-alternate", "%s:%d" % second, listen=["%s:%d" % first]))
                break
        else:
            raise Skip("no addresses are free")
        for ip in (first[0], second[0]):
            for p in (first[1], second[1]):
                with Client((ip, p)) as c:
                    found = attributes_of(c.ask(message()))
                    other = (second[0] if ip == first[0] else first[0],
                             second[1] if p == first[1] else first[1])
                    assert found[OTHER_ADDRESS] == struct.pack(
                        ">HH", 1, other[1]) + socket.inet_aton(other[0])
        assert d.child.poll() is None


def pipelined():
    """400 requests in one write: 400 answers, in order."""
    with Stund() as d, Client(at(d)) as c:
        requests = [message() for _ in range(400)]
        c.send(b"".join(requests))
        for request in requests:
            assert c.answer()[8:20] == request[8:20]
        assert c.works()


def one_by_one():
    """Single bytes; then a request that ends in the middle of a write."""
    with Stund() as d, Client(at(d)) as c:
        for request in (message(), message(attributes=attribute(
                0x8022, b"abc"), fingerprint=True)):
            for i in range(len(request)):
                c.send(request[i:i + 1])
            answer = c.answer()
            assert answer[8:20] == request[8:20]
            assert (0x8028 in attributes_of(answer)) == (len(request) > 20)
        first, second = message(), message()
        c.send(first + second[:7])
        assert c.answer()[8:20] == first[8:20]
        c.send(second[7:])
        assert c.answer()[8:20] == second[8:20]


def errors():
    """What cannot be had on a stream is refused; the connection goes on."""
    with Stund() as d, Client(at(d)) as c:
        for attributes, code in (
                (attribute(0x0003, struct.pack(">I", 6)), 400),
                (attribute(0x0003, struct.pack(">I", 2)), 400),
                (attribute(0x0027, struct.pack(">H", 40000)), 400),
                (attribute(0x0026, bytes(500)), 400),
                (attribute(0xCA51, struct.pack(">H", 1000)), 400),
                (attribute(0x0003, bytes(8)), 400),
                (attribute(0x7ABC, b"abcd"), 420)):
            assert code_of(c.ask(message(attributes=attributes))) == code
        # No flag asks for nothing.
        c.ask(message(attributes=attribute(0x0003, bytes(4))))
        for silent in (message(0x0011), message(0x0101), message(0x0003),
                       message(txid=bytes(12)),
                       message(attributes=attribute(0x8028, bytes(4)))):
            c.send(silent)
        assert c.works(), "none of these was answered, none ended it"


def half_closed():
    """A client that has said all gets its answers, then the end."""
    with Stund() as d, Client(at(d)) as c:
        requests = [message() for _ in range(20)]
        c.send(b"".join(requests))
        c.s.shutdown(socket.SHUT_WR)
        for request in requests:
            assert c.answer()[8:20] == request[8:20]
        assert c.ended() == b""


def without_tcp():
    with Stund("-tcp=false") as d:
        try:
            Client(at(d)).__exit__()
            raise AssertionError("somebody listens")
        except ConnectionRefusedError:
            pass


# ---- those who mean no good ----

GARBAGE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "ones": b"\xff" * 100,
    "odd length": b"\0\1\0\3\x21\x12\xa4\x42" + bytes(15),
    "no cookie": message(cookie=0x31323334),
    "longer than may be": b"\0\1\x10\0\x21\x12\xa4\x42" + bytes(12),
    "longest": b"\0\1\xff\xfc\x21\x12\xa4\x42" + bytes(12),
    "good, then bad": message() + b"\x80",
}


def garbage():
    """Each ends its connection, and no other."""
    metrics = Metrics()
    with Stund(*metrics.flags) as d, Client(at(d)) as other:
        for name, data in GARBAGE.items():
            with Client(at(d)) as c:
                c.send(data)
                came = c.ended()
                assert (came == b"") == (name != "good, then bad"), name
        assert other.works()
        metrics.wait(lambda: metrics.closed("not_stun") == len(GARBAGE),
                     "each is counted")


def random_bytes():
    draw = random.Random(8489)
    with Stund(*UNLIMITED) as d, Client(at(d)) as other:
        for i in range(300):
            data = bytearray(message() * 3 + draw.randbytes(30))
            for _ in range(draw.randrange(3)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            with Client(at(d)) as c, contextlib.suppress(OSError):
                while data:
                    n = 1 + draw.randrange(len(data))
                    c.send(bytes(data[:n]))
                    del data[:n]
                if i % 3 == 0:
                    # Gone with a reset.
                    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
                elif i % 3 == 1:
                    c.s.shutdown(socket.SHUT_WR)
                    c.ended()
        assert other.works()


def drip(c, stop):
    with contextlib.suppress(OSError):
        while not stop.wait(0.5):
            c.send(b"\0")


def half_a_message():
    """Who begins and does not go on is ended, at each step; who asks for
    nothing is not."""
    whole = message(attributes=attribute(0x8022, bytes(100)))
    metrics = Metrics()
    with tls_files() as files, contextlib.ExitStack() as stack:
        d = stack.enter_context(
            Stund(*metrics.flags, *files.flags, "-tls-listen", "127.0.0.1:0"))
        quiet = stack.enter_context(Client(at(d)))
        slow = [stack.enter_context(Client(at(d))) for _ in range(5)]
        slow[0].send(whole[:1])
        slow[1].send(whole[:19])
        slow[2].send(whole[:20])
        slow[3].send(whole[:-1])
        slow[4].send(message() + whole[:30])
        slow[4].answer()
        to = ("127.0.0.1", tls_port(d))
        slow += [stack.enter_context(Client(to)) for _ in range(2)]
        slow[5].send(b"\x16\x03\x01\x02\x00\x01")
        # slow[6] says nothing at all, where hands are to be shaken.
        # A byte now and then does not help.
        stop = threading.Event()
        dripping = threading.Thread(target=drip, args=(slow[2], stop))
        dripping.start()
        for c in slow:
            c.ended()
        stop.set()
        dripping.join()
        metrics.wait(lambda: metrics.closed("timeout") == len(slow), "counted")
        assert quiet.works()


def idle():
    """-tcp-idle: who has asked for nothing for so long is ended."""
    metrics = Metrics()
    with Stund(*metrics.flags, "-tcp-idle", "700ms") as d, Client(at(d)) as c:
        c.works()
        assert c.ended() == b""
        assert metrics.closed("idle") == 1
    with Stund(*metrics.flags, "-tcp-idle", "0") as d, Client(at(d)) as c:
        c.works()
        assert metrics.closed("idle") == 0 and c.works()


def thousand():
    """1000 idle connections cost no one else anything, and each is served."""
    want = 1300
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < want:
        raise Skip(f"only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    metrics = Metrics()
    with Stund(*metrics.flags) as d, contextlib.ExitStack() as stack:
        before = metrics["process_resident_memory_bytes"]
        held = [stack.enter_context(
            Client(at(d), source=f"127.0.0.{i % 8 + 10}"))
                for i in range(1000)]
        metrics.wait(lambda: metrics[
            'campusnet_stun_connections{transport="tcp"}'] == 1000, "all")
        with udp() as s:
            stundc.ask(s, at(d), message())
        for c in held:
            assert c.works()
        more = metrics["process_resident_memory_bytes"] - before
        print(f"# {more / 1000:.0f} bytes for each")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def source_limit():
    metrics = Metrics()
    with Stund(*metrics.flags, "-tcp-source-connections", "3") as d, \
            contextlib.ExitStack() as stack:
        held = [stack.enter_context(Client(at(d))) for _ in range(3)]
        for c in held:
            c.works()
        with Client(at(d)) as fourth:
            assert fourth.ended() == b""
        assert metrics.closed("source_full") == 1
        with Client(at(d), source="127.0.0.9") as other:
            assert other.works()
        held[0].s.close()
        metrics.wait(lambda: metrics[
            'campusnet_stun_connections{transport="tcp"}'] == 2, "one goes")
        with Client(at(d)) as again:
            assert again.works()


def all_full():
    """No room: nobody new, until somebody has been silent for long; he makes
    room then, not one who is in use."""
    metrics = Metrics()
    with Stund(*metrics.flags, "-tcp-connections", "4", "-workers", "1") as d, \
            contextlib.ExitStack() as stack:
        held = [stack.enter_context(Client(at(d))) for _ in range(4)]
        for c in held:
            c.works()
        with Client(at(d)) as fifth:
            assert fifth.ended() == b""
        assert metrics.closed("full") == 1
        deadline = time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < deadline, "nobody makes room"
            for c in held[1:]:
                c.works()
            new = stack.enter_context(Client(at(d)))
            with contextlib.suppress(AssertionError, OSError):
                new.works()
                break
            time.sleep(0.2)
        assert held[0].ended() == b""
        assert metrics.closed("displaced") == 1
        for c in (*held[1:], new):
            assert c.works()


def slow_reader():
    """Who does not read his answers is cut, and bounds what is kept."""
    metrics = Metrics()
    with Stund(*metrics.flags, *UNLIMITED) as d, Client(at(d)) as other, \
            Client(at(d)) as c:
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = metrics["process_resident_memory_bytes"]
        block = message() * 1000
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while True:
                c.send(block)
        assert metrics.closed("slow") == 1
        grown = metrics["process_resident_memory_bytes"] - before
        assert grown < 32 << 20, f"{grown} bytes more"
        assert other.works()


def limited():
    """An empty bucket: the answers that were due, then the end."""
    metrics = Metrics()
    with Stund(*metrics.flags, "-source-rate", "1", "-source-burst", "10") as d:
        with Client(at(d)) as c:
            c.send(message() * 40)
            came = c.ended()
            one = len(came) // 10
            assert one > 20 and 10 * one <= len(came) <= 12 * one, len(came)
        metrics.wait(lambda: metrics.closed("limited") == 1, "counted")
        with Client(at(d), source="127.0.0.7") as other:
            assert other.works()


def denied():
    metrics = Metrics()
    with Stund(*metrics.flags, "-deny", "127.0.0.6/32") as d:
        with Client(at(d), source="127.0.0.6") as c:
            c.send(message())
            assert c.ended() == b""
        with Client(at(d)) as c:
            assert c.works()
        # It drains before it is counted.
        metrics.wait(lambda: metrics.closed("refused") == 1, "counted")


def out_of_descriptors():
    """Accepting pauses, UDP goes on, and so does accepting once it can."""
    metrics = Metrics()
    with Stund(*metrics.flags, "-workers", "1",
               before=["prlimit", "--nofile=40:40"]) as d, udp() as s, \
            contextlib.ExitStack() as held:
        d_limit = [line for line in d.lines if "limit of open files" in line]
        assert d_limit, d.lines
        taken = [held.enter_context(
            socket.create_connection(("127.0.0.1", metrics.port)))
                 for _ in range(8)]
        assert taken
        clients = [held.enter_context(Client(at(d))) for _ in range(30)]
        assert clients
        d.line("Too many open files")
        stundc.ask(s, at(d), message())
        held.close()
        deadline = time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < deadline, "nobody is accepted any more"
            with Client(at(d)) as c, contextlib.suppress(AssertionError,
                                                         OSError):
                c.works()
                break
            time.sleep(0.1)


def stop_in_use():
    """SIGTERM with connections in every state: it ends, in order."""
    with tls_files() as files, contextlib.ExitStack() as stack:
        d = stack.enter_context(
            Stund(*files.flags, "-tls-listen", "127.0.0.1:0"))
        clients = [stack.enter_context(Client(at(d))) for _ in range(10)]
        clients += [stack.enter_context(Client(
            ("127.0.0.1", tls_port(d)))) for _ in range(3)]
        clients[0].works()
        clients[1].send(message()[:9])
        d.child.send_signal(signal.SIGTERM)
        assert d.child.wait(LIMIT) == 0
        for c in clients:
            c.ended()


def taken():
    with socket.socket() as t:
        t.bind(("127.0.0.1", 0))
        t.listen()
        where = "127.0.0.1:%d" % t.getsockname()[1]
        stundc.refused("-listen", where, says=[
            f"stund: tcp {where}: Address already in use"])
        with tls_files() as files:
            stundc.refused(
                "-listen", "127.0.0.1:0", "-tls-listen", where, *files.flags,
                says=[f"stund: tls-listen {where}: Address already in use"])


# ---- TLS ----

class Files:
    """A certificate and its key, as nobody can read them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)
        self.crt, self.key = self.folder / "stun.crt", self.folder / "stun.key"
        self.flags = ("-certificate", str(self.crt), "-key", str(self.key))
        self.renew("stun.example")

    def renew(self, name):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
             "-keyout", str(self.key), "-out", str(self.crt)],
            check=True, capture_output=True)
        self.key.chmod(0o644)


@contextlib.contextmanager
def tls_files():
    with tempfile.TemporaryDirectory() as folder:
        yield Files(folder)


def tls_port(d):
    for line in d.lines:
        if found := re.search(r"listening tls \S+:(\d+)$", line):
            return int(found[1])
    return int(d.line(r"listening tls \S+:(\d+)$")[1])


def context(*protocols, version=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if protocols:
        c.set_alpn_protocols(list(protocols))
    if version:
        c.maximum_version = version
    return c


def tls():
    metrics = Metrics()
    with tls_files() as files, Stund(
            *metrics.flags, *files.flags, "-tls-listen", "127.0.0.1:0") as d:
        to = ("127.0.0.1", tls_port(d))
        for c in (context(), context(ALPN), context("http/1.1", ALPN),
                  context(version=ssl.TLSVersion.TLSv1_2)):
            with Client(to, tls=c) as client:
                assert client.works()
                origin = attributes_of(
                    client.ask(message()))[RESPONSE_ORIGIN]
                assert struct.unpack_from(">H", origin, 2)[0] == to[1]
                requests = [message() for _ in range(50)]
                client.send(b"".join(requests))
                for request in requests:
                    assert client.answer()[8:20] == request[8:20]
                request = message(attributes=attribute(0x8022, b"abc"))
                for i in range(len(request)):
                    client.send(request[i:i + 1])
                assert client.answer()[8:20] == request[8:20]
        with Client(to, tls=context(ALPN)) as client:
            assert client.s.selected_alpn_protocol() == ALPN
        assert metrics['campusnet_stun_requests_total{transport="tls",'
                       'family="ipv4",outcome="success"}'] == 4 * 53
        assert metrics['campusnet_stun_connections_total'
                       '{transport="tls"}'] == 5


def not_tls():
    """The wrong protocol, plain bytes, TLS where there is none: ended."""
    metrics = Metrics()
    with tls_files() as files, Stund(
            *metrics.flags, *files.flags, "-tls-listen", "127.0.0.1:0") as d:
        to = ("127.0.0.1", tls_port(d))
        for wrong in (context("http/1.1"), context("stun.turn")):
            try:
                with Client(to, tls=wrong):
                    raise AssertionError("a protocol that is not spoken")
            except ssl.SSLError as e:
                assert "no application protocol" in \
                    str(e).lower().replace("_", " "), e
        with Client(to) as c:
            c.send(message())
            assert message()[:2] != c.ended()[:2]
        for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(500),
                     b"\x16\x03\x01\xff\xff" + bytes(2000)):
            with Client(to) as c, contextlib.suppress(OSError):
                c.send(data)
                c.ended()
        try:
            with Client(at(d), tls=context()):
                raise AssertionError("TLS on a plain port")
        except (ssl.SSLError, OSError):
            pass
        metrics.wait(lambda: metrics.closed("tls") == 6, "each is counted")
        with Client(to, tls=context()) as c:
            assert c.works()


def certificate_of(to):
    with Client(to, tls=context()) as c:
        return c.s.getpeercert(binary_form=True)


def pem(files):
    return ssl.PEM_cert_to_DER_cert(files.crt.read_text())


def reload():
    """SIGHUP: the new certificate for new connections; old ones stay. What
    cannot be used changes nothing."""
    with tls_files() as files, Stund(
            *files.flags, "-tls-listen", "127.0.0.1:0") as d:
        to = ("127.0.0.1", tls_port(d))
        assert certificate_of(to) == pem(files)
        with Client(to, tls=context()) as old:
            old.works()
            files.renew("new.example")
            new = pem(files)
            assert certificate_of(to) != new
            d.child.send_signal(signal.SIGHUP)
            d.line("SIGHUP: .*certificate.* hold")
            assert certificate_of(to) == new
            for _ in range(3):
                assert old.works()
                files.crt.write_text("no certificate")
                d.child.send_signal(signal.SIGHUP)
                d.line("SIGHUP: all stays as it was: certificate: .*stun.crt")
                assert certificate_of(to) == new


def bad_options():
    with tls_files() as files, tempfile.TemporaryDirectory() as folder:
        listen = ("-listen", "127.0.0.1:0", "-tls-listen", "127.0.0.1:0")
        stundc.refused(*listen, says=["tls-listen", "-certificate"])
        stundc.refused(*listen, *files.flags[:2],
                          says=["tls-listen", "-key"])
        for flags, name in ((files.flags[:2], "certificate"),
                            (files.flags[2:], "key")):
            stundc.refused(*listen[:2], *flags,
                           says=[f"{name}: needs -tls-listen"])
        missing = f"{folder}/none"
        stundc.refused(*listen, "-certificate", missing, *files.flags[2:],
                          says=["certificate: ", missing])
        stundc.refused(*listen, *files.flags[:2], "-key", missing,
                          says=["certificate: ", missing])
        stundc.refused("-tcp-connections", "0", says=["tcp-connections"])
        stundc.refused("-tcp-idle", "-1s", says=["tcp-idle"])


def timer_of(server, client):
    """The kernel's timer of the server's end: 2 is keepalive."""
    def word(address):
        ip = socket.inet_aton(address[0])[::-1].hex().upper()
        return f"{ip}:{address[1]:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
        words = line.split()
        if words[1:3] == [word(server), word(client)]:
            return int(words[5].partition(":")[0], 16)
    raise AssertionError("no such connection")


def later():
    """CN-DELAY: nothing passes until its time, no keepalive either; others
    are answered meanwhile, and -tcp-idle waits."""
    metrics = Metrics()
    with Stund(*metrics.flags, "-tcp-idle", "500ms") as d, \
            Client(at(d)) as c:
        assert c.works()
        metrics.wait(lambda: timer_of(at(d), c.name) == 2, "keepalive is on")
        asked = message(attributes=attribute(0xCA51, struct.pack(">I", 2000)))
        began = time.monotonic()
        c.send(asked)
        metrics.wait(lambda: timer_of(at(d), c.name) == 0, "keepalive is off")
        assert metrics["campusnet_stun_waiting"] == 1
        assert c.works(), "another is answered at once"
        assert code_of(c.ask(message(attributes=attribute(
            0xCA51, struct.pack(">I", 1))))) == 500
        answer = c.answer()
        assert answer[8:20] == asked[8:20] and mapped(answer) == c.name
        assert time.monotonic() - began >= 1.99
        assert metrics["campusnet_stun_waiting"] == 0
        assert metrics["campusnet_stun_delayed_total"] == 1
        assert c.ended() == b"", "and then it is idle"
        assert metrics.closed("idle") == 1
    with Stund(*metrics.flags) as d:
        with Client(at(d)) as c:
            c.send(message(attributes=attribute(0xCA51, struct.pack(">I", 600000))))
            metrics.wait(lambda: metrics["campusnet_stun_waiting"] == 1,
                         "it waits")
        metrics.wait(lambda: metrics["campusnet_stun_waiting"] == 0,
                     "who is gone is not waited for")


TESTS = [answers_v4, answers_v6, wildcard, four_addresses, pipelined,
         one_by_one, errors, later, half_closed, without_tcp, garbage, random_bytes,
         half_a_message, idle, thousand, source_limit, all_full, slow_reader,
         limited, denied, out_of_descriptors, stop_in_use, taken, tls, not_tls,
         reload, bad_options]

if __name__ == "__main__":
    sys.exit(stundc.main(TESTS))
