#!/usr/bin/python3
"""timing: how long natprobe takes on a path of 50 ms, beside `tailscale
netcheck`, in turns.

usage: tests/natlab/timing.py [ROUNDS]

Needs root and what `make all natemu peers` builds. netcheck asks whether a
mapping varies, and how far servers are; natprobe asks for all that it can
tell without -lifetime.
"""

import contextlib
import statistics
import sys
import time

import kinds
import lab
import netcheck
from natprobe_test import NATPROBE, start_stund
from topologies import A1, A2, gateway, robot, server

ROUNDS = 5
TARGET_S = 3.0
EACH_WAY_MS = 25
DEAD = "203.0.113.99"
NAT = {**kinds.USER["like-masquerade"], "delay_out_ms": EACH_WAY_MS,
       "delay_in_ms": EACH_WAY_MS}
NETCHECKS = {"netcheck, one server": [(A1, 3478)],
             "netcheck, two servers": [(A1, 3478), (A2, 3478)]}


def tools(net, apis):
    """What each runs; the sockets that netcheck asks live as long as apis."""
    yield "natprobe", [NATPROBE, "-stun", A1, "-family", "4", "-quiet"]
    yield "natprobe, and a dead server", [
        NATPROBE, "-stun", DEAD, "-stun", A1, "-family", "4", "-quiet"]
    for i, (tool, servers) in enumerate(NETCHECKS.items()):
        path = net.dir / f"api{i}"
        apis.enter_context(netcheck.local_api(path, servers))
        yield tool, netcheck.words(path)


def measure(rounds):
    """Seconds by tool, a list each."""
    with lab.build({"server": server(), "nat-a": gateway(1, nat=NAT),
                    "a": robot(1, "nat-a")}) as net, \
            contextlib.ExitStack() as apis:
        # Many runs in a row from one address would be too many for it.
        start_stund(net, "-source-rate", "0", "-prefix-rate", "0")
        asked = dict(tools(net, apis))
        took = {tool: [] for tool in asked}
        for _ in range(rounds):
            for tool, words in asked.items():
                began = time.monotonic()
                done = net.run("a", words, timeout=60)
                took[tool].append(time.monotonic() - began)
                if done.returncode != 0:
                    raise RuntimeError(f"{tool}: {done.stderr}")
    return took


def table(took):
    """As lines of Markdown: medians, the worst, and each beside natprobe."""
    ours = statistics.median(took["natprobe"])
    lines = ["| tool | median | longest | natprobe takes |",
             "|---|---|---|---|"]
    for tool, seconds in took.items():
        median = statistics.median(seconds)
        ratio = "" if tool.startswith("natprobe") else \
            f"{ours / median:.1f} times that"
        lines.append(f"| {tool} | {median:.2f} s | {max(seconds):.2f} s | "
                     f"{ratio} |")
    return "\n".join(lines)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    try:
        took = measure(rounds)
    except lab.CannotBuild as error:
        print(f"natprobe is not timed: {error}")
        return 0
    print(f"natprobe on a path of {2 * EACH_WAY_MS} ms, {rounds} rounds in "
          f"turns; its target: {TARGET_S:.0f} s\n")
    print(table(took))
    slow = [tool for tool in took if tool.startswith("natprobe") and
            statistics.median(took[tool]) > TARGET_S]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
