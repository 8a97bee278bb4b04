#!/usr/bin/python3
# tests/run: limit=150
"""lab_test: each topology is what it says it is, and nothing is left of it."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import lab
import spaces
import tap
from topologies import A1, A1_6, A2, TOPOLOGIES

IP_RECVERR, MSG_ERRQUEUE = 11, 0x2000
PATIENCE = 10
LAB = str(lab.HERE / "natlab")


class Talk:
    """A UDP socket of the server, and what it sees."""

    def __init__(self, net, ip=A1, port=3478):
        self.net = net
        self.s = net.socket("server", ip=ip, port=port)
        self.s.settimeout(PATIENCE)
        self.to = self.s.getsockname()[:2]

    def source(self, x):
        """The source of a packet from x, which gets an answer."""
        x.sendto(b"hello", self.to)
        _, source = self.s.recvfrom(99)
        self.s.sendto(b"you", source)
        x.settimeout(PATIENCE)
        x.recvfrom(99)
        return source[:2]

    def pending(self):
        return bool(select.select([self.s], [], [], 0)[0])


def tcp(net, name, ip, port):
    """Does a TCP connection to a listener of the server come about? Tried
    for so long that a first SYN may be lost."""
    with net.socket("server", socket.SOCK_STREAM, ip=ip, port=port) as s, \
            net.socket(name, socket.SOCK_STREAM) as x:
        s.listen(1)
        x.settimeout(1.5)
        try:
            x.connect((ip, port))
        except OSError:
            return False
        return True


def two_robots(net):
    server, server6 = Talk(net), Talk(net, A1_6)
    sources = [server.source(net.socket(n, port=41641)) for n in "ab"]
    tap.eq((net.nodes["a"]["ip"], net.nodes["b"]["ip"]),
           (["10.0.2.15"], ["10.0.2.15"]), "two-robots: one private address")
    tap.eq(sources, [("198.51.100.10", 41641), ("198.51.100.20", 41641)],
           "two-robots: two addresses outside")
    tap.eq(server6.source(net.socket("a", ip="2001:db8:1::15", port=9999)),
           ("2001:db8:1::15", 9999), "two-robots: IPv6 is not translated")
    tap.eq(Talk(net, A2).source(net.socket("a", port=41642))[1], 41642,
           "two-robots: the server's second address")


def neighbours(net):
    server = Talk(net)
    sources = {server.source(net.socket(n))[0] for n in "ab"}
    tap.eq(sources, {"198.51.100.10"}, "neighbours: one address outside")
    x, y = net.socket("a"), net.socket("b")
    x.sendto(b"hi", y.getsockname())
    y.settimeout(PATIENCE)
    tap.eq(y.recvfrom(9)[1], x.getsockname(), "neighbours: one network inside")


def campus(net):
    server = Talk(net)
    sources = {server.source(net.socket(n))[0] for n in "ab"}
    tap.eq(sources, {"198.51.100.10"}, "campus: one address outside")
    x, y = net.socket("a"), net.socket("b")
    x.sendto(b"hi", y.getsockname())
    y.settimeout(PATIENCE)
    tap.eq(y.recvfrom(9)[1], x.getsockname(),
           "campus: the buildings reach each other")
    tap.eq(hops(net, "a"), ["10.10.1.1", "10.10.0.1", "192.0.2.1"],
           "campus: two routers on the way")


def buildings(net):
    server = Talk(net)
    tap.eq([server.source(net.socket(n))[0] for n in "ab"],
           ["198.51.100.10", "198.51.100.20"], "buildings: two NATs")


def public(net):
    server = Talk(net)
    tap.eq(server.source(net.socket("a", port=5000)), ("192.0.2.50", 5000),
           "public: no NAT")
    tap.eq(server.source(net.socket("b"))[0], "198.51.100.20",
           "public: and one")


def roaming(net):
    server = Talk(net)
    index = net.run("a", ["cat", "/sys/class/net/eth0/ifindex"]).stdout
    sources = []
    for site in ("site-1", "site-2", "site-3", "site-1"):
        if site != net.nodes["a"]["at"]:
            net.move("a", site)
        sources.append((net.nodes["a"]["ip"][0],
                        server.source(net.socket("a"))[0]))
    tap.eq(sources, [("10.0.2.15", "198.51.100.10"),
                     ("192.168.1.15", "198.51.100.20"),
                     ("172.16.0.15", "198.51.100.30"),
                     ("10.0.2.15", "198.51.100.10")],
           "roaming: an address for each site, inside and outside")
    tap.eq(net.run("a", ["cat", "/sys/class/net/eth0/ifindex"]).stdout, index,
           "roaming: the interface stays")
    net.move("a", "internet", "192.0.2.51")
    tap.eq(server.source(net.socket("a"))[0], "192.0.2.51",
           "roaming: to a public address")


def cgnat(net):
    server = Talk(net)
    x = net.socket("a")
    tap.eq(server.source(x)[0], "198.51.100.10", "cgnat: the carrier's address")
    tap.eq(net.nat("carrier").mappings()[0]["inside"]["ip"], "100.64.0.20",
           "cgnat: of the home's, which is a NAT, too")
    tap.eq(hops(net, "a"), ["192.168.1.1", "100.64.0.1", "192.0.2.1"],
           "cgnat: two gateways on the way")


def ipv6_firewall(net):
    server, server6 = Talk(net), Talk(net, A1_6)
    x = net.socket("a", ip="2001:db8:1::15")
    net.socket("a").sendto(b"IPv4", server.to)
    tap.eq(server6.source(x)[0], "2001:db8:1::15", "ipv6-firewall: IPv6")
    tap.ok(not server.pending(), "ipv6-firewall: no IPv4")
    y = net.socket("b", ip="2001:db8:2::15")
    y.sendto(b"unsolicited", x.getsockname())
    server6.source(y)
    server6.source(x)
    tap.ok(not select.select([x], [], [], 0)[0],
           "ipv6-firewall: nothing unsolicited")
    x.sendto(b"opens", y.getsockname())
    y.sendto(b"passes", x.getsockname())
    x.settimeout(PATIENCE)
    tap.eq(x.recv(99), b"passes", "ipv6-firewall: but what was asked for")


def no_nat(net):
    x = net.socket("a", port=5000)
    tap.eq(Talk(net).source(x), ("192.0.2.75", 5000), "no-nat: own address")


def udp_blocked(net):
    server = Talk(net)
    net.socket("a").sendto(b"x", server.to)
    tap.ok(tcp(net, "a", A1, 80) and not server.pending(),
           "udp-blocked: TCP passes, UDP does not")


def all_but_443(net):
    server = Talk(net)
    net.socket("a").sendto(b"x", server.to)
    tap.eq((tcp(net, "a", A1, 80), tcp(net, "a", A1, 443)), (False, True),
           "all-but-443: TCP to 443 alone")
    tap.ok(not server.pending(), "all-but-443: no UDP")


def captive_portal(net):
    for host, want in (("relay.example", (302,
                        "http://portal.campus.example/login")),
                       ("portal.campus.example", (200, None))):
        conn = http.client.HTTPConnection(A1, 80, timeout=PATIENCE)
        with net.spaces["a"].inside():
            conn.connect()
        conn.request("GET", "/generate_204", headers={"Host": host})
        answer = conn.getresponse()
        tap.eq((answer.status, answer.getheader("Location")), want,
               f"captive-portal: GET of {host}")
        conn.close()
    server = Talk(net)
    net.socket("a").sendto(b"x", server.to)
    tap.ok(not tcp(net, "a", A1, 443) and not server.pending(),
           "captive-portal: nothing else passes")


def upnp(net):
    gateway = ("10.0.2.2", 5351)
    x = net.socket("a", port=6000)
    x.settimeout(PATIENCE)

    def ask(request):
        x.sendto(request, gateway)
        return x.recv(1100)

    external = socket.inet_aton("25.0.0.10")
    answer = ask(b"\0\0")
    tap.eq((answer[1], answer[2:4], answer[8:12]), (128, b"\0\0", external),
           "upnp: NAT-PMP tells the external address")
    answer = ask(struct.pack("!BBHHHI", 0, 1, 0, 6000, 7000, 600))
    tap.eq((answer[1:4], answer[8:12]), (b"\x81\0\0", struct.pack(
        "!HH", 6000, 7000)), "upnp: NAT-PMP maps a port")
    server = Talk(net)
    server.s.sendto(b"through", ("25.0.0.10", 7000))
    tap.eq(x.recvfrom(99), (b"through", server.to), "upnp: which works")
    me = b"\0" * 10 + b"\xff\xff" + socket.inet_aton("10.0.2.15")
    answer = ask(struct.pack("!BBHI16s", 2, 1, 0, 600, me) + os.urandom(12)
                 + struct.pack("!BxxxHH16s", 17, 6001, 7001,
                               b"\0" * 10 + b"\xff\xff" + b"\0" * 4))
    tap.eq((answer[:2], answer[3], answer[42:44], answer[56:60]),
           (b"\2\x81", 0, struct.pack("!H", 7001), external),
           "upnp: PCP maps a port")
    s = net.socket("a")
    s.settimeout(PATIENCE)
    s.sendto(b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
             b'MAN: "ssdp:discover"\r\nMX: 1\r\nST: urn:schemas-upnp-org:'
             b"device:InternetGatewayDevice:1\r\n\r\n",
             ("239.255.255.250", 1900))
    answer, source = s.recvfrom(2000)
    tap.ok(source[0] == "10.0.2.2" and
           b"LOCATION: http://10.0.2.2:5000/" in answer.upper().replace(
               b"HTTP://", b"http://"), "upnp: IGD answers M-SEARCH", answer)
    made = net.run("a", ["upnpc", "-a", "10.0.2.15", "6002", "7002", "UDP",
                         "600"])
    tap.ok("external 25.0.0.10:7002 UDP is redirected to internal "
           "10.0.2.15:6002" in made.stdout, "upnp: IGD maps a port",
           made.stdout + made.stderr)


def hops(net, name):
    """Who says that the time to live was over: the way to the server."""
    x = net.socket(name)
    x.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    server = Talk(net, port=33434)
    found = []
    for ttl in range(1, 9):
        x.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        x.sendto(b"%d" % ttl, server.to)
        ready = select.select([x, server.s], [], [], PATIENCE)[0]
        if server.s in ready:
            break
        _, extra, _, _ = x.recvmsg(99, 500, MSG_ERRQUEUE)
        found.append(socket.inet_ntoa(extra[0][2][20:24]))
    return found


def one_hop(nat):
    def check(net):
        tap.eq(hops(net, "a"), ["10.0.2.2", "192.0.2.1"],
               f"a gateway is one hop: {nat}")
    return check


def forget_nothing(net):
    """natemu's captures hold what passed."""
    Talk(net).source(net.socket("a", port=5555))
    for side, ip in (("inside", b"\x0a\0\2\x0f"),
                     ("outside", b"\xc6\x33\x64\x0a")):
        data = (net.dir / f"nat-a-{side}.pcap").read_bytes()
        tap.ok(data[:4] == b"\xd4\xc3\xb2\xa1" and data.count(ip) == 2,
               f"capture: {side}")


