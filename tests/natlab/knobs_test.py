#!/usr/bin/python3
# tests/run: limit=150
"""knobs_test: natemu's other knobs, one by one, seen through real sockets:
lifetimes and what refreshes them, pools, limits, unsolicited packets, TCP,
ICMP, fragments, sizes, delay and loss; and its control socket."""

import errno
import json
import select
import socket
import struct
import subprocess
import sys
import time

import grid
import lab
import tap
from kinds import RULES, USER
from prober import AA, AP, PA, PP, Inconclusive

TTL = 30  # seconds of the NAT's clock
IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_DO = 10, 0, 2
CASES = []  # those that wait for a clock first


def case(function):
    function.what = function.__name__
    CASES.append(function)
    return function


def timed(worker, what, knobs, measure, want):
    """measure(real seconds of TTL) gives `want`. On a machine too busy to
    tell, once more with a slower clock."""
    error = None
    for speed in (60, 20, 6):
        worker.become(**{"speed": speed, "ttl_single": TTL,
                         "ttl_exchange": TTL, "ports": "random", **knobs})
        try:
            return tap.eq(measure(TTL / speed), want, what)
        except Inconclusive as why:
            error = why
    return tap.ok(False, what, error)


# ---- lifetimes ----

@case
def ttl_single(w):
    timed(w, "ttl_single: until something comes back",
          {"ttl_exchange": 10 * TTL}, w.prober.lives, [])


@case
def ttl_exchange(w):
    timed(w, "ttl_exchange: after that", {"ttl_single": TTL / 6},
          lambda ttl: w.prober.lives(ttl, inbound=True), [])


@case
def ttl_icmp_and_six(w):
    timed(w, "IPv6 has the same lifetimes", {"ttl_exchange": 10 * TTL},
          w.prober6.lives, [])


for which, want in (("outbound", "out"), ("inbound", "in"),
                    ("both", "out+in")):
    @case
    def refresh(w, which=which, want=want):
        timed(w, f"refresh {which}", {"refresh": which},
              w.prober.refreshes, want)


def keep_other(w, ttl):
    """A mapping with two remotes, one of which is refreshed: is it the same
    mapping for the other after ttl, and is the other let in?"""
    x = w.prober.socket()
    before, seen = w.prober.touch(x)
    w.prober.out(x, AA)
    for _ in range(4):
        time.sleep(ttl / 3)
        now = time.monotonic()
        w.prober.out(x, AA)
        if time.monotonic() - before[1] > ttl * 0.9:
            before = (now, time.monotonic())
    if time.monotonic() - now > ttl / 2:
        raise Inconclusive("the last look was late")
    tags = w.prober.into(seen, [PP])
    heard = w.prober.came(x, tags)[0] is not None
    return w.prober.out(x, PP) == seen, heard


for scope, heard in (("mapping", True), ("session", False)):
    @case
    def refresh_scope(w, scope=scope, heard=heard):
        timed(w, f"refresh_scope {scope}",
              {"refresh_scope": scope, "filtering": RULES["apd"]},
              lambda ttl: keep_other(w, ttl), (True, heard))


@case
def ttl_filter(w):
    def measure(ttl):
        x = w.prober.socket()
        touched, seen = w.prober.touch(x)
        early = w.prober.alive_after(x, seen, touched, ttl / 2, ttl)
        touched, seen = w.prober.touch(x)
        late = w.prober.alive_after(x, seen, touched, ttl * 1.1, ttl)
        if not early[1]:
            raise Inconclusive("the first look was late")
        return early[0], late[0], w.prober.out(x) == seen
    timed(w, "ttl_filter: the filter closes, the mapping stays",
          {"ttl_filter": TTL, "ttl_single": 20 * TTL, "ttl_exchange": 20 * TTL,
           "filtering": RULES["apd"]}, measure, (True, False, True))


# ---- ports, pools, limits ----

