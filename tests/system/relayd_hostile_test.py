#!/usr/bin/python3
# tests/run: limit=400
"""relayd_hostile_test: clients that are slow, broken, greedy or malicious, by
name, against the real relayd on loopback, with one worker and with two.

After each case two new clients still reach each other, all gauges are back
where they were, and relayd ends with status 0, which also tells that no
sanitizer has found anything. The program is $RELAYD (default
build/release/relayd). Prints TAP.
"""

import contextlib
import os
import random
import resource
import struct
import sys
import threading
import time

import derpc
from derpc import Client, Closed, Relayd, check_healthy, check_settled
from derpc import exchange, frame, head, tcp, until
from derpc import LIMIT, MIB

# Of timeouts that a case waits for; a healthy client must keep within them.
SHORT = 8 if derpc.SANITIZED else 3


@contextlib.contextmanager
def relay_of(workers, *flags, **options):
    """A relay for one case, and what is checked after each."""
    with Relayd("-workers", str(workers), *flags, **options) as relay:
        yield relay
        check_healthy(relay)
        check_settled(relay)


class Flood:
    """A client that sends packets to a key from a thread, as fast as it can,
    until the block is left."""

    def __init__(self, relay, to, size=16384):
        self.client = Client(relay)
        self.data = frame(derpc.SEND, to + bytes(size)) * 4
        self.stopping = threading.Event()
        self.sent, self.error = 0, None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.stopping.is_set():
                self.client.send(self.data)
                self.sent += 4
        except Exception as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stopping.set()
        self.thread.join()
        self.client.close()
        assert kind or self.error is None, f"the sender got {self.error!r}"


# ---- receivers ----

def slow_reader(workers):
    """It stops reading while others flood it. Nobody else loses anything; it
    is closed after -tcp-write-timeout, and keeps little memory until then."""
    flags = ("-tcp-write-timeout", f"{SHORT}s", "-queue-bytes", str(8 * MIB))
    with relay_of(workers, *flags) as relay, Client(relay) as x, \
            Client(relay) as y:
        before = relay.rss()
        slow = Client(relay, rcvbuf=4096)
        peak = rounds = 0
        began = time.monotonic()
        with Flood(relay, slow.key) as one, Flood(relay, slow.key) as two:
            while not relay.logged(r"client \[.{5}\] 127\.0\.0\.1:\d+: "
                                   r"closed: write_timeout"):
                exchange(x, y)
                rounds += 1
                peak = max(peak, relay.rss())
                assert time.monotonic() - began < LIMIT, "not closed"
            took = time.monotonic() - began
            # The senders do not notice; their packets have nowhere to go now.
            sent = one.sent, two.sent
            until(lambda: one.sent > sent[0] and two.sent > sent[1],
                  "the senders go on")
            exchange(x, y)
        assert took >= SHORT, f"closed after {took:.1f} s, not {SHORT} s"
        assert rounds > 3, f"only {rounds} rounds in {took:.1f} s"
        assert peak - before < derpc.GROWTH, f"{(peak - before) >> 20} MiB"
        now = relay.metrics()
        assert now['relayd_closed{reason="write_timeout"}'] == 1
        assert now["derp_sclient_write_timeouts"] == 1
        assert now['derp_packets_dropped{reason="queue_head",kind="other"}'] > 0
        slow.close()


def slow_reader_recovers(workers):
    """One that reads again in time stays, and gets what is new."""
    flags = ("-tcp-write-timeout", "0", "-queue-packets", "64")
    with relay_of(workers, *flags) as relay, Client(relay) as x, \
            Client(relay, rcvbuf=4096) as slow:
        name = 'derp_packets_dropped{reason="queue_head",kind="other"}'
        with Flood(relay, slow.key):
            until(lambda: relay.metric(name) > 0, "its queue overflows")
        last = os.urandom(32)
        # What was queued is old, and may go; this is not.
        until(lambda: drain_until(slow, x, last), "the newest packet")


