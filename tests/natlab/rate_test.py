#!/usr/bin/python3
# tests/run: limit=120
"""rate_test: natprobe's -rate holds for all that it sends, over both families,
to STUN servers, relays, the router and the way: what really leaves the host is
counted, in every second, and beside what -n says."""

import contextlib
import hashlib
import json
import os
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time

import kinds
import lab
import tap
from topologies import A1, A1_6, A2, A2_6, gateway, robot, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
STUND = os.environ.get("STUND", f"{TOP}/build/release/stund")
RELAYD = os.environ.get("RELAYD", f"{TOP}/build/release/relayd")
RELAYS = 8
OTHER = 5000  # port of the second STUN server
DEFAULT = 500
NAT = {**kinds.USER["like-masquerade"], "delay_out_ms": 25, "delay_in_ms": 25}
# Of Linux; Python has no names for them.
ETH_P_ALL, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 3, 33, 35
OUTGOING = 4
ECHO = {(4, 8), (6, 128)}  # version, type
FIN, SYN, RST = 1, 2, 4
DNS = struct.pack(">H", 53)


# ---- what leaves ----

class Sniffer:
    """All packets that a node sends, with the kernel's times."""

    def __init__(self, net, name):
        with net.spaces[name].inside():
            self.socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.packets, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while True:
            if not select.select([self.socket], [], [], 0.2)[0]:
                if self.over.is_set():
                    return
                continue
            data, notes, _, (_, _, kind, _, _) = self.socket.recvmsg(4096, 256)
            if kind == OUTGOING:
                seconds, ns = struct.unpack("qq", notes[0][2][:16])
                self.packets.append((seconds + ns / 1e9, data))

    def stop(self):
        self.over.set()
        self.thread.join()
        self.socket.close()
        return self.packets


def transport(p):
    """version, addresses, protocol, what follows the IP headers or None"""
    if p[0] >> 4 == 4:
        length, offset = struct.unpack(">H2xH", p[2:8])
        first = offset & 0x1FFF == 0
        return 4, p[12:20], p[9], p[(p[0] & 15) * 4:length] if first else None
    protocol, rest = p[6], p[40:40 + struct.unpack(">H", p[4:6])[0]]
    while protocol in (0, 44):
        if protocol == 44 and struct.unpack(">H", rest[2:4])[0] >> 3 != 0:
            return 6, p[8:40], rest[0], None
        size = 8 if protocol == 44 else rest[1] * 8 + 8
        protocol, rest = rest[0], rest[size:]
    return 6, p[8:40], protocol, rest


class Ours:
    """Is that packet one that natprobe decides to send? Not what the kernel
    adds: acknowledgements, repeats, ARP and its like, ICMP errors; nor what
    the system's resolver asks."""

    def __init__(self):
        self.seen = set()

    def once(self, *what):
        new = what not in self.seen
        self.seen.add(what)
        return new

    def __call__(self, p):
        if p[0] >> 4 not in (4, 6):
            return None
        version, addresses, protocol, rest = transport(p)
        if protocol == socket.IPPROTO_UDP:
            return None if rest and rest[2:4] == DNS else "udp"
        if protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6):
            return "echo" if rest and (version, rest[0]) in ECHO else None
        if protocol != socket.IPPROTO_TCP:
            return None
        seq, flags = struct.unpack(">4xI4xxB", rest[:14])
        flow = (addresses, rest[:4])
        if flags & SYN:
            return "syn" if self.once(flow, "syn", seq) else None
        if len(rest) > (rest[12] >> 4) * 4:
            return "data" if self.once(flow, "data", seq) else None
        if flags & (FIN | RST):
            return "end" if self.once(flow, "end") else None
        return None


def allowed(rate):
    """In a second, as natprobe(8) says: packets may be late, and handshakes
    with relays are answered at once."""
    return rate * 1.02 + 10


def most_within(times, span):
    most = start = 0
    for i, at in enumerate(times):
        while at - times[start] >= span:
            start += 1
        most = max(most, i - start + 1)
    return most


# ---- servers ----