@case
def parity(w):
    w.become(ports="random", parity=True)
    xs = [w.prober.socket() for _ in range(20)]
    tap.ok(all(w.prober.out(x)[1] % 2 == x.getsockname()[1] % 2 for x in xs),
           "parity")


@case
def contiguity(w):
    w.become(ports="random", contiguity=True)
    seen = [w.prober.out(w.prober.socket(port=29000 + i))[1]
            for i in range(10)]
    tap.ok(all(b - a == 1 for a, b in zip(seen, seen[1:])), "contiguity", seen)


@case
def overload(w):
    knobs = {"mapping": RULES["apd"], "filtering": RULES["apd"]}
    w.become(**knobs, overload="per-remote")
    tap.eq(w.prober.collides(), (True, False), "overload per-remote: two "
           "hosts share a port until they talk with the same server")
    tap.eq(w.prober.mapping(), "ei", "which looks endpoint-independent")
    w.become(**knobs, overload="never")
    tap.eq(w.prober.collides(), (False, False), "overload never")
    w.become(overload="always")
    tap.eq(w.prober.collides(), (True, True), "overload always")


@case
def pooling(w):
    for how, want in (("paired", 1), ("arbitrary", 2), ("round-robin", 2)):
        w.become(external=w.external, pooling=how)
        tap.eq(w.prober.addresses(), want, f"pooling {how}")
    w.become(external=w.external, pooling="paired")
    ips = {w.prober.out(w.prober.socket(h))[0] for h in (w.a, w.b)}
    tap.eq(len(ips), 2, "pooling paired: two hosts, two addresses")


@case
def limits(w):
    w.become(host_limit=3)
    xs = [w.prober.socket() for _ in range(4)]
    for x in xs[:3]:
        w.prober.out(x)
    y = w.prober.socket(w.b)
    xs[3].sendto(b"too many", w.prober.server[PP].getsockname())
    w.prober.out(y)
    tap.eq(w.nat.counters()["drop-quota"], 1, "host_limit")
    tap.eq(len(w.nat.mappings()), 4, "and others are not bothered")
    w.become(limit=2, on_full="evict-oldest", ports="random")
    seen = [w.prober.out(x) for x in (xs[0], xs[1], xs[0], xs[2])]
    tap.ok(seen[0] == seen[2], "on_full evict-oldest: what is used stays")
    gone = w.prober.into(seen[1], [PP])
    tap.eq(w.prober.came(xs[1], gone, control=xs[2]), [None],
           "and what is not goes")


@case
def degrade(w):
    w.become(degrade_after=6, ports="random")
    tap.eq(w.prober.mapping(), "ei", "degrade_after: at first EIM")
    for _ in range(6):
        w.prober.out(w.prober.socket())
    tap.eq(w.prober.mapping(), "apd", "and APDM under load")


# ---- unsolicited, ICMP ----

def told(w, s, address):
    """A packet from a connected socket s of the server: what it hears back."""
    s.connect(address)
    s.settimeout(0)
    s.send(b"unsolicited")
    # Whatever comes back was sent before this answer.
    x = w.prober.socket()
    w.prober.out(x)
    w.prober.out(x)
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@case
def unsolicited(w):
    for how, want in (("drop", 0), ("icmp-unreach", errno.ECONNREFUSED),
                      ("create-state", errno.ECONNREFUSED)):
        w.become(unsolicited=how)
        with w.net.socket("server") as s:
            tap.eq(told(w, s, (w.external[0], 9999)), want,
                   f"unsolicited {how}")
    w.become(**{**USER["like-masquerade-accept"]})
    tap.eq((w.prober.poisoned(), w.prober.mapping(), w.prober.filtering()),
           (True, "ei", "apd"), "unsolicited create-state: poison")
    w.become(**USER["like-masquerade"])
    tap.eq((w.prober.poisoned(), w.prober.mapping(), w.prober.filtering()),
           (False, "ei", "apd"), "not without")