def drain_until(reader, sender, last):
    sender.send_packet(reader, last)
    with contextlib.suppress(TimeoutError):
        while reader.packet(limit=0.5)[1] != last:
            pass
        return True
    return False


# ---- halves ----

def half_frame(workers):
    """Header and half the payload, then nothing: the others do not notice."""
    for tls in (True, False):
        with relay_of(workers, tls=tls) as relay, Client(relay) as x, \
                Client(relay) as y, Client(relay) as later:
            eof = relay.closed("eof")
            packet = os.urandom(60000)
            whole = frame(derpc.SEND, y.key + packet)
            cuts = (1, 4, 5, 20, 37, 38, 30000, len(whole) - 1)
            halves = [Client(relay) for _ in cuts]
            for half, cut in zip(halves, cuts):
                half.send(whole[:cut])
            later.send(whole[:200])
            exchange(x, y)
            for half in halves:
                half.close()
            until(lambda: relay.closed("eof") == eof + len(cuts), "closed")
            # Completed later, byte by byte at first.
            for i in range(200, 400):
                later.send(whole[i:i + 1])
            x.send_packet(later, b"meanwhile")
            assert later.packet() == (x.key, b"meanwhile")
            for i in range(400, len(whole), 997):
                later.send(whole[i:i + 997])
            assert y.packet() == (later.key, packet)
            # Many frames, a byte at a time.
            small = [os.urandom(n) for n in range(20)]
            for byte in b"".join(frame(derpc.SEND, y.key + p) for p in small):
                later.send(bytes([byte]))
            for p in small:
                assert y.packet() == (later.key, p)


