#!/usr/bin/python3
# tests/run: limit=120
"""kernel_test: the NATs that the kernel makes do what kinds.py says of them."""

import contextlib
import sys
import threading
import time

import kinds
import lab
import tap
from prober import Inconclusive, Prober
from topologies import A1, A2, server

# kind: mapping, filtering, ports, external addresses of a host, hairpin,
# whether an early packet poisons a port, and what a second host with the same
# port gets: (the same for another server, the same for the same server).
TRUTH = {
    "masquerade": ("ei", "apd", "preserve", 1, "none", False, (True, False)),
    "masquerade-accept":
        ("ei", "apd", "preserve", 1, "none", True, (True, False)),
    "random": ("apd", "apd", "random", 1, "none", None, (False, False)),
    "fully-random": ("apd", "apd", "random", 1, "none", None, (False, False)),
    "persistent": ("ei", "apd", "preserve", 1, "none", False, (True, False)),
    "range": ("ei", "apd", None, 1, "none", False, None),
    "pool-paired": ("ei", "apd", "preserve", 1, "none", False, None),
    "pool-arbitrary": ("apd", "apd", "random", 2, "none", None, None),
    "per-destination": ("ad", "apd", "preserve", 2, "none", None, None),
    "one-to-one": ("ei", "ei", "preserve", 1, "none", False, None),
    "one-to-one-hairpin":
        ("ei", "ei", "preserve", 1, "external-source", False, None),
    "one-to-one-remembering":
        ("ei", "ad", "preserve", 1, "none", False, None),
    "firewall": ("none", "apd", "preserve", 1, None, False, None),
    "routed": ("none", "ei", "preserve", 1, None, False, None),
}
UDP, STREAM = 2, 4
# Further addresses of the server: some pools choose by that.
MORE = [f"203.0.113.{i}" for i in range(12, 20)]


def nodes():
    all_nodes = {"server": server()}
    all_nodes["server"]["ip"] += MORE
    for i, kind in enumerate([*TRUTH, "short"]):
        gateway = f"g{i}"
        lan = f"192.0.2.{65 + i}" if kind in kinds.ROUTED else "10.0.2.2"
        nat = {"kernel": kind}
        if kind == "short":
            nat = {"kernel": "masquerade", "udp_timeout": UDP,
                   "udp_timeout_stream": STREAM}
        if kind in kinds.ROUTED:
            # Networks of their own, since they are seen outside.
            net = f"172.{20 + i}.0."
            lan, a, b = f"{net}1/24", f"{net}15", f"{net}16"
        else:
            lan, a, b = "10.0.2.2/24", "10.0.2.15", "10.0.2.16"
        all_nodes[gateway] = {
            "kind": "gateway", "at": "internet", "nat": nat, "lan": lan,
            "ip": [f"198.51.100.{2 * i + 10}", f"198.51.100.{2 * i + 11}"]}
        for name, ip in (("a", a), ("b", b)):
            all_nodes[f"{name}{i}"] = {"kind": "host", "at": gateway,
                                       "ip": [ip]}
    return all_nodes


def check(kind, prober):
    mapping, filtering, ports, addresses, hairpin, poison, clash = TRUTH[kind]
    tap.eq(prober.mapping(), mapping, f"{kind}: mapping")
    tap.eq(prober.filtering(), filtering, f"{kind}: filtering")
    if ports:
        tap.eq(prober.ports(), ports, f"{kind}: ports")
    found = prober.addresses(MORE)
    tap.eq(found, addresses, f"{kind}: external addresses of a host")
    if hairpin:
        tap.eq(prober.hairpin(), hairpin, f"{kind}: hairpin")
    if poison is not None:
        tap.eq(prober.poisoned(), poison, f"{kind}: poison")
    if clash:
        tap.eq(prober.collides(), clash, f"{kind}: a second host's port")


def check_range(prober):
    x = prober.socket()
    port = prober.out(x)[1]
    tap.ok(40000 <= port <= 40099, "range: ports of the range", port)


def check_lifetimes(prober):
    for inbound in (False, True):
        what = f"conntrack: {'an exchange' if inbound else 'one packet'}: " \
               f"udp_timeout, {UDP} s"
        try:
            tap.eq(prober.lives(UDP, inbound), [], what)
        except Inconclusive as error:
            tap.ok(False, what, error)
    # A flow that still goes on 2 s after its beginning is a stream.
    x = prober.socket()
    (began, _), seen = prober.touch(x, inbound=True)
    for at in (1.2, 2.4):
        time.sleep(max(0, began + at - time.monotonic()))
        touched, seen = prober.touch(x, inbound=True)
    what = f"conntrack: a stream: udp_timeout_stream, {STREAM} s"
    try:
        alive = prober.alive_after(x, seen, touched, STREAM - 0.7, STREAM)
        touched, seen = prober.touch(x, inbound=True)
        after = prober.alive_after(x, seen, touched, STREAM + 0.3, STREAM)
        tap.eq((alive, after), ((True, True), (False, False)), what)
    except Inconclusive as error:
        tap.ok(False, what, error)


def main():
    try:
        net = lab.build(nodes())
    except lab.CannotBuild as error:
        tap.skip("kernel NATs", error)
        return tap.done()
    with net:
        def start(i, kind):
            prober = Prober(net, f"a{i}", f"b{i}", 3000 + 10 * i, (A1, A2))
            with contextlib.closing(prober):
                if kind == "short":
                    tap.attempt("lifetimes", check_lifetimes, prober)
                    return
                tap.attempt(kind, check, kind, prober)
                if kind == "range":
                    tap.attempt(kind, check_range, prober)

        threads = [threading.Thread(target=start, args=case)
                   for case in enumerate([*TRUTH, "short"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
