#!/usr/bin/python3
"""stund_hostile_test: floods from one source and from many, messages that are
cut, too long or full of attributes, forged sources: the real stund answers
others all the while, and its memory stays as it is. Prints TAP.
"""

import contextlib
import os
import pathlib
import random
import re
import select
import socket
import struct
import sys
import time

from stundc import ERROR, LIMIT, SUCCESS
from stundc import Skip, Stund, ask, attribute, attributes_of, free_tcp_port
from stundc import http_get, main, mapped, message, outcome, samples, tailnode
from stundc import udp, wait_for

IP_PKTINFO = 8
OPEN_CONNECTIONS = 'campusnet_stun_connections{transport="tcp"}'


def limited(page, bucket):
    return page[f'campusnet_stun_limited_total{{bucket="{bucket}"}}']


@contextlib.contextmanager
def served(*flags, **options):
    """A stund, where it is, and a function that gives its counters."""
    port = free_tcp_port()
    with Stund("-metrics", f"127.0.0.1:{port}", *flags, **options) as d:
        yield d, ("127.0.0.1", d.ports[0]), lambda: samples(
            http_get(port, "/metrics")[2])


def patient(s, to):
    """Asks until there is an answer: a flood may leave no room for one."""
    s.settimeout(0.2)
    deadline = time.monotonic() + LIMIT
    while True:
        request = tailnode()
        s.sendto(request, to)
        with contextlib.suppress(TimeoutError):
            while True:
                answer = s.recv(4096)
                if answer[8:20] == request[8:20]:
                    assert mapped(answer) == s.getsockname()
                    return
        assert time.monotonic() < deadline, "no answer"


def judged(page):
    """Requests with an address or without, but for those that are read and
    wait for their turn, which campusnet_udp_received_total counts as well."""
    return page[outcome("success")] + page[outcome("limited")]


def drain(s):
    """How many datagrams a socket has got."""
    n = 0
    while select.select([s], [], [], 0)[0]:
        s.recv(4096)
        n += 1
    return n


# ---- floods ----

def flood_from_one():
    """A source gets its burst and no more; its neighbour does not notice."""
    with served("-source-rate", "1", "-source-burst", "100") as (
            _, to, counters), udp(host="127.1.1.1") as s, \
            udp(host="127.1.1.2") as other:
        sent = 3000
        for i in range(sent):
            s.sendto(message(), to)
            if i % 100 == 0:
                patient(other, to)
        got = 0

        def all_judged(page):
            nonlocal got
            got += drain(s)
            return limited(page, "source") + got >= sent

        page = wait_for(counters, all_judged)
        # As many more as the seconds that this has taken.
        assert 100 <= got < 100 + 4 * LIMIT, got
        assert limited(page, "source") == sent - got
        assert page[outcome("limited")] == limited(page, "source")


def flood_from_a_prefix():
    """256 sources of one /24 share its bucket; the next /24 has its own."""
    with served("-prefix-rate", "1", "-prefix-burst", "100") as (
            _, to, counters), udp(host="127.2.2.2") as other, spoofer() as s:
        for i in range(1000):
            s.from_address(f"127.2.1.{i % 256}", message(), to)
        page = wait_for(counters, lambda p: judged(p) >= 1000)
        assert 100 <= page[outcome("success")] < 100 + 4 * LIMIT
        assert limited(page, "prefix") > 1000 - 100 - 4 * LIMIT
        assert limited(page, "source") == 0
        ask(other, to, message())


def ceiling():
    """All together get no more than the ceiling: a tenth of it at once."""
    with served("-total-rate", "100") as (_, to, counters), spoofer() as s:
        for i in range(1000):
            s.from_address(f"127.3.{i % 250}.{i // 250 + 1}", message(), to)
        page = wait_for(counters, lambda p: judged(p) >= 1000)
        assert limited(page, "total") > 0 and judged(page) == 1000


