#!/usr/bin/python3
# tests/run: limit=180
"""predict_test: what `natprobe predict` says of two sites is what happens
there. natprobe runs at both, behind NATs of the kernel's; then two plain
sockets try to meet: A sends first, B 0.3 s later, ten times a second, and both
answer to where a packet came from."""

import concurrent.futures
import contextlib
import json
import os
import random
import select
import subprocess
import sys
import time

import lab
import tap
from topologies import A1, A1_6, A2, A2_6, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
STUND = os.environ.get("STUND", f"{TOP}/build/release/stund")

# Five kinds, and with which of them each meets if it sends first.
KINDS = {"one-to-one": "+++++", "one-to-one-remembering": "+++++",
         "masquerade": "+++--", "masquerade-accept": "+++--",
         "fully-random": "++---"}
SIX = len(KINDS) - 1  # these two sites have IPv6 as well
ROUNDS, B_BEGINS, GAP = 16, 3, 0.1
FIRST = {"direct": True, "direct-if-a-first": True, "direct-if-b-first": False,
         "unreliable": False, "relay": False}


def nodes():
    found = {"server": server()}
    for side, base in (("a", 10), ("b", 60)):
        for i, kind in enumerate(KINDS):
            n = base + i
            six = i == SIX
            found[f"g{side}{i}"] = {
                "kind": "gateway", "at": "internet", "nat": {"kernel": kind},
                "ip": [f"198.51.100.{n}"], "lan": "10.0.2.2/24",
                "lan6": f"2001:db8:{n}::1/64" if six else None}
            found[f"{side}{i}"] = {
                "kind": "host", "at": f"g{side}{i}", "ip": ["10.0.2.15"],
                "ip6": [f"2001:db8:{n}::15"] if six else []}
    return found


# ---- what is said ----

def measure(net, host):
    file = net.dir / f"{host}.json"
    done = net.run(host, [NATPROBE, "-stun", A1, "-stun", f"[{A1_6}]", "-quiet",
                          "-building", host, "-json", file], timeout=120)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{host}: status {done.returncode}: {done.stderr}")
    return file


def predict(a, b):
    done = subprocess.run([NATPROBE, "predict", "-json", a, b], text=True,
                          capture_output=True, timeout=60)
    if done.stderr:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout), done.returncode


# ---- what happens ----

class Peer:
    """One of two sockets that try to meet."""

    def __init__(self, net, host, port, six):
        self.ip6 = six
        ip = net.nodes[host]["ip6" if six else "ip"][0]
        self.s = net.socket(host, ip=ip, port=port)
        self.remotes = []
        self.met = False

    def outside(self, third):
        """Its address, as the third party sees it."""
        self.s.sendto(b"who am I", third.getsockname()[:2])
        third.settimeout(10)
        return third.recvfrom(100)[1][:2]

    def ping(self):
        for remote in self.remotes:
            self.send(b"ping", remote)

    def send(self, what, to):
        with contextlib.suppress(OSError):  # an ICMP error of before
            self.s.sendto(what, to)

    def take(self):
        try:
            data, source = self.s.recvfrom(100)
        except OSError:
            return
        if data == b"pong":
            self.met = True
        else:
            if source[:2] not in self.remotes:
                self.remotes.append(source[:2])
            self.send(b"pong", source)


def listen(peers, until):
    while not all(p.met for p in peers):
        left = until - time.monotonic()
        ready = select.select([p.s for p in peers], [], [], max(0, left))[0]
        if not ready:
            return
        for p in peers:
            if p.s in ready:
                p.take()


def meet(net, a, b, six=False):
    """Do they hear each other, if a begins?"""
    with contextlib.ExitStack() as held:
        third = held.enter_context(
            net.socket("server", ip=A1_6 if six else A1))
        peers = [Peer(net, host, random.randrange(32768, 61000), six)
                 for host in (a, b)]
        for p in peers:
            held.enter_context(p.s)
        seen = [p.outside(third) for p in peers]
        peers[0].remotes, peers[1].remotes = [seen[1]], [seen[0]]
        for i in range(ROUNDS):
            peers[0].ping()
            if i >= B_BEGINS:
                peers[1].ping()
            listen(peers, time.monotonic() + GAP)
        listen(peers, time.monotonic() + 3 * GAP)
        return all(p.met for p in peers)


# ---- both ----

def check(net, i, j, files):
    kinds = list(KINDS)
    what = f"{kinds[i]}, then {kinds[j]}"
    said, status = predict(files[f"a{i}"], files[f"b{j}"])
    outcome = said["ipv4"]["outcome"]
    met = meet(net, f"a{i}", f"b{j}")
    tap.eq(met, KINDS[kinds[i]][j] == "+", f"{what}: they meet or not, as known")
    tap.eq(FIRST.get(outcome), met, f"{what}: predicted, {outcome}")
    if (i, j) != (SIX, SIX):
        tap.eq(status, {"direct": 0, "relay": 1}.get(outcome, 4),
               f"{what}: exit status")
        return
    tap.eq((said["outcome"], said["family"], status), ("direct", "ipv6", 0),
           f"{what}: predicted, direct over IPv6")
    tap.ok(meet(net, f"a{i}", f"b{j}", six=True), f"{what}: so it is")


def main():
    try:
        net = lab.build(nodes())
    except lab.CannotBuild as error:
        tap.skip("predictions", error)
        return tap.done()
    with net:
        net.popen("server", [
            STUND, "-listen", f"{A1}:3478", "-alternate", f"{A2}:3479",
            "-log", "error"])
        net.popen("server", [
            STUND, "-listen", f"[{A1_6}]:3478", "-alternate",
            f"[{A2_6}]:3479", "-log", "error"])
        hosts = [f"{side}{i}" for side in "ab" for i in range(len(KINDS))]
        lab.wait_for(lambda: lab.listens(net, "server", 3478),
                     "stund to listen")
        lab.wait_for(lambda: ":0D96 " in net.run(
            "server", ["cat", "/proc/net/udp6"]).stdout, "stund with IPv6")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            files = dict(zip(hosts, pool.map(
                lambda host: measure(net, host), hosts)))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for i in range(len(KINDS)):
                for j in range(len(KINDS)):
                    pool.submit(tap.attempt, f"{i}, {j}", check, net, i, j,
                                files)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