def start_servers(net):
    for port, more in ((3478, True), (OTHER, False)):
        words = [STUND, "-log", "error", "-source-rate", "0", "-listen", f"{A1}:{port}",
                 "-listen", f"[{A1_6}]:{port}"]
        if more:
            words += ["-alternate", f"{A2}:3479", "-alternate",
                      f"[{A2_6}]:3479"]
        net.popen("server", words)
        lab.wait_for(lambda port=port: lab.listens(net, "server", port),
                     "stund to listen")
    log, certs = net.dir / "relay.log", net.dir / "certs"
    net.popen("server", [
        RELAYD, "-a", ":443", "-http-port", "80", "-stun=false", "-hostname",
        A1, "-certmode", "manual", "-c", net.dir / "derper.key", "-certdir",
        certs, "-user", "root"], stdout=open(os.devnull, "w"),
        stderr=open(log, "w"))
    lab.wait_for(lambda: "ready" in log.read_text(), "relayd to be ready")
    pem = re.search(r"-+BEGIN.*?END CERTIFICATE-+",
                    (certs / f"{A1}.crt").read_text(), re.S)[0]
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    file = net.dir / "derpmap.json"
    file.write_text(json.dumps({"Regions": {
        str(900 + i): {"RegionID": 900 + i, "RegionCode": f"r{i}", "Nodes": [{
            "Name": f"r{i}a", "RegionID": 900 + i, "HostName": A1,
            "IPv4": A1, "IPv6": A1_6, "DERPPort": 443, "CanPort80": True,
            "STUNPort": -1, "CertName": f"sha256-raw:{pin}"}]}
        for i in range(RELAYS)}}))
    return file


def command(derp_map, *flags):
    return [NATPROBE, "-map", derp_map, *flags,
            *(word for host in (A1, f"{A1}:{OTHER}", f"[{A1_6}]",
                                f"[{A1_6}]:{OTHER}")
              for word in ("-stun", host))]


# ---- tests ----

def count(net, derp_map, *flags):
    """The result, seconds, and the times and kinds of natprobe's packets."""
    sniffer, ours = Sniffer(net, "a"), Ours()
    try:
        began = time.monotonic()
        done = net.run("a", command(derp_map, "-json", "-", "-quiet", *flags),
                       timeout=90)
        took = time.monotonic() - began
    finally:
        packets = sniffer.stop()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    sent = [(at, kind) for at, p in sorted(packets) if (kind := ours(p))]
    return json.loads(done.stdout), took, sent


def promised(net, derp_map, *flags):
    text = net.run("a", command(derp_map, "-n", *flags), timeout=30).stdout
    found = re.search(r"all of it: at most (\d+) packets, (\d+) a second, "
                      r"within (\d+) s", text)
    if found is None:
        raise RuntimeError(text)
    return [int(x) for x in found.groups()]


def check(net, derp_map, rate, *flags):
    most, says, within = promised(net, derp_map, *flags)
    said, took, sent = count(net, derp_map, *flags)
    times = [at for at, _ in sent]
    kinds_of = {kind: sum(k == kind for _, k in sent) for _, kind in sent}
    peak, tenth = most_within(times, 1.0), most_within(times, 0.1)
    what = f"-rate {rate}"
    print(f"# {what}: {len(sent)} of {most} packets in {took:.2f} of {within}"
          f" s, most in 1 s {peak}, in 100 ms {tenth}; {kinds_of}",
          flush=True)
    tap.eq(says, rate, f"{what}: -n says so")
    tap.ok(peak <= allowed(rate), f"{what}: no second has more", peak)
    tap.ok(peak >= rate / 2, f"{what}: and it is used", peak)
    tap.ok(len(sent) <= most, f"{what}: not more in all than -n says",
           f"{len(sent)}, {most}")
    tap.ok(took <= within, f"{what}: nor longer", f"{took}, {within}")
    for family in ("ipv4", "ipv6"):
        tap.ok(said[family]["udp"] == "yes" and
               said[family]["tcp"]["works"] == "yes", f"{what}: {family}",
               said[family])
    tap.eq((said["ipv4"]["mapping"]["verdict"],
            said["ipv4"]["filtering"]["verdict"],
            said["ipv4"]["tcp"]["mapping"]["verdict"]),
           ("endpoint-independent", "address-and-port-dependent",
            "endpoint-independent"), f"{what}: and it is judged right")
    relays = said["relays"]
    tap.ok(len(relays) == RELAYS and all(
        r["latency"]["sent"] == 20 and r["latency"]["lost"] == 0
        for r in relays), f"{what}: and the relays are", relays[0])
    return said


def main():
    try:
        net = lab.build({"server": server(), "nat-a": gateway(1, nat=NAT),
                         "a": robot(1, "nat-a")})
    except lab.CannotBuild as error:
        tap.skip("rates", error)
        return tap.done()
    with contextlib.closing(net):
        derp_map = start_servers(net)
        tap.attempt("default", check, net, derp_map, DEFAULT)
        tap.attempt("50", check, net, derp_map, 50, "-rate", "50")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