# ---- the end of it ----

def names(prefix):
    return [p.name for p in spaces.NETNS.glob(prefix + "*")]


def check_end():
    net = lab.build("neighbours", {"nat-a": "eim-eif"})
    prefix, folder = net.prefix, net.dir
    child = net.popen("a", ["sleep", "1000"])
    tap.eq(len(names(prefix)), 5, "a namespace for each node")
    net.close()
    tap.eq((names(prefix), folder.exists(), child.poll() is None),
           ([], False, False), "nothing is left at the end")


def check_kill():
    """Killed in the middle, its helper cleans up."""
    child = subprocess.Popen(
        [LAB, "run", "two-robots", "nat-a=eim-eif", "--", "a", "sh", "-c",
         "echo up; sleep 1000"], stdout=subprocess.PIPE, text=True,
        start_new_session=True)
    tap.eq(child.stdout.readline(), "up\n", "natlab run")
    prefix = f"natlab-{child.pid}-"
    tap.eq(len(names(prefix)), 6, "with names that carry the process id")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    lab.wait_for(lambda: not names(prefix), "the helper to clean up")
    tap.ok(True, "killed, nothing is left")
    child.stdout.close()


def check_clean():
    dead = subprocess.Popen(["true"])
    dead.wait()
    old, other = f"natlab-{dead.pid}-1-x", f"natlabs{dead.pid}-1-x"
    mine = f"natlab-{os.getpid()}-0-x"
    for name in (old, other, mine):
        spaces.call(["ip", "netns", "add", name])
    sleeper = subprocess.Popen(["ip", "netns", "exec", old, "sleep", "1000"])
    try:
        lab.wait_for(lambda: str(sleeper.pid) in spaces.call(
            ["ip", "netns", "pids", old]).split(), "a process in it")
        done = subprocess.run([LAB, "clean"], capture_output=True, text=True)
        there = [(spaces.NETNS / n).exists() for n in (old, other, mine)]
        tap.eq(there, [False, True, True],
               "clean: what the dead left, and nothing of others")
        tap.eq(sleeper.wait(PATIENCE), -signal.SIGKILL,
               "clean: and what ran in it")
        tap.eq(done.stdout, "removed 1\n", "clean: says so")
    finally:
        sleeper.kill()
        for name in (old, other, mine):
            subprocess.run(["ip", "netns", "del", name],
                           stderr=subprocess.DEVNULL)


