#!/usr/bin/python3
# tests/run: limit=150
"""tcp_test: natprobe over TCP: the mapping of every kind of the kernel's NATs
and natemu's; how long idle connections live, and how they die; and servers
that do not speak TCP, or not well. The core's cases are in
tests/unit/natprobe_tcp_test.c; here are real sockets and servers."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
import struct
import sys
import threading

import kinds
import lab
import tap
from kernel_test import TRUTH
from topologies import A1, A1_6, A2, A2_6, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
STUND = os.environ.get("STUND", f"{TOP}/build/release/stund")
TURNSERVER = shutil.which("turnserver", path=os.environ["PATH"] + ":/usr/sbin")

NAMES = {**kinds.RULES, "none": "none"}
# natemu's kinds, their mapping, and whether ports are kept.
USER = {"eim-apdf": ("ei", False), "adm-apdf": ("ad", False),
        "apdm-apdf": ("apd", False), "pdm-apdf": ("pd", False),
        "rfc": ("ei", True), "like-masquerade": ("ei", True),
        "cgn": ("ei", False), "symmetric-sequential": ("apd", False)}
EI = {"mapping": kinds.RULES["ei"], "ports": "random"}

# What a server is, by the port: on A1 and A2, or on A1 alone.
GOOD, COTURN, COTURN_UDP, PLAIN, NO_TCP, AT_ONCE = (
    3478, 3500, 3510, 3520, 3530, 3540)
# Gateways whose connections live so long: seconds, and how they die.
LIVES = {
    "conntrack": ({"kernel": "masquerade", "tcp_timeout_established": 12},
                  GOOD, 12, "server", "picked-up"),
    "conntrack, random ports": (
        {"kernel": "fully-random", "tcp_timeout_established": 12},
        GOOD, 12, "server", "reset"),
    "silent": ({**EI, "tcp_ttl_open": 10}, GOOD, 10, "server", "silent"),
    "resetting": ({**EI, "tcp_ttl_open": 20, "tcp_midstream": "rst"},
                  GOOD, 20, "server", "reset"),
    "telling": ({**EI, "tcp_ttl_open": 9, "tcp_rst_on_expire": True},
                GOOD, 9, "server", "reset"),
    "asked by this side": ({**EI, "tcp_ttl_open": 15}, AT_ONCE, 15, "host",
                           "silent"),
}


class AtOnce:
    """A server that knows nothing but RFC 8489, and answers for ever."""

    def __init__(self, net):
        self.listener = net.socket("server", socket.SOCK_STREAM, ip=A1,
                                   port=AT_ONCE)
        self.listener.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            s, source = self.listener.accept()
            threading.Thread(target=self.serve, args=(s, source),
                             daemon=True).start()

    def serve(self, s, source):
        ip, port = int.from_bytes(socket.inet_aton(source[0])), source[1]
        with s, contextlib.suppress(OSError):
            while head := s.recv(20, socket.MSG_WAITALL):
                s.recv(int.from_bytes(head[2:4]), socket.MSG_WAITALL)
                s.sendall(b"\1\1\0\x0c" + head[4:] + struct.pack(
                    ">HHHHI", 0x20, 8, 1, port ^ 0x2112, ip ^ 0x2112A442))


def nats():
    """name: (the gateway's NAT, more of it)"""
    for kind in TRUTH:
        yield f"kernel {kind}", {"kernel": kind}, {}
    for kind in USER:
        yield f"natemu {kind}", kinds.USER[kind], {}
    for name, (nat, *_) in LIVES.items():
        yield f"lives: {name}", nat, {}
    yield "keepalive", {**EI, "tcp_ttl_open": 4}, {}
    yield "six", {"kernel": "masquerade", "tcp_timeout_established": 12}, {}
    yield "blocked", {"kernel": "masquerade"}, {"block": "all-but-443"}
    yield "lossy", {"mapping": kinds.RULES["apd"], "ports": "random",
                    "loss_out": 0.1, "loss_in": 0.1, "delay_out_ms": 75,
                    "delay_in_ms": 75}, {}


def nodes(all_nats):
    found = {"server": server()}
    for i, (name, nat, more) in enumerate(all_nats):
        net = "10.0.2."
        if name.split()[-1] in kinds.ROUTED:
            net = f"172.{20 + i}.0."
        found[f"g{i}"] = {
            "kind": "gateway", "at": "internet", "nat": nat,
            "lan": f"{net}2/24", "lan6": f"2001:db8:{i + 1}::1/64",
            "ip": [f"198.51.100.{2 * i + 10}", f"198.51.100.{2 * i + 11}"],
            **more}
        found[f"a{i}"] = {"kind": "host", "at": f"g{i}", "ip": [f"{net}15"],
                          "ip6": [f"2001:db8:{i + 1}::15"]}
    return found


class Bench:
    """The network, and natprobe in it."""

    def __init__(self, net, names):
        self.net = net
        self.names = names

    def probe(self, name, *flags, port=GOOD, family=4, words=False):
        to = f"[{A1_6}]:{port}" if family == 6 else f"{A1}:{port}"
        done = self.net.run(
            f"a{self.names.index(name)}",
            [NATPROBE, "-stun", to, "-family", str(family), "-json", "-",
             *flags], timeout=140)
        if done.returncode not in (0, 1, 3):
            raise RuntimeError(f"status {done.returncode}: {done.stderr}")
        said = json.loads(done.stdout)[f"ipv{family}"]["tcp"]
        return (said, done.stderr) if words else said

    def mapping(self, name, mapping, kept):
        said = self.probe(name)
        got = said["mapping"]
        whole = {"verdict": NAMES[mapping], "why": None, "sockets": 5,
                 "agree": 5, "connections": 20}
        tap.eq({key: got[key] for key in whole}, whole, f"{name}: {mapping}")
        if kept is not None:
            tap.ok((got["ports_preserved"] == 20) == kept,
                   f"{name}: ports are {'' if kept else 'not '}kept",
                   got["ports_preserved"])
        tap.eq(said["filtering"],
               {"verdict": "unknown", "why": "no-server-can-ask"},
               f"{name}: nothing is said of filtering")

    def life(self, name, port, seconds, first, dies, family=4):
        said, words = self.probe(
            name, "-tcp-lifetime", "-ttl-max", "30s", "-ttl-resolution", "1s",
            port=port, family=family, words=True)
        life = said["lifetime"]
        tap.ok(life["alive"] and life["dead"] and life["why"] is None and
               abs((life["alive"] + life["dead"]) / 2 - seconds) <= 1,
               f"{name}: {seconds} s", life)
        tap.eq((life["first_after_pause"], life["when_dead"]), (first, dies),
               f"{name}: how it dies")
        tap.ok("60 s (DERP) are too seldom" in words,
               f"{name}: relays' keepalive is compared", words)

    def impatient(self):
        """coturn ends idle connections within seconds; that is not the NAT."""
        life = self.probe("kernel masquerade", "-tcp-lifetime", "-ttl-max",
                          "8s", port=COTURN)["lifetime"]
        tap.ok(life["dead"] is None and life["alive"] and
               life["why"] in ("tcp-reset", "server-closed"),
               "a server that ends idle connections", life)

    def telling(self):
        """The same NAT, where no server has promised to wait: either of them
        may be who resets what is idle."""
        life = self.probe("lives: telling", "-tcp-lifetime", "-ttl-max",
                          "12s", port=AT_ONCE)["lifetime"]
        tap.ok(life["dead"] is None and life["alive"] and
               life["why"] == "tcp-reset",
               "a NAT that resets idle connections, or the server", life)

    def keepalive(self):
        life = self.probe("keepalive", "-tcp-lifetime", "-refresh",
                          "-ttl-max", "8s", "-ttl-resolution", "1s")["lifetime"]
        tap.eq(life["keepalive"], {"refreshes": "yes", "why": None},
               "TCP's own keepalive refreshes")

    def unknown(self, what, said, works, why, server_why=None):
        tap.eq((said["works"], said["why"], said["mapping"]["verdict"],
                said["mapping"]["why"], said["servers"][0]["why"]),
               (works, None if works == "yes" else why, "unknown", why,
                server_why), what)

    def servers(self):
        name = "kernel masquerade"
        tap.eq(self.probe(name, port=COTURN)["mapping"]["verdict"],
               NAMES["ei"], "coturn is good enough")
        self.unknown("coturn without TCP",
                     self.probe(name, port=COTURN_UDP), "no", "tcp-refused",
                     "tcp-refused")
        self.unknown("stund without TCP", self.probe(name, port=NO_TCP),
                     "no", "tcp-refused", "tcp-refused")
        self.unknown("a firewall that drops TCP", self.probe("blocked"),
                     "no", "tcp-silent", "tcp-silent")
        self.unknown("one address", self.probe(name, port=PLAIN), "yes",
                     "one-server-address")
        for kind, verdict in (("random", "dependent"), ("routed", "none")):
            said = self.probe(f"kernel {kind}", "-stun", f"{A2}:{PLAIN}",
                              port=PLAIN)
            tap.eq(said["mapping"]["verdict"], verdict,
                   f"two servers with one address each: {kind}")
        said = self.probe(name, "-stun", f"{A1}:{PLAIN}", "-stun",
                          f"{A1}:{GOOD}", port=NO_TCP)
        tap.eq(([s["why"] for s in said["servers"]],
                said["mapping"]["verdict"]),
               (["tcp-refused", None, None], NAMES["ei"]),
               "a good one among others")
        tap.ok("tcp" not in json.loads(self.net.run(
            "a0", [NATPROBE, "-stun", A1, "-family", "4", "-quiet", "-json",
                   "-", "-tcp=false"]).stdout)["ipv4"], "-tcp=false")

    def six(self):
        said = self.probe("six", family=6)
        tap.eq((said["mapping"]["verdict"], said["mapping"]["agree"]),
               ("none", 5), "IPv6 is not translated")

    def lossy(self):
        for _ in range(3):
            got = self.probe("lossy")["mapping"]
            tap.ok(got["verdict"] in (NAMES["apd"], "dependent") or
                   (got["verdict"] == "unknown" and got["why"]),
                   "10 % loss and 150 ms each way: nothing wrong", got)

    def jobs(self):
        """Those that take longest first."""
        for name, (_, *truth) in LIVES.items():
            yield f"lives: {name}", self.life, f"lives: {name}", *truth
        yield "lives, IPv6", self.life, "six", GOOD, 12, "server", "picked-up", 6
        yield "keepalive", self.keepalive
        yield "impatient", self.impatient
        yield "telling", self.telling
        yield "servers", self.servers
        yield "lossy", self.lossy
        yield "six", self.six
        for kind, truth in TRUTH.items():
            kept = None if truth[2] is None else truth[2] == "preserve"
            yield kind, self.mapping, f"kernel {kind}", truth[0], kept
        for kind, truth in USER.items():
            yield kind, self.mapping, f"natemu {kind}", *truth


def serve(net):
    """stund and coturn, of several kinds."""
    for flags in (
            (GOOD, "-alternate", f"{A2}:{GOOD + 1}", "-listen",
             f"[{A1_6}]:{GOOD}", "-alternate", f"[{A2_6}]:{GOOD + 1}"),
            (PLAIN, "-listen", f"{A2}:{PLAIN}"), (NO_TCP, "-tcp=false")):
        net.popen("server", [STUND, "-listen", f"{A1}:{flags[0]}", *flags[1:],
                             "-log", "error"])
    for port, flags in ((COTURN, ()), (COTURN_UDP, ("--no-tcp",))):
        net.popen("server", [
            TURNSERVER, "-S", "-n", "--no-tls", "--no-dtls", "--no-cli",
            "-L", A1, "-L", A2, "-p", str(port), "--alt-listening-port",
            str(port + 1), "--log-file", "/dev/null", "--pidfile",
            f"{net.dir}/coturn-{port}.pid", *flags],
            stdout=lab.subprocess.DEVNULL, stderr=lab.subprocess.DEVNULL)
    for port in (GOOD, PLAIN, NO_TCP, COTURN, COTURN_UDP):
        lab.wait_for(lambda port=port: lab.listens(net, "server", port),
                     f"a server at port {port}")
    AtOnce(net)


def main():
    found = list(nats())
    if TURNSERVER is None:
        tap.skip("TCP", "needs turnserver, of the package coturn")
        return tap.done()
    try:
        net = lab.build(nodes(found))
    except lab.CannotBuild as error:
        tap.skip("TCP", error)
        return tap.done()
    with net:
        serve(net)
        bench = Bench(net, [name for name, *_ in found])
        # Those that wait take nothing; a few others at a time.
        with concurrent.futures.ThreadPoolExecutor(len(LIVES) + 5) as pool:
            for name, *job in bench.jobs():
                pool.submit(tap.attempt, name, *job)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