@case
def icmp_errors(w):
    for how, want in (("translate", errno.ECONNREFUSED), ("outer-only", 0),
                      ("drop", 0)):
        w.become(icmp_errors=how, ports="random")
        x = w.prober.socket()
        x.connect((w.prober.server[PP].getsockname()[0], 9))
        x.send(b"nobody listens there")
        y = w.prober.socket()
        w.prober.receive(y, w.prober.into(w.prober.out(y), [PP])[0])
        tap.eq(x.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), want,
               f"icmp_errors {how}")
    w.become(icmp_kills=True, ports="random")
    x = w.prober.socket()
    seen = w.prober.out(x)
    x.sendto(b"", (w.prober.server[PP].getsockname()[0], 9))
    w.prober.came(x, [])
    tap.ok(w.prober.out(x) != seen, "icmp_kills")


# ---- fragments and sizes ----

def big(w, size, discover=PMTUDISC_DONT):
    """Does a datagram of that size come through, outbound and inbound?"""
    x = w.prober.socket()
    seen = w.prober.out(x)
    result = []
    # AA, since what follows goes to PP.
    for s, to, at in ((x, w.prober.server[AA].getsockname(),
                       w.prober.server[AA]),
                      (w.prober.server[PP], seen, x)):
        s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discover)
        tag = w.prober.tag()
        s.sendto(tag.ljust(size), to)
        w.prober.came(w.prober.socket(), [])
        ready = select.select([at], [], [], 0)[0]
        result.append(bool(ready) and
                      at.recv(65535) == tag.ljust(size))
        s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
    return tuple(result)


@case
def fragments(w):
    for how, passes in (("pass", True), ("in-order", True),
                        ("reassemble", True), ("drop", False),
                        ("drop-non-first", False)):
        w.become(fragments=how, ports="random")
        tap.eq(big(w, 4000), (passes, passes), f"fragments {how}")


@case
def sizes(w):
    w.become(mtu_out=1000)
    tap.eq(big(w, 1300), (True, True), "mtu_out: cut, and put together there")
    for ptb, want in ((True, errno.EMSGSIZE), (False, 0)):
        w.become(mtu_out=1000, ptb=ptb)
        x = w.prober.socket()
        x.connect(w.prober.server[PA if ptb else AP].getsockname())
        x.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        x.send(b"x" * 1300)
        w.prober.came(w.prober.socket(), [])
        tap.eq(x.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), want,
               f"ptb {ptb}")
        if ptb:
            tap.eq(x.getsockopt(socket.IPPROTO_IP, 14), 1000,
                   "which tells the size")


# ---- the line ----

@case
def line(w):
    w.become(delay_out_ms=60, delay_in_ms=40)
    x = w.prober.socket()
    (began, ended), _ = w.prober.touch(x, inbound=True)
    tap.ok(ended - began >= 0.1, "delay, of each direction", ended - began)
    lost = []
    for _ in range(2):
        w.become(loss_out=0.3, seed=w.plain["seed"] + 1)
        w.nat.set(seed=7)
        x = w.prober.socket()
        to = w.prober.server[PP].getsockname()
        for i in range(100):
            x.sendto(b"loss %d" % i, to)
        w.nat.set(loss_out=0)
        tag = w.prober.tag()
        x.sendto(tag, to)
        got = []
        w.prober.server[PP].settimeout(10)
        while not got or got[-1] != tag:
            got.append(w.prober.server[PP].recv(99))
        lost.append(got[:-1])
    tap.ok(50 < len(lost[0]) < 90, "loss is about the share", len(lost[0]))
    tap.eq(lost[0], lost[1], "and the same with the same seed")


# ---- TCP ----

def connect(w, x, to):
    """None when connected, else the error."""
    x.settimeout(10)
    try:
        x.connect(to)
    except OSError as error:
        return error.errno
    return None