def check_refusals():
    for words, want in (
            (["run", "moon", "--", "a", "true"], "moon: want one of two-robots"),
            (["run", "campus", "nat-a=x", "--", "a", "true"],
             "nat-a: no such gateway; there are campus"),
            (["run", "campus", "campus=x", "--", "a", "true"],
             "campus: x: no such kind of NAT"),
            (["run", "campus", "x", "--", "a", "true"], "x: want NODE=KIND"),
            (["run", "two-robots", 'nat-a={"ports": 1}', "--", "a", "true"],
             "ports: 1: want preserve"),
            (["run", "campus", "--", "z", "true"], "z: want one of internet")):
        done = subprocess.run([LAB, *words], capture_output=True, text=True)
        tap.ok(done.returncode == 1 and want in done.stderr and
               done.stderr.count("\n") == 1, f"refused: {want}", done.stderr)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         sys.executable, "-c", "import lab; print(lab.missing())"],
        capture_output=True, text=True, env={
            "PYTHONPATH": str(lab.HERE), "PYTHONDONTWRITEBYTECODE": "1"})
    tap.eq(done.stdout, "needs root, for network namespaces\n",
           "without root it says so")


def check_shell():
    script = """on a ip -4 -br addr show eth0
nat nat-a ports=sequential
nat nat-a knobs | grep '"ports"'
nat nat-a mappings
nat nat-a ports=odd
on z true
nat nat-b
move a nat-b
"""
    done = subprocess.run([LAB, "shell", "two-robots", "nat-a=eim-eif"],
                          input=script, capture_output=True, text=True,
                          env={**os.environ, "SHELL": "/bin/sh"})
    for want in ("two-robots: two robots with the same private address",
                 "nat-a              198.51.100.10; inside 10.0.2.2/24, "
                 "2001:db8:1::1/64; NAT eim-eif (natemu)",
                 "10.0.2.15/24", '"ports": "sequential"', '"mappings": []',
                 "a is 10.0.2.15 now"):
        tap.ok(want in done.stdout, f"shell: {want}", done.stdout)
    for want in ('natlab: ports: "odd": want preserve', "natlab-",
                 "in user space here: nat-a"):
        tap.ok(want in done.stderr, f"shell: {want}", done.stderr)
    shown = subprocess.run([LAB, "list"], capture_output=True, text=True)
    tap.ok(all(t in shown.stdout for t in TOPOLOGIES), "list")


