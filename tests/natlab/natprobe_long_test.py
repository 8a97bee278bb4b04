#!/usr/bin/python3
# tests/run: nightly limit=900
"""natprobe_long_test: lifetimes of 10 to 300 s, of the kernel's conntrack and
of natemu, measured in real time. In every run tests/sim/natprobe_test.c does
the same with a clock moved by hand."""

import concurrent.futures
import json
import os
import sys
import time

import lab
import tap
from natprobe_test import NATPROBE, start_stund
from topologies import A1, server

LIVES = (10, 30, 60, 120, 300)  # seconds
CLASSES = ("one_packet_out", "exchange", "stream")


def nats():
    """name, the gateway's NAT, the lifetime of each class"""
    for life in LIVES:
        yield f"conntrack, {life} s", {
            "kernel": "masquerade", "udp_timeout": life,
            "udp_timeout_stream": life + 10}, (life, life, life + 10)
        yield f"natemu, {life} s", {
            "mapping": "endpoint-independent",
            "filtering": "address-and-port-dependent", "ports": "random",
            "ttl_single": life, "ttl_exchange": life + 10,
            "ttl_stream": life + 20, "refresh": "both",
            "stream_after": 2}, (life, life + 10, life + 20)


def nodes(found):
    all_nodes = {"server": server()}
    for i, (_, nat, _) in enumerate(found):
        all_nodes[f"g{i}"] = {
            "kind": "gateway", "at": "internet", "nat": nat,
            "lan": "10.0.2.2/24", "ip": [f"198.51.100.{i + 10}"]}
        all_nodes[f"a{i}"] = {"kind": "host", "at": f"g{i}",
                              "ip": ["10.0.2.15"]}
    return all_nodes


def check(net, i, name, lives):
    began = time.monotonic()
    done = net.run(f"a{i}", [
        NATPROBE, "-stun", A1, "-family", "4", "-quiet", "-json", "-",
        "-lifetime", "-ttl-max", f"{max(lives) + 30}s"], timeout=800)
    took = time.monotonic() - began
    if done.returncode not in (0, 1):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout)["ipv4"]["lifetime"]
    print(f"# {name}: {took:.1f} s for lifetimes up to {max(lives)} s")
    for kind, life in zip(CLASSES, lives):
        alive, dead = said[kind]["alive"], said[kind]["dead"]
        tap.ok(alive is not None and dead is not None and
               abs((alive + dead) / 2 - life) <= max(1, 0.03 * life),
               f"{name}: {kind} lives {life} s", said[kind])


def main():
    found = list(nats())
    try:
        net = lab.build(nodes(found))
    except lab.CannotBuild as error:
        tap.skip("lifetimes", error)
        return tap.done()
    with net:
        start_stund(net)
        with concurrent.futures.ThreadPoolExecutor(len(found)) as pool:
            for i, (name, _, lives) in enumerate(found):
                pool.submit(tap.attempt, name, check, net, i, name, lives)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