def half_hello(workers):
    """A handshake that stops at any point is closed in time."""
    flags = ("-tls-timeout", f"{SHORT}s", "-hello-timeout", f"{SHORT}s")
    with relay_of(workers, *flags) as relay, Client(relay) as x, \
            Client(relay) as y:
        hello = derpc.client_hello()
        began = time.monotonic()
        stuck = {}

        def add(name, client, data=b""):
            client.send(data)
            stuck[name] = client

        add("connected", Client(relay, "tcp"))
        add("a byte of ClientHello", Client(relay, "tcp"), hello[:1])
        add("half a ClientHello", Client(relay, "tcp"), hello[:len(hello) // 2])
        add("no request", Client(relay, "tls"))
        add("half a head", Client(relay, "tls"), head()[:-2])
        add("no ClientInfo", Client(relay, "hello"))
        c = Client(relay, "hello", fast=True)
        add("fast start, no ClientInfo", c)
        c = Client(relay, "hello")
        add("a header of ClientInfo", c, c.info()[:5])
        c = Client(relay, "hello")
        add("half a ClientInfo", c, c.info()[:60])
        drip = Client(relay, "tls")
        dripping = True
        with contextlib.closing(tcp(relay.pages)) as plain, \
                contextlib.closing(tcp(relay.pages)) as plain_half:
            plain_half.sendall(head()[:-2])
            while dripping:
                # Bytes that come one at a time win no time.
                try:
                    drip.send(b"G")
                    exchange(x, y, 2)
                    time.sleep(0.1)
                except Closed:
                    dripping = False
                assert time.monotonic() - began < LIMIT, "drip is not closed"
            took = time.monotonic() - began
            assert took > SHORT - 0.5, f"drip was closed after {took:.1f} s"
            for name, client in stuck.items():
                try:
                    client.wait_closed()
                except TimeoutError:
                    raise AssertionError(f"{name}: not closed") from None
                client.close()
            for s in (plain, plain_half):
                assert s.recv(100) == b"", "the plain port"
        drip.close()
        until(lambda: relay.closed("hello_timeout") == len(stuck) + 3,
              "each counted")
        assert relay.logged(r"client - 127\.0\.0\.1:\d+: "
                            r"closed: hello_timeout$")
        exchange(x, y)


# ---- resources ----

def fd_limit(workers):
    """Without descriptors accepting pauses, and says so once. Who is there
    does not notice; accepting goes on as soon as some are free."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with relay_of(workers, preexec_fn=few) as relay, Client(relay) as x, \
            Client(relay) as y:
        crowd = [tcp(relay.port) for _ in range(150)]
        relay.line("accepting pauses: Too many open files")
        exchange(x, y, 100)
        # Longer than a pause: it tries again, and does not say so again.
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            exchange(x, y)
        pauses = relay.logged("accepting pauses")
        assert len(pauses) <= workers, f"said {len(pauses)} times"
        for s in crowd:
            s.close()
        with Client(relay) as z:
            exchange(x, z)
        assert relay.metric("relayd_accept_pauses") >= 1


def many_connections(workers):
    """500 come, send and go, in every manner: nothing is left of them."""
    with relay_of(workers) as relay, Client(relay) as x:
        check_healthy(relay)
        baseline = relay.fds()

        def come_and_go(seed, count):
            draw = random.Random(seed)
            for _ in range(count):
                c = Client(relay, fast=draw.random() < 0.5,
                           fields=["Ideal-Node: 1a"] * draw.randrange(2))
                c.send(frame(derpc.PREFERRED, b"\1"))
                c.send_packet(x, os.urandom(100))
                c.send_packet(c, b"self")
                assert c.packet() == (c.key, b"self")
                c.reset() if draw.random() < 0.3 else c.close()

        def all_of(count):
            failures = []

            def run(seed):
                try:
                    come_and_go(seed, count // 4)
                except Exception as error:
                    failures.append(error)
            threads = [threading.Thread(target=run, args=(seed,))
                       for seed in range(4)]
            for t in threads:
                t.start()
            for _ in range(count // 4 * 4):
                x.packet()
            for t in threads:
                t.join()
            assert not failures, failures

        all_of(100)
        before = relay.rss()
        all_of(400)
        until(lambda: relay.metric("derp_current_connections") == 1, "gone")
        until(lambda: relay.fds() <= baseline, "descriptors are free again")
        grown = relay.rss() - before
        limit = derpc.GROWTH if derpc.SANITIZED else 4 * MIB
        assert grown < limit, f"grew by {grown >> 10} KiB over 400 clients"


def pipelined_pages(workers):
    """Thousands of pages: to who reads them, all; to who does not, few."""
    with relay_of(workers) as relay, Client(relay) as x, Client(relay) as y:
        ask = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        before = relay.rss()
        for tls in (True, False):
            port = relay.port if tls else relay.pages
            refused = relay.closed("http")
            greedy = Client(relay, "tls" if tls else "tcp", rcvbuf=4096) \
                if tls else PlainClient(port, 4096)
            with contextlib.suppress(Closed, TimeoutError):
                greedy.socket.settimeout(1)
                greedy.send(ask % b"/metrics" * 4000)
            until(lambda: relay.closed("http") == refused + 1,
                  "the one that does not read is closed")
            exchange(x, y)
            greedy.close()
            polite = Client(relay, "tls") if tls else PlainClient(port)
            answers = 0
            for _ in range(20):
                polite.send(ask % b"/generate_204" * 100)
                answers += 100
                while polite.buffer.count(b"HTTP/1.1 204") < answers:
                    polite._more()
            polite.close()
        assert relay.logged("closed: http: asks for more than it reads")
        assert relay.rss() - before < derpc.GROWTH


class PlainClient(Client):
    """Only a connection, to another port."""

    def __init__(self, port, rcvbuf=None):
        self.socket = tcp(port, rcvbuf)
        self.buffer = bytearray()


# ---- resets ----

def reset(workers):
    """RST at each stage, also while others send to it."""
    with relay_of(workers) as relay, Client(relay) as x, Client(relay) as y:
        hello = derpc.client_hello()
        for _ in range(5):
            for data in (b"", hello[:1], hello[:100], hello):
                c = Client(relay, "tcp")
                c.send(data)
                c.reset()
            for stage, data in (("tls", b""), ("tls", head()[:50]),
                                ("tls", head()), ("hello", b""),
                                ("hello", frame(derpc.CLIENT_INFO)[:3]),
                                ("derp", b""), ("derp", b"\4\0\0\1\0half")):
                c = Client(relay, stage)
                c.send(data)
                c.reset()
            c = Client(relay, "hello")
            c.send(c.info())
            c.reset()
            for data in (b"", head()[:50], head(path="/")):
                c = PlainClient(relay.pages)
                c.send(data)
                c.reset()
        exchange(x, y)
        # Those that got something from it hear that it is gone.
        key = None
        for _ in range(3):
            told = Client(relay, key=key)
            told.send_packet(x, b"hello")
            assert x.packet() == (told.key, b"hello")
            told.reset()
            assert x.expect(derpc.PEER_GONE)[1] == told.key + b"\0"
            key = told.private
        for _ in range(5):
            victim = Client(relay)
            with Flood(relay, victim.key, 1000) as flood:
                for _ in range(50):
                    victim.packet()
                victim.reset()
                sent = flood.sent
                until(lambda: flood.sent > sent + 100, "the sender goes on")
                exchange(x, y)
        assert relay.closed("reset") > 0


# ---- keys ----

def dup_key(workers):
    """Two connections with one key: who spoke last gets the packets."""
    with relay_of(workers) as relay, Client(relay) as b:
        one = Client(relay)
        two = Client(relay, key=one.private)

        def dups():
            now = relay.metrics()
            return (now["derp_current_dup_client_keys"],
                    now["derp_current_dup_client_conns"],
                    now["derp_clients_total"])

        until(lambda: dups() == (1, 2, 2), "the gauges of duplicates")
        assert relay.metric("derp_total_dup_client_conns") == 1
        for turn in (two, one, two, one, one, two):
            turn.ping()
            mark = os.urandom(16)
            b.send_packet(one.key, mark)
            assert turn.packet() == (b.key, mark)
        # Both may send; what they send has the same source.
        for c in (one, two):
            c.send_packet(b, b"from me")
            assert b.packet() == (one.key, b"from me")
        three = Client(relay, key=one.private)
        until(lambda: dups() == (1, 3, 2), "three of them")
        three.close()
        until(lambda: dups() == (1, 2, 2), "two again")
        # The last to have spoken is gone: the other one takes over.
        two.ping()
        two.close()
        until(lambda: dups() == (0, 0, 2), "one again")
        b.send_packet(one.key, b"again")
        assert one.packet() == (b.key, b"again")
        one.close()
        assert b.expect(derpc.PEER_GONE)[1] == one.key + b"\0"
        # It was told once: none came while one of them was left.
        b.send(frame(derpc.PING, bytes(8)))
        assert b.frame() == (derpc.PONG, bytes(8))


def dup_fight(workers):
    """Two clones that take turns for long: no memory is spent on it."""
    with relay_of(workers) as relay, Client(relay) as b, Client(relay) as one, \
            Client(relay, key=one.private) as two:
        turns = 300 if derpc.SANITIZED else 3000
        for c in (one, two) * 50:
            c.ping()
        before = relay.rss()
        for c in (one, two) * (turns // 2):
            c.ping()
        assert relay.rss() - before < MIB or derpc.SANITIZED
        two.ping()
        b.send_packet(one.key, b"end")
        assert two.packet() == (b.key, b"end")


def send_to_self(workers):
    """A key may send to itself, as much as it likes."""
    with relay_of(workers) as relay, Client(relay) as x:
        for size in (0, 1, 1400, 65536):
            packet = os.urandom(size)
            x.send_packet(x, packet)
            assert x.packet() == (x.key, packet)
        for _ in range(20):
            sent = [os.urandom(100) for _ in range(50)]
            x.send(b"".join(frame(derpc.SEND, x.key + p) for p in sent))
            for p in sent:
                assert x.packet() == (x.key, p)
        # Its own flood, which it does not read: a slow reader as any other.
        with contextlib.suppress(Closed), Client(relay, rcvbuf=4096) as self:
            began = time.monotonic()
            while time.monotonic() < began + LIMIT:
                self.send_packet(self, bytes(16384))
        until(lambda: relay.closed("write_timeout") == 1, "it is closed")
        exchange(x, x)


# ---- bytes ----

def garbage(workers):
    """Random bytes at every stage."""
    draw = random.Random(3340)
    rounds = 10 if derpc.SANITIZED else 40
    with relay_of(workers) as relay, Client(relay) as x, Client(relay) as y:
        def random_bytes():
            n = draw.choice((1, 5, 40, 300, 5000, 100000))
            return draw.randbytes(draw.randrange(1, n + 1))

        def frames():
            """Frames that look right, of random type and length."""
            out = b""
            for _ in range(draw.randrange(1, 20)):
                kind = draw.choice((1, 2, 3, 4, 5, 7, 8, 9, 0x12, 0x13, 0x20))
                out += frame(kind, draw.randbytes(draw.choice(
                    (0, 1, 8, 31, 32, 33, 100, 1000))))
            return out

        stages = (
            ("plain port", lambda: PlainClient(relay.pages), random_bytes),
            ("plain port, text", lambda: PlainClient(relay.pages),
             lambda: b"GET " + random_bytes() + b"\r\n\r\n"),
            ("no TLS", lambda: Client(relay, "tcp"), random_bytes),
            ("TLS header", lambda: Client(relay, "tcp"),
             lambda: b"\x16\3\1\2\0\1\0\1\xfc\3\3" + random_bytes()),
            ("inside TLS", lambda: Client(relay, "tls"), random_bytes),
            ("text inside TLS", lambda: Client(relay, "tls"),
             lambda: head()[:-2] + random_bytes() + b"\r\n\r\n"),
            ("ClientInfo", lambda: Client(relay, "hello"), random_bytes),
            ("sealed", lambda: Client(relay, "hello"),
             lambda: frame(2, draw.randbytes(draw.randrange(50, 400)))),
            ("frames", lambda: Client(relay), random_bytes),
            ("right frames", lambda: Client(relay), frames),
        )
        for name, begin, data in stages:
            for i in range(rounds):
                with begin() as c, contextlib.suppress(Closed, TimeoutError):
                    c.send(data())
                    if i < 5:
                        c.wait_closed(0.3)
                    elif draw.random() < 0.3:
                        c.reset()
            try:
                exchange(x, y)
            except Exception as error:
                raise AssertionError(f"after garbage: {name}") from error
        for reason in ("http", "tls", "hello", "frame"):
            assert relay.closed(reason) > 0, reason


def plain_http_to_tls(workers):
    """A request without TLS on the TLS port, and TLS on the plain one."""
    with relay_of(workers) as relay:
        with Client(relay, "tcp") as c:
            c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            c.wait_closed()
        with PlainClient(relay.pages) as c:
            c.send(derpc.client_hello())
            assert c.wait_closed().startswith(b"HTTP/1.1 400 ")
        # /derp is served over TLS only.
        with PlainClient(relay.pages) as c:
            c.send(head(False, "Connection: close"))
            assert c.wait_closed().startswith(b"HTTP/1.1 302 ")
        assert relay.closed("tls") == 1


def long_head(workers):
    """A request head without end is refused; one byte less is not."""
    with relay_of(workers) as relay:
        for tls in (True, False):
            def ask(data):
                c = Client(relay, "tls") if tls else PlainClient(relay.pages)
                with c, contextlib.suppress(Closed):
                    c.send(data)
                    return c.wait_closed()
            start = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            fill = 16384 - len(start) - len(b"X: \r\n\r\n")
            for more, status in ((0, (b"200", b"302")), (1, (b"431",)),
                                 (100000, (b"431",))):
                got = ask(start + b"X: " + b"x" * (fill + more) + b"\r\n\r\n")
                assert got.split()[1] in status, (more, got[:100])
            got = ask(start + b"".join(b"X%d: 1\r\n" % i for i in range(63)) +
                      b"\r\n")
            assert got.split()[1] == b"431", got[:100]
            got = ask(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert got.split()[1] == b"400", got[:100]


CLIENT_INFOS = {
    "not JSON": b"not JSON",
    "cut JSON": b'{"version":2',
    "no object": b"[1]",
    "version is text": b'{"version":"2"}',
    "malformed mesh key": b'{"meshKey":"abc"}',
    "empty mesh key": b'{"meshKey":""}',
    "deep": b"[" * 100000,
    "nothing": b"",
}


def bad_client_info(workers):
    """A ClientInfo that is wrong in one thing only."""
    with relay_of(workers) as relay, Client(relay) as x:
        refused = 0

        def refuse(name, make):
            nonlocal refused
            c = Client(relay, "hello")
            with contextlib.suppress(Closed):
                c.send(make(c))
            try:
                left = c.wait_closed()
            except TimeoutError:
                raise AssertionError(f"{name}: not closed") from None
            assert left == b"", f"{name}: answered with {left!r}"
            c.close()
            refused += 1
            assert relay.closed("hello") == refused, name

        for name, text in CLIENT_INFOS.items():
            refuse(name, lambda c: c.info(text))
        refuse("55 bytes", lambda c: frame(2, bytes(55)))
        refuse("262145 bytes", lambda c: struct.pack(">BI", 2, 262145))
        refuse("4 GiB", lambda c: struct.pack(">BI", 2, 2**32 - 1))
        refuse("zero key", lambda c: frame(2, bytes(32) + c.info()[37:]))
        refuse("low order", lambda c: frame(2, b"\1" + bytes(31) +
                                            c.info()[37:]))
        refuse("another's key", lambda c: frame(2, x.key + c.info()[37:]))
        refuse("flipped bit", lambda c: c.info()[:-1] +
               bytes([c.info()[-1] ^ 1]))
        refuse("a packet first", lambda c: frame(derpc.SEND, x.key + b"p"))
        refuse("a ping first", lambda c: frame(derpc.PING, bytes(8)))
        assert relay.logged(r"closed: hello: ")
        # The largest that is allowed, with what Go would pass over.
        c = Client(relay, "hello")
        text = b'{"VERSION":2,"canackpings":true,"unknown":[1,{}]'
        size = 262144 - 32 - 24 - 16
        c.send(c.info(text + b" " * (size - len(text) - 1) + b"}"))
        c.read_server_info()
        exchange(x, c)
        c.close()


def big_frames(workers):
    """The largest that is allowed passes; a byte more closes the sender."""
    with relay_of(workers) as relay, Client(relay) as x, Client(relay) as y:
        exchange(x, y, 40, (65536, 0, 65535, 1))
        refused = 0
        # Only the header has to come.
        for data in (struct.pack(">BI", derpc.SEND, 31),
                     struct.pack(">BI", derpc.SEND, 0),
                     struct.pack(">BI", derpc.SEND, 32 + 65537),
                     struct.pack(">BI", derpc.SEND, 2**32 - 1),
                     struct.pack(">BI", derpc.PREFERRED, 0),
                     struct.pack(">BI", derpc.PREFERRED, 2),
                     struct.pack(">BI", derpc.PING, 7),
                     struct.pack(">BI", derpc.PING, 1001),
                     frame(derpc.SEND, x.key + bytes(65537))):
            c = Client(relay)
            with contextlib.suppress(Closed):
                c.send(data)
            assert c.wait_closed() == b""
            c.close()
            refused += 1
            assert relay.closed("frame") == refused, data[:5]
        assert relay.logged(r"client \[.{5}\] \S+: closed: frame: "
                            r"frame of a wrong length \(type 0x04, 31 bytes\)")
        # Pings may be longer; eight bytes of them come back.
        x.send(frame(derpc.PING, b"12345678" + bytes(992)))
        assert x.expect(derpc.PONG)[1] == b"12345678"
        # A flood of them is no flood of answers.
        x.send(frame(derpc.PING, bytes(8)) * 5000)
        x.send_packet(x, b"after")
        while (got := x.frame())[0] != derpc.RECV:
            assert got == (derpc.PONG, bytes(8))
        assert relay.metric("derp_sent_pong") <= \
            relay.metric("derp_got_ping")


def unknown_frames(workers):
    """They are passed over, of any length, and counted."""
    with relay_of(workers) as relay, Client(relay) as x, Client(relay) as y:
        kinds = (0, 1, 3, 5, 6, 8, 9, 0x0b, 0x13, 0x14, 0x15, 0x7f, 0xff)
        for kind in kinds:
            for size in (0, 1, 70000):
                x.send(frame(kind, os.urandom(size)))
            exchange(x, y, 1)
        assert relay.metric("derp_unknown_frames") == 3 * len(kinds)
        # Longer than any buffer; and then one that never ends.
        x.send(struct.pack(">BI", 0x55, 3 * MIB))
        for _ in range(3 * 16):
            x.send(bytes(65536))
        exchange(x, y, 1)
        with Client(relay) as endless:
            endless.send(struct.pack(">BI", 0x55, 2**32 - 1))
            for _ in range(64):
                endless.send(frame(derpc.SEND, y.key + bytes(65000)))
            exchange(x, y)


def mesh_frames(workers):
    """Only mesh peers may send these, and there are none."""
    with relay_of(workers) as relay, Client(relay) as x, Client(relay) as y:
        refused = 0
        for data in (frame(derpc.FORWARD, y.key + x.key + b"forged"),
                     frame(derpc.WATCH),
                     frame(derpc.CLOSE_PEER, x.key),
                     struct.pack(">BI", derpc.FORWARD, 2**32 - 1)):
            for text in (None, b'{"version":2,"meshKey":"' + b"ab" * 32 +
                         b'"}'):
                c = Client(relay, "hello")
                c.send(c.info(text))
                c.read_server_info()
                c.send(data)
                c.wait_closed()
                assert not c.buffer, bytes(c.buffer)
                c.close()
                refused += 1
                assert relay.closed("frame") == refused
        assert relay.logged("closed: frame: mesh frame from a client")
        exchange(x, y)


def unknown_destination(workers):
    """Packets to nobody: the sender of discovery hears it, a few times."""
    with relay_of(workers) as relay, Client(relay) as x:
        nobody = os.urandom(32)
        began = time.monotonic()
        for _ in range(100):
            x.send_packet(nobody, b"data")
            x.send_packet(nobody, derpc.DISCO)
        x.send_packet(x, b"end")
        gone = 0
        while (got := x.frame())[0] != derpc.RECV:
            assert got == (derpc.PEER_GONE, nobody + b"\1")
            gone += 1
        # Three at once, then one each second.
        most = 3 + (time.monotonic() - began) + 1
        assert 1 <= gone <= most, f"told {gone} times"
        now = relay.metrics()
        for kind in ("disco", "other"):
            assert now['derp_packets_dropped{reason="unknown_dest",'
                       f'kind="{kind}"}}'] == 100


CASES = [slow_reader, slow_reader_recovers, half_frame, half_hello, fd_limit,
         many_connections, pipelined_pages, reset, dup_key, dup_fight,
         send_to_self, garbage, plain_http_to_tls, long_head, bad_client_info,
         big_frames, unknown_frames, mesh_frames, unknown_destination]

if __name__ == "__main__":
    only = sys.argv[1:]
    sys.exit(derpc.main([
        (f"{case.__name__} ({n} worker{'s' * (n > 1)})",
         lambda case=case, n=n: case(n))
        for case in CASES for n in (1, 2)
        if not only or case.__name__ in only]))