def check_up():
    """As a test in another language would use it."""
    with subprocess.Popen([LAB, "up", "roaming"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as up:
        state = json.loads(up.stdout.readline())
        net = lab.Net.open(state["dir"])
        server = Talk(net)
        seen = [server.source(net.socket("a"))[0]]
        moved = subprocess.run([LAB, "move", state["dir"], "a", "site-3"],
                               capture_output=True, text=True)
        net = lab.Net.open(state["dir"])
        seen.append(server.source(net.socket("a"))[0])
        tap.eq(seen, ["198.51.100.10", "198.51.100.30"], "up, and move")
        tap.eq(moved.stdout, "a is 172.16.0.15 now\n", "move says so")
        for at in ("a", "nowhere"):
            done = subprocess.run([LAB, "move", state["dir"], "a", at],
                                  capture_output=True, text=True)
            tap.ok(done.returncode == 1 and "NODE one of internet, site-1"
                   in done.stderr, f"move to {at}", done.stderr)
        up.stdin.close()
        up.wait()
    tap.eq(names(state["prefix"]), [], "up: gone with its standard input")


def check_line():
    """A line of natemu gives the kernel's NAT a delay, and the server."""
    nodes = json.loads(json.dumps(TOPOLOGIES["two-robots"]["nodes"]))
    line = {**lab.kinds.USER["line"], "delay_in_ms": 30, "delay_out_ms": 30}
    nodes["line"] = {"kind": "gateway", "at": "internet", "ip": [],
                     "lan": "203.0.113.1/24", "nat": line}
    nodes["server"].update(at="line", ip6=[])
    with lab.build(nodes) as net:
        began = time.monotonic()
        source = Talk(net).source(net.socket("a", port=5000))
        tap.eq(source, ("198.51.100.10", 5000), "line: nothing is changed")
        tap.ok(time.monotonic() - began >= 0.06, "line: and it takes a while")
        tap.ok(tcp(net, "a", A1, 80), "line: TCP")


def build_and(name, check, nats=None, nodes=None):
    what = name if isinstance(name, str) else check.__name__
    try:
        with lab.build(nodes or name, nats) as net:
            check(net)
    except lab.CannotBuild as error:
        tap.skip(what, error)


def capture_nodes():
    nodes = TOPOLOGIES["two-robots"]["nodes"]
    return {**nodes, "nat-a": {**nodes["nat-a"], "nat": "eim-eif",
                               "capture": True}}


def main():
    checks = {"two-robots": two_robots, "neighbours": neighbours,
              "campus": campus, "buildings": buildings, "public": public,
              "roaming": roaming, "cgnat": cgnat,
              "ipv6-firewall": ipv6_firewall, "no-nat": no_nat,
              "udp-blocked": udp_blocked, "all-but-443": all_but_443,
              "captive-portal": captive_portal, "upnp": upnp}
    tap.eq(sorted(checks), sorted(TOPOLOGIES), "every topology is tested")
    if why := lab.missing(natemu=True):
        tap.skip("all of it", why)
        return tap.done()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, check in checks.items():
            pool.submit(tap.attempt, name, build_and, name, check)
        for nat in ("masquerade", "eim-eif"):
            pool.submit(tap.attempt, "one hop", build_and, "two-robots",
                        one_hop(nat), {"nat-a": nat})
        pool.submit(tap.attempt, "capture", build_and, "capture",
                    forget_nothing, None, capture_nodes())
        for check in (check_end, check_kill, check_refusals, check_shell,
                      check_up, check_line):
            pool.submit(tap.attempt, check.__name__, check)
    tap.attempt("clean", check_clean)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