class Listener:
    """A TCP socket of the server at both addresses."""

    def __init__(self, w, port=443):
        self.sockets = []
        for s in w.prober.server[::2]:
            t = w.net.socket("server", socket.SOCK_STREAM,
                             ip=s.getsockname()[0], port=port + w.i)
            t.listen(16)
            self.sockets.append(t)
        self.ends = [t.getsockname()[:2] for t in self.sockets]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()

    def accept(self, i=0):
        self.sockets[i].settimeout(10)
        return self.sockets[i].accept()


@case
def tcp_mapping(w):
    for mapping, same in (("ei", True), ("apd", False)):
        w.become(mapping=RULES[mapping], ports="random")
        with Listener(w) as server:
            seen = []
            port = 0
            for i in (0, 1):
                x = w.net.socket(w.a, socket.SOCK_STREAM, port=port)
                port = x.getsockname()[1]
                connect(w, x, server.ends[i])
                conn, source = server.accept(i)
                seen.append(source)
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
                conn.close()
                x.close()
            tap.eq(seen[0] == seen[1], same, f"TCP mapping {mapping}")


@case
def tcp_data(w):
    w.become(ports="random")
    data = bytes(range(256)) * 4000
    with Listener(w) as server, \
            w.net.socket(w.a, socket.SOCK_STREAM) as x:
        connect(w, x, server.ends[0])
        conn, _ = server.accept()
        with conn:
            lab.threading.Thread(target=x.sendall, args=(data,)).start()
            got = b""
            while len(got) < len(data):
                got += conn.recv(65536)
    tap.ok(got == data, "TCP: a megabyte comes through")


@case
def tcp_unsolicited(w):
    for how, want in (("rst", errno.ECONNREFUSED),
                      ("icmp-unreach", errno.ECONNREFUSED),
                      ("icmp-after-6s", errno.ECONNREFUSED)):
        w.become(tcp_unsolicited=how, speed=40)
        with w.net.socket("server", socket.SOCK_STREAM) as s:
            began = time.monotonic()
            tap.eq(connect(w, s, (w.external[0], 7777)), want,
                   f"tcp_unsolicited {how}")
            if how == "icmp-after-6s":
                tap.ok(time.monotonic() - began >= 6 / 40, "not before")
    w.become(tcp_unsolicited="drop")
    before = w.nat.counters()
    with w.net.socket("server", socket.SOCK_STREAM) as s:
        s.setblocking(False)
        s.connect_ex((w.external[0], 7777))
        w.prober.came(w.prober.socket(), [])
        tap.eq(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0,
               "tcp_unsolicited drop")
        after = w.nat.counters()
        tap.ok(after["drop-unmapped"] > before["drop-unmapped"] and
               after["answered"] == before["answered"], "in silence")


def cross(w, how):
    """Two that connect to each other at the same time, one behind the NAT."""
    w.become(tcp_simultaneous_open=how, tcp_unsolicited="drop",
             filtering=RULES["apd"])
    x = w.net.socket(w.a, socket.SOCK_STREAM)
    s = w.net.socket("server", socket.SOCK_STREAM)
    with x, s:
        # The first SYN from each side is lost, so that they cross: neither
        # has heard of the other when it sends again.
        w.nat.set(loss_in=1, loss_out=1)
        for one, other in ((x, s.getsockname()),
                           (s, (w.external[0], x.getsockname()[1]))):
            one.setblocking(False)
            one.connect_ex(other)
        lab.wait_for(lambda: w.nat.counters()["drop-loss"] > 0, "a SYN")
        w.nat.set(loss_in=0, loss_out=0)
        poll = select.select([], [x], [], 8)[1]
        if not poll:
            return "silence"
        return x.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or "open"


@case
def tcp_cross(w):
    tap.eq(cross(w, "accept"), "open", "tcp_simultaneous_open accept")


