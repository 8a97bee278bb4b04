#!/usr/bin/python3
# tests/run: limit=180
"""natprobe_test: natprobe, with stund, says of every NAT what it is: those that
the kernel makes, and natemu's by name. The whole grid of knobs is in
tests/sim/natprobe_test.c, where the clock is moved by hand; here are real
sockets, a real server and the kernel's own NATs."""

import concurrent.futures
import json
import os
import subprocess
import sys

import kinds
import lab
import tap
from kernel_test import TRUTH
from topologies import A1, A2, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
STUND = os.environ.get("STUND", f"{TOP}/build/release/stund")

NAMES = {**kinds.RULES, "none": "none"}
PORTS = {"preserve": "preserving", "random": "random", "block": "sequential",
         "sequential": "sequential", None: "block"}
# What of natemu's kinds their names do not say.
USER = {"rfc": ("ei", "ad", "preserve"),
        "like-masquerade": ("ei", "apd", "preserve"),
        "like-masquerade-accept": ("ei", "apd", "preserve"),
        "cgn": ("ei", "ei", "block"),
        "symmetric-sequential": ("apd", "apd", "sequential")}
SHORT = 6  # seconds
KERNEL_LIFE = ("short", {"kernel": "masquerade", "udp_timeout": SHORT,
                         "udp_timeout_stream": 2 * SHORT})


def cases():
    """name, the gateway's NAT, (mapping, filtering, ports, poison, clash)"""
    for kind, truth in TRUTH.items():
        mapping, filtering, ports, _, _, poison, clash = truth
        yield kind, {"kernel": kind}, (
            mapping, filtering, ports, poison, clash)
    for kind in kinds.USER:
        if kind == "line":
            continue
        mapping, filtering, ports = USER.get(kind) or (
            *(part[:-1] for part in kind.split("-")), "random")
        poison = True if kind == "like-masquerade-accept" else None
        yield kind, kinds.USER[kind], (mapping, filtering, ports, poison, None)


def nodes(all_cases):
    found = {"server": server()}
    for i, (kind, nat, _) in enumerate([*all_cases, (*KERNEL_LIFE, None)]):
        net = "10.0.2." if kind not in kinds.ROUTED else f"172.{20 + i}.0."
        lan = f"{net}2/24"
        found[f"g{i}"] = {
            "kind": "gateway", "at": "internet", "nat": nat, "lan": lan,
            "ip": [f"198.51.100.{2 * i + 10}", f"198.51.100.{2 * i + 11}"]}
        found[f"a{i}"] = {"kind": "host", "at": f"g{i}",
                          "ip": [f"{net}15", f"{net}16"]}
    return found


def start_stund(net, *flags):
    """With two addresses, over IPv4."""
    net.popen("server", [
        STUND, "-listen", f"{A1}:3478", "-alternate", f"{A2}:3479",
        "-log", "error", *flags])
    lab.wait_for(lambda: lab.listens(net, "server", 3478), "stund to listen")


def probe(net, i, *flags):
    done = net.run(f"a{i}", [NATPROBE, "-stun", A1, "-family", "4", "-quiet",
                             "-json", "-", *flags],
                   timeout=120)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)["ipv4"]


def check(net, i, kind, truth):
    mapping, filtering, ports, poison, clash = truth
    flags = ["-hairpin"]
    if clash:
        flags += ["-second-address", net.nodes[f"a{i}"]["ip"][1]]
    said = probe(net, i, *flags)
    got = (said["mapping"]["verdict"], said["filtering"]["verdict"],
           said["ports"]["verdict"])
    want = (NAMES[mapping], NAMES[filtering], PORTS[ports])
    if not tap.eq(got, want, f"{kind}: mapping, filtering, ports"):
        print(f"# {json.dumps(said)}")
    if poison is not None and mapping != "none":
        tap.eq(said["early_packet_changes_mapping"]["verdict"],
               "yes" if poison else "no", f"{kind}: an early packet")
    if clash and mapping == "ei":
        tap.eq(said["until_collision"]["verdict"],
               "no" if clash == (True, True) else "yes",
               f"{kind}: until two hosts use one port")


def check_life(net, i):
    """conntrack's two timeouts, in one run."""
    said = probe(net, i, "-lifetime", "-ttl-max", "30s", "-ttl-resolution",
                 "1s")["lifetime"]
    for name, life in (("one_packet_out", SHORT), ("exchange", SHORT),
                       ("stream", 2 * SHORT)):
        alive, dead = said[name]["alive"], said[name]["dead"]
        tap.ok(alive is not None and dead is not None and
               abs((alive + dead) / 2 - life) <= 1,
               f"conntrack: {name} lives {life} s", said[name])


def main():
    found = list(cases())
    try:
        net = lab.build(nodes(found))
    except lab.CannotBuild as error:
        tap.skip("NATs of every kind", error)
        return tap.done()
    with net:
        start_stund(net)
        # A few at a time: what is measured must not starve.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            life = pool.submit(tap.attempt, "lifetimes", check_life, net,
                               len(found))
            for i, (kind, _, truth) in enumerate(found):
                pool.submit(tap.attempt, kind, check, net, i, kind, truth)
            life.result()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
