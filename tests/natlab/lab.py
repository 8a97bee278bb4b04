"""lab: networks with NATs of all kinds, out of network namespaces.

    with lab.build("two-robots", {"nat-a": "eim-adf"}) as net:
        net.run("a", ["tailscale", "netcheck"])
        net.socket("a").sendto(b"x", (topologies.A1, 3478))
        net.nat("nat-a").set(ttl_single=20)

README.md says more; `natlab` is the command for people. Needs root, iproute2,
nftables and /dev/net/tun, and says so by CannotBuild.
"""

import copy
import ipaddress
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

import kinds  # noqa: E402
from spaces import (  # noqa: E402
    NETNS, CannotBuild, Failed, Space, clean, die_with_parent, find,
    watch_over)
from topologies import TOPOLOGIES  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
NATEMU = os.environ.get(
    "NATEMU", str(TOP / "build/release/tests/natlab/natemu"))
INTERNET, INTERNET_6 = "192.0.2.1", "2001:db8::1"
PATIENCE = 20.0


def missing(natemu=False, upnp=False):
    """Why nothing can be built here, or ""."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    for program, package in (("ip", "iproute2"), ("nft", "nftables"),
                             *([("miniupnpd", "miniupnpd-nftables")] * upnp)):
        if not find(program):
            return f"needs {program}, of the package {package}"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    if natemu and not os.path.exists(NATEMU):
        return f"needs {NATEMU}: make natemu"
    return ""


# ---- natemu ----

class Nat:
    """A natemu process, by its control socket."""

    def __init__(self, path):
        self.path = path

    def ask(self, **command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.path))
            s.sendall(json.dumps(command).encode() + b"\n")
            with s.makefile() as lines:
                answer = json.loads(lines.readline())
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def set(self, **knobs):
        self.ask(do="set", knobs=knobs)

    def flush(self):
        self.ask(do="flush")

    def mappings(self):
        return self.ask(do="mappings")["mappings"]

    def counters(self):
        return self.ask(do="counters")["counters"]

    def knobs(self):
        return self.ask(do="knobs")["knobs"]


# ---- a network ----

class Net:
    """A built topology."""

    numbers = iter(range(1, 1 << 30))
    lock = threading.Lock()

    def __init__(self, nodes):
        self.nodes = nodes
        with Net.lock:
            self.prefix = f"natlab-{os.getpid()}-{next(Net.numbers)}-"
        self.spaces = {}
        self.nats = {}
        self.children = []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self.prefix))
        self.dir.chmod(0o755)

    @classmethod
    def open(cls, folder):
        """One that another process has built."""
        net = cls.__new__(cls)
        net.dir = pathlib.Path(folder)
        state = json.loads((net.dir / "net.json").read_text())
        net.prefix, net.nodes = state["prefix"], state["nodes"]
        net.spaces = {name: Space(net.prefix + name, make=False)
                      for name in state["namespaces"]}
        net.nats = {p.stem: Nat(p) for p in net.dir.glob("*.sock")}
        net.children = []
        return net

    def save(self):
        """For Net.open, and for tests in other languages."""
        state = {"dir": str(self.dir), "prefix": self.prefix,
                 "namespaces": {n: s.name for n, s in self.spaces.items()},
                 "nodes": self.nodes}
        (self.dir / "net.json").write_text(json.dumps(state))
        return state

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- building --

    def build(self):
        self.spaces["internet"] = space = Space(self.prefix + "internet")
        forward(space)
        space.links(f"addr add {INTERNET}/32 dev lo",
                    f"addr add {INTERNET_6}/128 dev lo nodad")
        left = dict(self.nodes)
        while left:
            ready = [n for n in left if left[n]["at"] in self.spaces]
            if not ready:
                raise CannotBuild(f"{next(iter(left))}: nothing is called "
                                  f"{next(iter(left.values()))['at']}")
            for name in ready:
                self.add(name, left.pop(name))
        self.save()
        return self

    def add(self, name, node):
        self.spaces[name] = Space(self.prefix + name)
        if node["kind"] == "host":
            self.plug(name, node)
            return
        space = self.spaces[name]
        forward(space)
        lan = [ip for ip in (node["lan"], node.get("lan6")) if ip]
        space.links("link add name lan type bridge", "link set dev lan up",
                    *(f"addr add {ip} dev lan nodad" if ":" in ip
                      else f"addr add {ip} dev lan" for ip in lan))
        if node["kind"] == "router":
            self.plug(name, node, "wan")
            self.route_to(name, node, [network(ip) for ip in lan])
        else:
            self.add_nat(name, node)

    def plug(self, name, node, device="eth0"):
        """A cable from the node to where it is."""
        at, space = self.spaces[node["at"]], self.spaces[name]
        at.links(f"link add name {name} type veth peer name {device} "
                 f"netns {space.name}", f"link set dev {name} up")
        space.links(f"link set dev {device} up")
        self.address(name, node, device)

    def address(self, name, node, device):
        """Addresses and routes at both ends of the cable."""
        at, space = self.spaces[node["at"]], self.spaces[name]
        parent = self.nodes.get(node["at"])
        ips, ips6 = node["ip"], node.get("ip6") or []
        if parent is None:  # the internet routes each address
            at.links(*(f"route replace {ip}/32 dev {name}" for ip in ips),
                     *(f"route replace {ip}/128 dev {name}" for ip in ips6),
                     f"addr replace fe80::1/64 dev {name} nodad")
            length, length6 = 32, 128
            via, via6 = INTERNET, "fe80::1"
        else:
            at.links(f"link set dev {name} master lan")
            lan = ipaddress.ip_interface(parent["lan"])
            length, via = lan.network.prefixlen, lan.ip
            lan6 = parent.get("lan6")
            ips6 = ips6 if lan6 else []
            if lan6:
                length6 = lan6.partition("/")[2]
                via6 = lan6.partition("/")[0]
        lines = [f"addr add {ip}/{length} dev {device}" for ip in ips]
        lines += [f"addr add {ip}/{length6} dev {device} nodad"
                  for ip in ips6]
        lines += [f"route add default via {via} dev {device} onlink"]
        if ips6:
            lines += [f"route add ::/0 via {via6} dev {device} onlink"]
        space.links(*lines)

    def route_to(self, name, node, networks, device=None):
        """Where the node is, it is known what lies behind it."""
        at = self.spaces[node["at"]]
        for net in networks:
            to = f"dev {device}" if device else f"via {node['ip'][0]}"
            at.links(f"route replace {net} {to}")

    def add_nat(self, name, node):
        nat = node["nat"]
        if isinstance(nat, str) and nat in kinds.KERNEL:
            nat = {"kernel": nat}
        elif isinstance(nat, str) and nat in kinds.USER:
            nat = kinds.USER[nat]
        elif isinstance(nat, str):
            raise CannotBuild(f"{name}: {nat}: no such kind of NAT; "
                              "natlab list shows them")
        if "kernel" in nat:
            self.add_kernel_nat(name, node, nat)
        else:
            self.add_user_nat(name, node, nat)
        space = self.spaces[name]
        if node.get("block"):
            space.nft(kinds.block(node["block"]))
        if node.get("portal"):
            self.add_portal(name)
        if node.get("upnp"):
            self.add_upnp(name, node)

    def add_kernel_nat(self, name, node, nat):
        kind = nat["kernel"]
        space = self.spaces[name]
        hosts = [n["ip"][0] for n in self.nodes.values() if n["at"] == name]
        ips = node["ip"]
        if kind not in kinds.POOLED:
            ips = ips[:1]
        kind6 = node.get("nat6", "firewall6")
        nat66 = kind6 in kinds.TRANSLATED6
        self.plug(name, {**node, "ip": ips,
                         "ip6": node["ip6"] if nat66 else []}, "wan")
        lan6 = node.get("lan6")
        if kind in kinds.ROUTED:
            self.route_to(name, node, [network(node["lan"])])
        if lan6 and not nat66:
            space.links("route add ::/0 via fe80::1 dev wan onlink",
                        "addr add fe80::2/64 dev wan nodad")
            self.spaces[node["at"]].links(
                f"route replace {network(lan6)} via fe80::2 dev {name}")
        if lan6 and kinds.KERNEL6[kind6]:
            space.nft(kinds.KERNEL6[kind6])
        space.nft(kinds.KERNEL[kind](ips, hosts[0] if hosts else ips[0]))
        # Connection tracking is there when rules ask for it.
        space.sysctl({f"net/netfilter/nf_conntrack_{key}": value
                      for key, value in nat.items() if key != "kernel"})

    def add_user_nat(self, name, node, knobs):
        if why := missing(natemu=True):
            raise CannotBuild(why)
        at, space = self.spaces[node["at"]], self.spaces[name]
        # natemu's ICMP errors come from the gateway's own address.
        space.sysctl({"net/ipv4/conf/all/accept_local": 1})
        routed = knobs.get("mapping") == "none"
        inside = {"inside_address": node["lan"].partition("/")[0]}
        if node.get("lan6"):
            inside["inside_address6"] = node["lan6"].partition("/")[0]
        config = {
            "inside": {"device": "wan",
                       "pcap": str(self.dir / f"{name}-inside.pcap")},
            "outside": {"device": name, "netns": str(NETNS / at.name),
                        "pcap": str(self.dir / f"{name}-outside.pcap")},
            "control": str(self.dir / f"{name}.sock"),
            "knobs": {"external": [] if routed else node["ip"][:1],
                      **inside, **knobs}}
        if not node.get("capture"):
            del config["inside"]["pcap"], config["outside"]["pcap"]
        file = self.dir / f"{name}.json"
        file.write_text(json.dumps(config, indent=1) + "\n")
        log = self.dir / f"{name}.log"
        with open(log, "w") as errors:
            child = self.popen(name, [NATEMU, file], stdout=subprocess.PIPE,
                               stderr=errors, text=True)
        if child.stdout.readline() != "ready\n":
            raise Failed(f"{name}: {log.read_text().strip()}")
        self.nats[name] = Nat(config["control"])
        networks = [f"{ip}/32" for ip in node["ip"]]
        if routed:
            networks = [network(node["lan"])]
        if node.get("lan6"):
            networks.append(network(node["lan6"]))
            space.links("route add ::/0 dev wan")
        self.route_to(name, node, networks, name)
        space.links("route add default dev wan")

    def add_portal(self, name):
        self.spaces[name].nft(kinds.PORTAL)
        child = self.popen(
            name, [sys.executable, HERE / "portal.py", kinds.PORTAL_PORT],
            stdout=subprocess.PIPE, text=True)
        if child.stdout.readline() != "ready\n":
            raise Failed(f"{name}: the portal does not start")

    def add_upnp(self, name, node):
        if why := missing(upnp=True):
            raise CannotBuild(why)
        self.spaces[name].nft(kinds.UPNP)
        conf = self.dir / f"{name}-miniupnpd.conf"
        conf.write_text(
            "ext_ifname=wan\nlistening_ip=lan\nport=5000\nenable_upnp=yes\n"
            "enable_natpmp=yes\n"
            "secure_mode=yes\n"
            "min_lifetime=120\nmax_lifetime=86400\nsystem_uptime=yes\n"
            f"uuid=00000000-0000-4000-8000-{os.getpid():012d}\n"
            f"lease_file={self.dir}/{name}.leases\n"
            "upnp_table_name=upnp\nupnp_nat_table_name=upnp\n"
            "upnp_forward_chain=miniupnpd\n"
            "upnp_nat_chain=prerouting_miniupnpd\n"
            "upnp_nat_postrouting_chain=postrouting_miniupnpd\n"
            f"allow 1024-65535 {network(node['lan'])} 1024-65535\n"
            "deny 0-65535 0.0.0.0/0 0-65535\n")
        log = open(self.dir / f"{name}-miniupnpd.log", "w")
        child = self.popen(
            name, [find("miniupnpd"), "-d", "-f", conf, "-P",
                   self.dir / f"{name}-miniupnpd.pid"],
            stdout=log, stderr=log)
        log.close()
        wait_for(lambda: listens(self, name, 5351) or child.poll(),
                 "miniupnpd")
        if child.poll() is not None:
            raise CannotBuild("miniupnpd does not run here: "
                              + pathlib.Path(log.name).read_text()[-300:])

    # -- using --

    def popen(self, name, words, **options):
        """Starts a command in a node. It ends with the network."""
        child = subprocess.Popen(self.spaces[name].command(words),
                                 preexec_fn=die_with_parent,
                                 stdin=subprocess.DEVNULL, **options)
        self.children.append(child)
        return child

    def run(self, name, words, **options):
        """Runs a command in a node; returns subprocess.CompletedProcess."""
        options = {"text": True, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **options}
        return subprocess.run(self.spaces[name].command(words), **options)

    def socket(self, name, kind=socket.SOCK_DGRAM, ip=None, port=0, **more):
        """A socket of that node, bound to that address, or its first one."""
        ip = ip or self.nodes[name]["ip"][0]
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        with self.spaces[name].inside():
            s = socket.socket(family, kind, **more)
        try:
            if kind == socket.SOCK_STREAM:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((ip, port))
        except BaseException:
            s.close()
            raise
        return s

    def nat(self, name):
        return self.nats[name]

    def move(self, name, at, ip=None, ip6=None):
        """Plugs a host in elsewhere: it keeps its interface, and gets the
        addresses given, or those with its old last part."""
        node, parent = self.nodes[name], self.nodes.get(at)
        old = self.spaces[node["at"]]
        if parent and ip is None:
            lan = ipaddress.ip_interface(parent["lan"]).network
            ip = str(lan[int(node["ip"][0].rpartition(".")[2])])
        if parent and parent.get("lan6") and ip6 is None:
            ip6 = str(ipaddress.ip_interface(parent["lan6"]).network[0x15])
        space = self.spaces[name]
        space.links("addr flush dev eth0", "link set dev eth0 down",
                    "link set dev eth0 up")
        old.links(f"link set dev {name} netns {self.spaces[at].name}")
        self.spaces[at].links(f"link set dev {name} up")
        node.update(at=at, ip=[ip], ip6=[ip6] if ip6 else [])
        self.address(name, node, "eth0")
        self.save()

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
        for space in self.spaces.values():
            space.remove()
        self.spaces = {}
        shutil.rmtree(self.dir, ignore_errors=True)

    def describe(self):
        """What is where, for people."""
        lines = []

        def show(at, depth):
            for name, node in self.nodes.items():
                if node["at"] != at:
                    continue
                ips = [*node["ip"], *(node.get("ip6") or [])]
                if node["kind"] == "gateway" and (
                        not isinstance(node["nat"], str)
                        or node["nat"] not in kinds.POOLED):
                    ips = node["ip"][:1]
                words = ["  " * depth + name, ", ".join(ips)]
                if node["kind"] != "host":
                    inside = [node["lan"], node.get("lan6")]
                    words.append("inside " + ", ".join(filter(None, inside)))
                if node["kind"] == "gateway":
                    words.append(f"NAT {describe_nat(node['nat'])}")
                words += [key for key in ("portal", "upnp") if node.get(key)]
                if node.get("block"):
                    words.append(f"blocks {node['block']}")
                lines.append(f"{words[0]:20} {'; '.join(words[1:])}")
                show(name, depth + 1)

        lines.append(f"{'internet':20} {INTERNET}, {INTERNET_6}")
        show("internet", 1)
        return "\n".join(lines)


def describe_nat(nat):
    if isinstance(nat, str):
        where = "kernel" if nat in kinds.KERNEL else "natemu"
        return f"{nat} ({where})"
    return ", ".join(f"{key}={value}" for key, value in nat.items())


def forward(space):
    space.sysctl({"net/ipv4/ip_forward": 1,
                  "net/ipv6/conf/all/forwarding": 1})


def network(interface):
    return str(ipaddress.ip_interface(interface).network)


def listens(net, name, port):
    """A UDP socket of that port is open in the node."""
    table = net.run(name, ["cat", "/proc/net/udp"]).stdout
    return f":{port:04X} " in table


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.02)


def build(topology, nats=None):
    """Builds a topology, by its name or as the nodes themselves. nats: other
    kinds of NAT for some of its gateways. Raises CannotBuild."""
    nodes = TOPOLOGIES[topology]["nodes"] if isinstance(topology, str) \
        else topology
    nodes = copy.deepcopy(nodes)
    for name, kind in (nats or {}).items():
        if nodes.get(name, {}).get("kind") != "gateway":
            gateways = [n for n in nodes if nodes[n]["kind"] == "gateway"]
            raise CannotBuild(f"{name}: no such gateway; there are "
                              + ", ".join(gateways))
        nodes[name]["nat"] = kind
    if why := missing():
        raise CannotBuild(why)
    watch_over()
    clean()
    net = Net(nodes)
    try:
        return net.build()
    except BaseException:
        net.close()
        raise