@case
def tcp_idle(w):
    for how, want in (("rst", errno.ECONNRESET), ("drop", 0),
                      ("create-state", "answer")):
        w.become(tcp_midstream=how, speed=100, tcp_ttl_open=20,
                 ports="sequential", port_min=30000)
        with Listener(w) as server, \
                w.net.socket(w.a, socket.SOCK_STREAM) as x:
            connect(w, x, server.ends[0])
            conn, source = server.accept()
            with conn:
                lab.wait_for(lambda: not w.nat.mappings(), "tcp_ttl_open")
                # The next port is another one, but for create-state, where
                # that makes what is sent again come from elsewhere, too.
                if how == "create-state":
                    w.nat.flush()
                x.settimeout(10)
                x.send(b"still there?")
                if how == "rst":
                    try:
                        x.recv(1)
                        got = "nothing"
                    except OSError as error:
                        got = error.errno
                elif how == "drop":
                    w.prober.came(w.prober.socket(), [])
                    got = x.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                else:
                    conn.settimeout(10)
                    got = "answer" if conn.recv(99) else "nothing"
                tap.eq(got, want, f"tcp_midstream {how}, after tcp_ttl_open")


# ---- control ----

@case
def control(w):
    w.become(ports="sequential", port_min=40000)
    x = w.prober.socket()
    w.prober.touch(x, inbound=True)
    found = w.nat.mappings()[0]
    own, server = x.getsockname(), w.prober.server[PP].getsockname()
    tap.eq((found["inside"], found["outside"], found["protocol"],
            found["replied"], found["remotes"][0]["ip"],
            found["remotes"][0]["port"]),
           ({"ip": own[0], "port": own[1]},
            {"ip": w.external[0], "port": 40000}, "udp", True, *server),
           "control: mappings")
    tap.ok(0 < found["left"] <= 300 and 0 <= found["age"] < 60,
           "with their times", found)
    tap.eq(w.nat.knobs()["ports"], "sequential", "control: knobs")
    w.nat.set(ports="preserve", port_min=1024)
    tap.eq(w.prober.out(x)[1], 40000, "control: set keeps what is mapped")
    y = w.prober.socket()
    tap.eq(w.prober.out(y)[1], y.getsockname()[1], "and holds for the rest")
    w.nat.flush()
    tap.eq(w.nat.mappings(), [], "control: flush")
    for command, want in (
            ({"do": "dance"}, "want"),
            ({"do": "set", "knobs": {"ports": "odd"}},
             "ports: \"odd\": want preserve, sequential, random, block"),
            ({"do": "set", "knobs": {"porst": 1}},
             "porst: 1: there is no such knob")):
        try:
            w.nat.ask(**command)
            tap.ok(False, f"control: {command}")
        except lab.Failed as error:
            tap.ok(str(error).startswith(want), f"control: {command}", error)
    tap.eq(w.nat.knobs()["ports"], "preserve", "a wrong one changes nothing")


@case
def configuration(w):
    file = w.net.dir / "wrong.json"
    side = {"inside": {"device": "x"}, "outside": {"device": "y"}}
    for text, want in (
            ("{", "line 1:"),
            ("{}", "inside: is missing"),
            (json.dumps({**side, "control": "/x", "more": 1}),
             "more: want inside, outside, control or knobs"),
            (json.dumps(side), "control: want the path of a socket"),
            (json.dumps({**side, "inside": {"device": "0123456789abcdef"}}),
             "inside: device: 0123456789abcdef: want 1 to 15 characters"),
            (json.dumps({**side, "control": "/x",
                         "knobs": {"mapping": "eim"}}),
             "mapping: \"eim\": want endpoint-independent")):
        file.write_text(text)
        done = subprocess.run([lab.NATEMU, "-check", file], text=True,
                              capture_output=True)
        tap.ok(done.returncode == 2 and done.stderr.count("\n") == 1 and
               f"{file}: {want}" in done.stderr,
               f"natemu -check: {want}", done)
    file.write_text(json.dumps({**side, "control": "/x"}))
    done = subprocess.run([lab.NATEMU, "-check", file], capture_output=True)
    tap.eq((done.returncode, done.stdout, done.stderr), (0, b"", b""),
           "natemu -check: good")


if __name__ == "__main__":
    sys.exit(grid.run_cases("natemu's knobs", CASES))