class spoofer:
    """A socket that sends from any address of loopback."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 0))
        return self

    def __exit__(self, *_):
        self.socket.close()

    def from_address(self, host, datagram, to):
        info = struct.pack("@i4s4s", 0, socket.inet_aton(host), bytes(4))
        self.socket.sendmsg([datagram],
                            [(socket.IPPROTO_IP, IP_PKTINFO, info)], 0, to)

    def discard(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096, socket.MSG_DONTWAIT)


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])


def memory_stays():
    """120000 sources, each with a request that is answered, and one that is
    gated: not a byte for any of them."""
    with served("-total-rate", "0", "-prefix-rate", "0") as (
            d, to, counters), spoofer() as s, udp() as other:
        gated = message(attributes=attribute(0x26, b""))
        bare = message()
        for number in range(2000):  # what is used once is there now
            s.from_address(address(number), bare, to)
            s.from_address(address(number), gated, to)
        patient(other, to)
        before = resident(d.child.pid)
        for number in range(2000, 120000):
            s.from_address(address(number), bare, to)
            s.from_address(address(number), gated, to)
            if number % 64 == 0:
                s.discard()
        patient(other, to)
        grown = resident(d.child.pid) - before
        page = counters()
        assert page["campusnet_udp_received_total"] > 50000
        assert limited(page, "source") == 0, "each is a source of its own"
        # The first pages of this thread's buffers may have been untouched.
        assert grown < 4096, f"{grown} kB more"


def address(number):
    return f"127.{number >> 16 & 255 | 4}.{number >> 8 & 255}.{number & 255}"


# ---- messages ----

def bombs():
    """As many attributes as there is room for."""
    rows = {
        "unknown, empty": b"".join(attribute(0x7000 + i, b"")
                                   for i in range(1000)),
        "one type, empty": attribute(0x7000, b"") * 1000,
        "optional, empty": attribute(0xC000, b"") * 1000,
        "CHANGE-REQUEST": attribute(0x0003, bytes(4)) * 500,
        "DELAY": attribute(0xCA51, bytes(4)) * 500,
        "cookies": attribute(0xCA50, bytes(8)) * 300,
        "RESPONSE-PORT": attribute(0x0027, b"\x30\x39") * 500,
        "SOFTWARE": attribute(0x8022, b"tailnode") * 300,
        "odd lengths": b"".join(attribute(0xC000, bytes(i % 7))
                                for i in range(400)),
    }
    with served("-gated-rate", "0") as (_, to, _counters), \
            udp(host="127.5.5.5") as s:
        for what, attributes in rows.items():
            for fingerprint in (False, True):
                request = message(attributes=attributes,
                                  fingerprint=fingerprint)
                s.sendto(request, to)
                if what == "RESPONSE-PORT":
                    continue  # answered to a port where nobody is
                answer = s.recv(8192)
                assert answer[8:20] == request[8:20], what
                assert len(answer) <= len(request), what
                kind = struct.unpack_from(">H", answer)[0]
                if what in ("one type, empty", "unknown, empty"):
                    listed = attributes_of(answer)[0x000A]
                    assert kind == ERROR and len(listed) <= 32, what
                else:
                    assert kind == (ERROR if what == "DELAY" else SUCCESS), what
        drain(s)
        patient(s, to)


def cut_and_stretched():
    """Every prefix of a request and every length that it may claim."""
    with served("-source-rate", "0", "-prefix-rate", "0") as (
            _, to, counters), udp() as s:
        whole = message(attributes=attribute(0x8022, b"client") +
                        attribute(0xCA50, bytes(8)) +
                        attribute(0x0003, bytes(4)), fingerprint=True)
        for n in range(len(whole)):
            s.sendto(whole[:n], to)
        for n in range(0, 65536, 97):
            s.sendto(whole[:2] + struct.pack(">H", n) + whole[4:], to)
        for n in (4607, 4608, 4609, 9000, 65507):
            s.sendto(bytes(n), to)
            s.sendto((whole * 900)[:n], to)
        request = message()
        s.sendto(request, to)
        answer = s.recv(4096)
        assert answer[8:20] == request[8:20], "none of them is answered"
        assert counters()[outcome("success")] == 1


def random_attributes():
    """Well-formed headers before attributes of any kind: nothing is answered
    by more than the request, or the shortest answer."""
    draw = random.Random(5780)
    types = [0x0001, 0x0002, 0x0003, 0x0006, 0x0008, 0x0020, 0x0026, 0x0027,
             0x8022, 0x8028, 0xCA50, 0xCA51, 0xCA52, 0x7ABC, 0xC000]
    with served("-source-rate", "0", "-prefix-rate", "0", "-gated-rate",
                "0") as (_, to, _counters), udp(host="127.6.6.6") as s:
        sizes = {}
        for _ in range(3000):
            attributes = b"".join(
                struct.pack(">HH", draw.choice(types), n) + value
                for n, value in (
                    (draw.choice([len(v), len(v), draw.randrange(20)]), v)
                    for v in (draw.randbytes(4 * draw.randrange(4))
                              for _ in range(draw.randrange(6)))))
            request = message(attributes=attributes,
                              fingerprint=draw.random() < 0.3)
            sizes[request[8:20]] = len(request)
            s.sendto(request, to)
            while select.select([s], [], [], 0)[0]:
                answer = s.recv(8192)
                n = sizes[answer[8:20]]
                error = answer[0] == 1 and answer[1] == 0x11
                assert len(answer) <= (n * 1.3 if error else max(n, 32))
        patient(s, to)


# ---- sources ----

def forged(source, port, to, payload):
    """An IPv4 packet of UDP from anywhere, without a checksum."""
    udp_header = struct.pack(">HHHH", port, to[1], 8 + len(payload), 0)
    ip_header = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64,
        socket.IPPROTO_UDP, 0, socket.inet_aton(source),
        socket.inet_aton(to[0]))
    return ip_header + udp_header + payload


def forged_sources():
    """Port 0, and the server's own sockets: silence, and no loop."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                            socket.IPPROTO_RAW)
    except PermissionError:
        raise Skip("raw sockets need root") from None
    with raw, served(listen=["127.0.0.1:0", "0.0.0.0:0"]) as (d, to, counters), \
            udp() as s:
        wild = ("127.0.0.2", d.ports[1])
        for source, port, target in (
                ("127.0.0.1", 0, to), ("127.7.7.7", 0, to),
                (*to, to), (*wild, wild), ("127.0.0.1", to[1], wild)):
            raw.sendto(forged(source, port, target, message()), target)
        # Well-known ports of this host are no source of a loop either.
        raw.sendto(forged("127.7.7.7", 53, to, message()), to)
        page = wait_for(counters, lambda p: p[outcome("bad_source")] >= 5 and
                        p[outcome("success")] >= 1)
        assert page[outcome("bad_source")] == 5, page[outcome("bad_source")]
        assert page["campusnet_udp_received_total"] <= 7
        ask(s, to, message())


