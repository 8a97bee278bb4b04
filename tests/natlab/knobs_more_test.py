#!/usr/bin/python3
# tests/run: limit=60
"""knobs_more_test: natemu's knobs, seen through real sockets as in
knobs_test.py: ports that are fixed or go on by steps, who may hairpin, what
happens at a time or under load, and a line that is too slow."""

import errno
import select
import socket
import sys
import time

import grid
import lab
import tap
from kinds import RULES
from knobs_test import Listener, connect, timed
from prober import AA, PP

CASES = []


def case(function):
    function.what = function.__name__
    CASES.append(function)
    return function


# ---- times ----

@case
def degrade_lives(w):
    timed(w, "degrade_after: half a life under load", {"degrade_after": 1},
          lambda ttl: w.prober.lives(ttl / 2), [])


def error_keeps(w, ttl):
    """Does a mapping outlive ttl, of which nothing but errors is heard?"""
    x = w.prober.socket()
    _, seen = w.prober.touch(x)
    deaf = (w.prober.server[PP].getsockname()[0], 9)
    end = time.monotonic() + 2 * ttl
    while time.monotonic() < end:
        x.sendto(b"nobody listens there", deaf)
        time.sleep(ttl / 8)
    return w.prober.out(x) == seen


for keeps in (True, False):
    @case
    def refresh_icmp(w, keeps=keeps):
        timed(w, f"refresh none, refresh_icmp {keeps}",
              {"refresh": "none", "refresh_icmp": keeps},
              lambda ttl: error_keeps(w, ttl), keeps)


@case
def reboot(w):
    w.become(ports="sequential", port_min=30000)
    x, y = w.prober.socket(), w.prober.socket()
    tap.eq([w.prober.out(s)[1] for s in (x, y)], [30000, 30001],
           "before reboot_at")
    w.nat.set(reboot_at=20, speed=100)
    lab.wait_for(lambda: not w.nat.mappings(), "reboot_at")
    tap.eq((w.prober.out(y)[1], w.nat.knobs()["reboot_at"]), (30000, 0),
           "reboot_at: it begins anew, and that is over")


@case
def renumber(w):
    w.become(external=w.external[:1], ports="random")
    x = w.prober.socket()
    tap.eq(w.prober.out(x)[0], w.external[0], "before renumber_at")
    w.nat.set(renumber_at=20, renumber_to=w.external[1:], speed=100)
    lab.wait_for(lambda: not w.nat.mappings(), "renumber_at")
    tap.eq((w.prober.out(x)[0], w.nat.knobs()["external"]),
           (w.external[1], w.external[1:]), "renumber_at: another address")


@case
def tcp_rst_on_expire(w):
    w.become(tcp_rst_on_expire=True, tcp_ttl_open=20, ports="random")
    with Listener(w) as server, w.net.socket(w.a, socket.SOCK_STREAM) as x:
        connect(w, x, server.ends[0])
        conn, _ = server.accept()
        with conn:
            conn.settimeout(10)
            x.sendall(b"alive")
            tap.eq(conn.recv(9), b"alive", "before tcp_rst_on_expire")
            # Not before: that is long enough for what is above.
            w.nat.set(speed=100)
            got = []
            for s in (x, conn):
                try:
                    got.append(s.recv(1))
                except OSError as error:
                    got.append(error.errno)
    tap.eq(got, 2 * [errno.ECONNRESET],
           "tcp_rst_on_expire: both ends believe it")


# ---- ports ----

@case
def port_steps(w):
    w.become(ports="sequential", port_start=41000, port_step=7)
    tap.eq([w.prober.out(w.prober.socket())[1] for _ in range(5)],
           [41000, 41007, 41014, 41021, 41028], "port_start, port_step")


@case
def port_map(w):
    w.become(mapping=RULES["apd"], ports="sequential", port_min=700,
             port_map=[{"ip": w.prober.ip(w.b), "inside": 29100,
                        "outside": 701}])
    seen = [w.prober.out(w.prober.socket())[1] for _ in range(2)]
    z = w.prober.socket(w.b, port=29100)
    tap.eq((seen, w.prober.out(z)[1], w.prober.out(z, AA)[1]),
           ([700, 702], 701, 701), "port_map")


# ---- hairpins ----

@case
def hairpin_same_host(w):
    w.become(hairpin="external-source", hairpin_same_host=True)
    x, y = w.prober.socket(), w.prober.socket()
    seen = w.prober.out(x)
    tag = w.prober.tag()
    y.sendto(tag, seen)
    tap.ok(w.prober.came(x, [tag])[0], "hairpin_same_host: oneself")
    tap.eq(w.prober.hairpin(), "none", "and nobody else")


@case
def hairpin_fragments(w):
    for pass_on in (True, False):
        w.become(hairpin="external-source", hairpin_fragments=pass_on)
        x, z = w.prober.socket(), w.prober.socket(w.b)
        seen = w.prober.out(x)
        for tag in (b"whole", b"big".ljust(3000)):
            z.sendto(tag, seen)
        got = w.prober.came(x, [b"whole", b"big".ljust(3000)])
        tap.eq([bool(source) for source in got], [True, pass_on],
               f"hairpin_fragments {pass_on}")


# ---- load ----

@case
def switch_to_edm(w):
    w.become(limit=2, on_full="switch-to-edm", ports="random",
             filtering=RULES["apd"])
    x, y = w.prober.socket(), w.prober.socket()
    before = w.prober.out(x)
    w.prober.out(y)
    tap.eq(w.prober.mapping(), "apd",
           "on_full switch-to-edm: one remote for each that is too much")
    tap.eq(w.prober.out(x, AA), before, "the others stay")


def flood(w, n=60, size=972):
    """Seconds from the first to the last of what comes of n datagrams that
    are sent at once, and how many that is."""
    x = w.prober.socket()
    to = w.prober.server[AA]
    w.prober.out(x)
    for _ in range(n):
        x.sendto(b"x" * size, to.getsockname())
    times = []
    dropped = w.nat.counters()["drop-queue"]
    while len(times) < n - dropped and select.select([to], [], [], 10)[0]:
        to.recv(2000)
        times.append(time.monotonic())
    return times[-1] - times[0], len(times)


@case
def rate(w):
    # 1000 bytes of IP are 10 ms.
    w.become(rate_out_kbit=800, queue_out_ms=5000)
    took, n = flood(w)
    tap.ok(n == 60 and took > 0.4, "rate: 60 packets take 0.6 s", (took, n))
    w.become(rate_out_kbit=800, queue_out_ms=100)
    _, n = flood(w, 200)
    tap.ok(n < 150, "queue: what is too much is dropped", n)


if __name__ == "__main__":
    sys.exit(grid.run_cases("natemu's knobs", CASES))