def two_servers():
    """A request that each forged for the other starts nothing: an answer is
    not answered."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                            socket.IPPROTO_RAW)
    except PermissionError:
        raise Skip("raw sockets need root") from None
    with raw, served(listen=["127.0.0.2:0"]) as (a, _, counters), \
            served(listen=["127.0.0.3:0"]) as (b, _, others):
        at, bt = ("127.0.0.2", a.ports[0]), ("127.0.0.3", b.ports[0])
        raw.sendto(forged(*bt, at, message()), at)
        wait_for(others, lambda p: p[outcome("not_request")] == 1)
        with udp() as s:
            ask(s, at, message())
            ask(s, bt, message())
        assert counters()["campusnet_udp_received_total"] == 2
        assert others()["campusnet_udp_received_total"] == 2


# ---- scans ----

# What scanners send to a port that they know nothing of, and to STUN's.
PROBES = {
    "nothing": b"",
    "a byte": b"\0",
    "STUN, id of zeros": message(txid=bytes(12)),
    "DNS version.bind": bytes.fromhex(
        "0006010000010000000000000776657273696f6e0462696e640000100003"),
    "NTP monlist": bytes.fromhex("1700032a") + bytes(4),
    "SNMP public": bytes.fromhex(
        "302602010104067075626c6963a019020100020100020100300e300c0608"
        "2b060102010101000500"),
    "SIP OPTIONS": b"OPTIONS sip:nm SIP/2.0\r\nMax-Forwards: 70\r\n\r\n",
    "TURN Allocate": message(0x0003),
    "DTLS hello": bytes.fromhex("16fefd0000000000000000003601"),
    "HTTP": b"GET / HTTP/1.0\r\n\r\n",
    "TLS hello": bytes.fromhex("160301020001000100"),
}


def port_scan():
    """Who knocks at each port in every way learns nothing over UDP, and leaves
    nothing behind over TCP."""
    ports = free_tcp_port(), free_tcp_port()
    with served("-alternate", f"127.0.0.3:{ports[1]}",
                listen=[f"127.0.0.2:{ports[0]}"]) as (_, _, counters):
        at = [(ip, port) for ip in ("127.0.0.2", "127.0.0.3")
              for port in ports]
        with contextlib.ExitStack() as stack:
            scanners = []
            for to in at:
                for probe in PROBES.values():
                    s = stack.enter_context(udp(host="127.0.0.9"))
                    s.sendto(probe, to)
                    scanners.append(s)
            wait_for(counters, lambda p: p["campusnet_udp_received_total"]
                     >= len(scanners))
            # Answers leave in the order of requests, per socket.
            for to in at:
                with udp(host="127.0.0.9") as s:
                    ask(s, to, tailnode())
            assert sum(map(drain, scanners)) == 0
        for to in at * 20:
            # Found open, and reset at once.
            with socket.create_connection(to, LIMIT) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        for to in at:
            for probe in PROBES.values():
                with socket.create_connection(to, LIMIT) as s:
                    s.sendall(probe)
        wait_for(counters, lambda p: p[OPEN_CONNECTIONS] == 0)
        with socket.create_connection(at[0], LIMIT) as s:
            s.settimeout(LIMIT)
            s.sendall(tailnode())
            assert s.recv(100)[:2] == b"\1\1"


TESTS = [port_scan, flood_from_one, flood_from_a_prefix, ceiling, memory_stays, bombs,
         cut_and_stretched, random_attributes, forged_sources, two_servers]

if __name__ == "__main__":
    sys.exit(main(TESTS))
