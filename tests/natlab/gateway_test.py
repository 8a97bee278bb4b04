#!/usr/bin/python3
# tests/run: limit=150
"""gateway_test: natprobe and the router before it. Ports are mapped by PCP,
NAT-PMP and UPnP, seen from outside, and gone afterwards, whatever ends
natprobe; a router that refuses, and routers and neighbours that lie, are slow
or talk nonsense, have their named finding. And how many NATs are in line."""

import concurrent.futures
import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import lab
import tap
from topologies import A1, A1_6, A2, TOPOLOGIES, gateway, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
STUND = os.environ.get("STUND", f"{TOP}/build/release/stund")
PATIENCE = 30
DEAD = f"{A1}:9"  # nobody answers there: what is mapped stays for a while
GROUP = "239.255.255.250"
PROTOCOLS = ("pcp", "nat_pmp", "upnp")


# ---- the network ----

def nodes(fakes):
    """Sites of all kinds beside one server. A router is one that public
    addresses are given to by a network that is not announced (topologies)."""
    found = {"server": server()}

    def site(name, n, **more):
        found[f"{name}-gw"] = {**gateway(n, **more), "lan6": None}
        found[name] = {"kind": "host", "at": f"{name}-gw",
                       "ip": ["10.0.2.15"]}

    site("upnp", 1, upnp=True)
    found["upnp-gw"].update(ip=["25.0.0.10"], lan6="2001:db8:1::1/64")
    found["upnp"]["ip6"] = ["2001:db8:1::15"]
    # Its own NAT gives ports, but there is another one before it.
    site("double", 3, upnp=True, at="home-gw")
    found["double-gw"]["ip"] = ["192.168.9.20"]
    found["home-gw"] = {**gateway(4, lan="192.168.9.1/24"), "lan6": None}
    for name in ("carrier", "home", "a"):
        node = dict(TOPOLOGIES["cgnat"]["nodes"][name])
        if name == "carrier":
            node["ip"] = ["198.51.100.50", "198.51.100.51"]
        found[name] = node
    for name in ("campus", "building-a"):
        found[name] = dict(TOPOLOGIES["campus"]["nodes"][name])
    found["campus"]["ip"] = ["198.51.100.60", "198.51.100.61"]
    found["campus"]["lan6"] = None
    found["campus-a"] = dict(TOPOLOGIES["campus"]["nodes"]["a"])
    site("plain", 7)
    found["plain-gw"]["lan6"] = "2001:db8:7::1/64"
    found["plain"]["ip6"] = ["2001:db8:7::15"]
    found["public"] = {"kind": "host", "at": "internet", "ip": ["192.0.2.50"]}
    for i, name in enumerate(fakes):
        site(name, 10 + i)
    return found


def probe(net, host, *flags, stun=A1, status=(0, 1)):
    done = net.run(host, [NATPROBE, "-stun", stun, "-quiet", "-json", "-",
                          *flags], timeout=PATIENCE * 2)
    if done.returncode not in status:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def probe4(net, host, *flags, **more):
    return probe(net, host, "-family", "4", *flags, **more)["ipv4"]


# ---- routers that give ports ----

def mapped_rules(net, gw):
    """How many ports the router leads to somebody."""
    rules = net.run(gw, ["nft", "list", "chain", "inet", "upnp",
                         "prerouting_miniupnpd"]).stdout
    return len(re.findall(r"dnat", rules))


def check_maps(net):
    said = probe4(net, "upnp", "-portmap")
    router = said["gateway"]
    tap.eq((router["address"], router["external"], router["external_agrees"],
            router["mapping_works"]), ("10.0.2.2", "25.0.0.10", True, "yes"),
           "upnp: the router and its outside")
    for key in PROTOCOLS:
        m = router[key]["mapping"]
        tap.ok(m and m["granted"] and m["external"] == f"25.0.0.10:{m['port']}"
               and m["lifetime_s"] >= 60 and m["seen_from_outside"] == "yes"
               and m["removed"] is True and m["why_left"] is None,
               f"upnp: {key} maps, is seen from outside, removes", m)
    tap.ok(router["pcp"]["epoch"] >= 0 and
           router["upnp"]["model"] == "Debian router" and
           "MiniUPnPd" in router["upnp"]["server"] and
           router["upnp"]["is_the_router"], "upnp: who it is", router)
    tap.eq(mapped_rules(net, "upnp-gw"), 0, "upnp: the router is left clean")
    tap.eq((said["nats"]["count"], said["nats"]["confidence"]), (1, "high"),
           "upnp: one NAT")


def check_six(net):
    """Over IPv6 PCP opens the firewall; but the lab's has another chain, which
    drops. So what is granted is not always true."""
    for what, rules in (("another firewall", ""),
                        ("no other", "delete table ip6 firewall")):
        net.spaces["upnp-gw"].nft(rules)
        said = probe(net, "upnp", "-family", "6", "-portmap",
                     stun=f"[{A1_6}]:3478")["ipv6"]
        router = said["gateway"]
        m = router["pcp"]["mapping"]
        tap.eq((router["address"], router["nat_pmp"], router["upnp"],
                m["granted"], m["removed"], said["nats"]["count"]),
               ("2001:db8:1::1", None, None, True, True, 0),
               f"IPv6, {what}: PCP opens a port and closes it")
        tap.eq((m["seen_from_outside"], router["mapping_works"]),
               ("yes", "yes") if rules else ("no", "no"),
               f"IPv6, {what}: does it work?")


def check_asks_only(net):
    """Without -portmap the router's table is never touched."""
    with net.popen("upnp-gw", ["nft", "monitor"], stdout=subprocess.PIPE,
                   text=True) as watch:
        router = probe4(net, "upnp")["gateway"]
        tap.ok(all(router[p]["answers"] == "yes" and
                   router[p]["mapping"] is None for p in PROTOCOLS) and
               router["mapping_works"] == "unknown",
               "upnp: without -portmap all answer, nothing is mapped", router)
        # A change of our own ends what is looked at.
        net.run("upnp-gw", ["nft", "add", "chain", "inet", "upnp", "end"])
        seen = ""
        while "end" not in seen:
            line = watch.stdout.readline()
            if not line:
                break
            seen += line
        watch.terminate()
    tap.ok("end" in seen and "dnat" not in seen,
           "upnp: and no rule was made meanwhile", seen)


def end_by(net, signo):
    """Ends natprobe while its ports are mapped; the rest of its output."""
    child = net.popen("upnp", [
        NATPROBE, "-stun", DEAD, "-family", "4", "-quiet", "-json", "-",
        "-portmap"], stdout=subprocess.PIPE, text=True)
    lab.wait_for(lambda: mapped_rules(net, "upnp-gw") == 3 or
                 child.poll() is not None, "three ports to be mapped")
    before = child.poll()
    # `ip netns exec` has become natprobe.
    child.send_signal(signo)
    text = child.stdout.read()
    child.wait(PATIENCE)
    return before, child.returncode, text


def check_interrupted(net):
    for signo in (signal.SIGINT, signal.SIGTERM):
        before, status, text = end_by(net, signo)
        name = signal.Signals(signo).name
        tap.eq((before, status), (None, 4), f"{name}: while ports are mapped")
        router = json.loads(text)["ipv4"]["gateway"]
        made = [router[p]["mapping"] for p in PROTOCOLS]
        tap.ok(all(m["removed"] for m in made),
               f"{name}: says that they are removed", made)
        tap.eq(mapped_rules(net, "upnp-gw"), 0, f"{name}: they are")
    before, status, _ = end_by(net, signal.SIGKILL)
    tap.eq((before, status), (None, -signal.SIGKILL), "SIGKILL")
    # PCP's and NAT-PMP's end with their lifetime; UPnP's, which with some
    # routers has none, is removed by the process that outlives.
    try:
        lab.wait_for(lambda: mapped_rules(net, "upnp-gw") == 2,
                     "the port by UPnP to be gone")
        tap.ok(True, "SIGKILL: the port by UPnP is removed nevertheless")
    except lab.Failed as error:
        tap.ok(False, "SIGKILL: the port by UPnP is removed", error)


def check_double(net):
    said = probe4(net, "double", "-portmap")
    tap.eq((said["nats"]["count"], said["path"]["filter"]["hop"]), (2, 2),
           "double: two NATs, of which the outer one filters")
    router = said["gateway"]
    # miniupnpd gives no ports where it has no public address.
    tap.eq([router[p]["mapping"]["why"] for p in PROTOCOLS[:2]],
           ["no-resources", "network-failure"],
           "double: the inner one refuses, and says why")
    tap.eq((router["upnp"]["why"], router["mapping_works"],
            mapped_rules(net, "double-gw")),
           ("does-not-tell-its-address", "no", 0), "double: nor by UPnP")


# ---- the way ----

def check_ways(net):
    # The carrier's NAT does not filter, the campus's does, at the second hop.
    for host, count, sure, carrier, fence, hops in (
            ("a", 2, "high", "yes", 1,
             ["192.168.1.1", "100.64.0.1", "192.0.2.1"]),
            ("campus-a", 1, "medium", "unknown", 2,
             ["10.10.1.1", "10.10.0.1", "192.0.2.1"]),
            ("plain", 1, "high", "unknown", 1, ["10.0.2.2", "192.0.2.1"]),
            ("public", 0, "high", "no", 0, ["192.0.2.1"])):
        said = probe4(net, host)
        nats, path = said["nats"], said["path"]
        tap.eq((nats["count"], nats["confidence"], nats["carrier"]),
               (count, sure, carrier), f"{host}: {count} NATs")
        tap.eq([h["address"] for h in path["hops"]], [*hops, None],
               f"{host}: the routers on the way")
        tap.eq(path["filter"], {
            "hop": fence, "address": hops[fence - 1] if fence else None,
            "why": None}, f"{host}: the outermost filter is at hop {fence}")
        tap.eq((path["distance"], path["icmp_errors"]["come"],
                path["icmp_errors"]["closed_port_said"]),
               (len(hops) + 1, "yes", 3), f"{host}: ICMP errors come back")
    said = probe(net, "plain", "-family", "6", stun=f"[{A1_6}]:3478")["ipv6"]
    tap.eq((said["nats"]["count"], said["path"]["distance"],
            said["path"]["icmp_errors"]["come"]), (0, 3, "yes"),
           "plain: IPv6 is not translated")
    tap.eq([h["realm"] for h in said["path"]["hops"][:2]],
           ["public", "public"], "plain: and has a way, too")
    net.spaces["plain-gw"].nft(
        "table inet noicmp { chain f { type filter hook forward priority -20;\n"
        'iifname "wan" icmp type { destination-unreachable, time-exceeded } '
        "drop\n}\n}")
    said = probe4(net, "plain", "-gateway=false")
    tap.eq((said["path"]["icmp_errors"]["come"],
            said["path"]["icmp_errors"]["closed_port_said"],
            said["path"]["distance"], "gateway" in said),
           ("unknown", 0, 3, False), "plain: a firewall that drops errors")


def check_dry(net):
    text = net.run("upnp", [NATPROBE, "-stun", A1, "-n", "-portmap"]).stdout
    tap.ok("to 10.0.2.2 port 5351: PCP and NAT-PMP" in text and
           f"{GROUP} port 1900: UPnP" in text and "a port" in text,
           "-n says what the router would be asked", text)
    text = net.run("upnp", [NATPROBE, "-stun", A1, "-n", "-gateway=false",
                            "-trace=false"]).stdout
    tap.ok("5351" not in text and "routers" not in text,
           "and that it would not", text)


# ---- routers that are not what they seem ----

class Fake:
    """A router's services, in threads of this process; each datagram is
    given to a function of the mode."""

    def __init__(self, net, gw):
        self.net, self.gw = net, gw
        self.stop = threading.Event()
        self.threads, self.open = [], []

    def socket(self, *arguments, **more):
        s = self.net.socket(self.gw, *arguments, **more)
        self.open.append(s)
        return s

    def run(self, function, *arguments):
        t = threading.Thread(target=function, args=arguments, daemon=True)
        t.start()
        self.threads.append(t)

    def datagrams(self, s, answer):
        """answer: (request, source) -> (socket, bytes) to send there."""
        def serve():
            while not self.stop.is_set():
                if select.select([s], [], [], 0.05)[0]:
                    data, source = s.recvfrom(2000)
                    for out, reply in answer(data, source):
                        out.sendto(reply, source)
        self.run(serve)

    def pcp(self, answer):
        self.datagrams(self.socket(ip="10.0.2.2", port=5351), answer)

    def ssdp(self, location):
        s = self.socket(ip="0.0.0.0", port=1900)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack(
            "4s4s", socket.inet_aton(GROUP), socket.inet_aton("10.0.2.2")))
        out = self.socket(ip="10.0.2.2", port=0)
        self.datagrams(s, lambda data, source: [(out, (
            "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:"
            f"InternetGatewayDevice:1\r\nLOCATION: {location}\r\n\r\n"
            ).encode())] if b"M-SEARCH" in data else [])

    def http(self, serve, ip="10.0.2.2", port=5000):
        """serve: a connection, whose request was read."""
        listener = self.socket(socket.SOCK_STREAM, ip=ip, port=port)
        listener.listen(5)
        self.asked = 0

        def accept():
            while not self.stop.is_set():
                if not select.select([listener], [], [], 0.05)[0]:
                    continue
                conn, _ = listener.accept()
                self.asked += 1
                with conn, contextlib.suppress(OSError):
                    conn.settimeout(PATIENCE)
                    request = conn.recv(4000)
                    serve(conn, request)
        self.run(accept)

    def close(self):
        self.stop.set()
        for t in self.threads:
            t.join(PATIENCE)
        for s in self.open:
            s.close()


def v2(op, result, lifetime, rest=b""):
    return struct.pack("!BBBBII12x", 2, 0x80 | op, 0, result, lifetime, 7) \
        + rest


def announce(data, sock):
    return [(sock, v2(0, 0, 0))] if data[:2] == b"\2\0" else []


def page(body, head=b""):
    return (b"HTTP/1.1 200 OK\r\n" + head + b"Content-Type: text/xml\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def description(control):
    return (
        b'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">'
        b"<device><deviceType>urn:schemas-upnp-org:device:"
        b"InternetGatewayDevice:1</deviceType><manufacturer>Acme</manufacturer>"
        b"<modelName>Box\x1b[2J 7</modelName><serviceList><service>"
        b"<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1"
        b"</serviceType><controlURL>" + control + b"</controlURL>"
        b"<eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service>"
        b"</serviceList></device></root>")


def wrong_nonce(net, host, fake):
    """A grant with a nonce of its own: whoever guesses could do that."""
    def answer(data, source):
        if data[:2] == b"\2\1":
            return [(main, v2(1, 0, 120, os.urandom(12) + data[36:60]))]
        return announce(data, main)
    main = fake.socket(ip="10.0.2.2", port=5351)
    fake.datagrams(main, answer)
    pcp = probe4(net, host, "-portmap")["gateway"]["pcp"]
    tap.ok(pcp["answers"] == "yes" and pcp["mapping"]["granted"] is False and
           pcp["mapping"]["why"] == "no-answer" and pcp["odd_answers"] > 0,
           "PCP: an answer with another nonce is none", pcp)


def wrong_address(net, host, fake):
    """The right answer, but from another address or another port."""
    main = fake.socket(ip="10.0.2.2", port=5351)
    net.spaces[f"{host}-gw"].links("addr add 10.0.2.3/24 dev lan")
    others = [fake.socket(ip="10.0.2.3", port=5351),
              fake.socket(ip="10.0.2.2", port=5350)]
    fake.datagrams(main, lambda data, source: [
        (s, v2(0, 0, 0) if data[:1] == b"\2" else struct.pack(
            "!BBHI4s", 0, 128, 0, 7, socket.inet_aton("198.51.100.9")))
        for s in others])
    router = probe4(net, host)["gateway"]
    tap.eq((router["pcp"]["answers"], router["nat_pmp"]["answers"],
            router["external"]), ("no", "no", None),
           "PCP: an answer from elsewhere is none")


def lying(net, host, fake):
    """Grants what it does not do, and tells an address that nobody sees; the
    removal it refuses."""
    main = fake.socket(ip="10.0.2.2", port=5351)

    def answer(data, source):
        if data[:2] != b"\2\1":
            return announce(data, main)
        lifetime = struct.unpack("!I", data[4:8])[0]
        outside = b"\0" * 10 + b"\xff\xff" + socket.inet_aton("100.77.0.9")
        return [(main, v2(1, 0 if lifetime else 2, lifetime or 9,
                          data[24:44] + outside))]
    fake.datagrams(main, answer)
    said = probe4(net, host, "-portmap")
    m = said["gateway"]["pcp"]["mapping"]
    tap.eq((m["granted"], m["seen_from_outside"], m["why"], m["removed"],
            m["why_left"]), (True, "unknown", "not-the-address-seen-outside",
                             False, "not-authorized"),
           "PCP: a port at an address that nobody sees, not removed")
    tap.eq((said["gateway"]["external_agrees"], said["nats"]["count"],
            said["nats"]["carrier"]), (False, 2, "yes"),
           "PCP: such an address is a carrier's NAT")


def garbage(net, host, fake):
    main = fake.socket(ip="10.0.2.2", port=5351)
    fake.datagrams(main, lambda data, source: [
        (main, os.urandom(n)) for n in (0, 1, 2, 24, 60, 1400)])
    fake.ssdp("http://10.0.2.2:5000/d.xml")
    fake.http(lambda conn, request: conn.sendall(page(os.urandom(5000))))
    router = probe4(net, host)["gateway"]
    tap.eq((router["pcp"]["answers"], router["nat_pmp"]["answers"],
            router["upnp"]["answers"], router["upnp"]["why"]),
           ("no", "no", "yes", "no-description"), "nonsense is no answer")


def evil_url(net, host, fake):
    """Names a host of somebody else: it gets no request."""
    fake.ssdp(f"http://{A2}:8080/admin?reboot=1")
    victim = net.socket("server", socket.SOCK_STREAM, ip=A2, port=8080)
    victim.listen(5)
    upnp = probe4(net, host)["gateway"]["upnp"]
    tap.eq((upnp["answers"], upnp["why"]), ("no", "names-another-host"),
           "UPnP: a URL of another host")
    tap.ok(not select.select([victim], [], [], 0)[0], "... is not followed")
    victim.close()


def evil_control(net, host, fake):
    """Its description names one."""
    fake.ssdp("http://10.0.2.2:5000/d.xml")
    fake.http(lambda conn, request: conn.sendall(page(description(
        b"http://203.0.113.11:8081/admin"))))
    victim = net.socket("server", socket.SOCK_STREAM, ip=A2, port=8081)
    victim.listen(5)
    upnp = probe4(net, host)["gateway"]["upnp"]
    tap.eq((upnp["answers"], upnp["why"], upnp["model"]),
           ("yes", "names-another-host", "Box?[2J 7"),
           "UPnP: a service at another host")
    tap.ok(not select.select([victim], [], [], 0)[0], "... is not asked")
    victim.close()


def huge(net, host, fake):
    """Without an end."""
    def serve(conn, request):
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not fake.stop.is_set():
            conn.sendall(b"<a>" * 20000)
    fake.ssdp("http://10.0.2.2:5000/d.xml")
    fake.http(serve)
    began = time.monotonic()
    upnp = probe4(net, host)["gateway"]["upnp"]
    tap.ok(upnp["answers"] == "yes" and upnp["why"] in
           ("no-answer-in-time", "no-description"),
           "UPnP: a description without an end", upnp)
    tap.ok(time.monotonic() - began < PATIENCE, "... ends nevertheless")


def drip(net, host, fake):
    """A byte now and then."""
    def serve(conn, request):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            if fake.stop.wait(0.1):
                return
            conn.sendall(bytes([byte]))
    fake.ssdp("http://10.0.2.2:5000/d.xml")
    fake.http(serve)
    upnp = probe4(net, host)["gateway"]["upnp"]
    tap.eq((upnp["answers"], upnp["why"]), ("yes", "no-answer-in-time"),
           "UPnP: a description byte by byte")


def denying(net, host, fake):
    """Says no in three languages."""
    main = fake.socket(ip="10.0.2.2", port=5351)
    fake.datagrams(main, lambda data, source: [(main, {
        b"\2\0": v2(0, 0, 0), b"\2\1": v2(1, 2, 30, data[24:60]),
        b"\0\0": struct.pack("!BBHI4s", 0, 128, 0, 7,
                             socket.inet_aton("198.51.100.9")),
        b"\0\1": struct.pack("!BBHI", 0, 129, 4, 7)}[data[:2]])])
    fake.ssdp("http://10.0.2.2:5000/d.xml")
    fake.http(lambda conn, request: conn.sendall(
        page(description(b"/c")) if b"GET /d.xml" in request
        else soap("GetExternalIPAddress", "<NewExternalIPAddress>198.51.100.9"
                  "</NewExternalIPAddress>")
        if b"#GetExternal" in request else soap("", fault=606)))
    router = probe4(net, host, "-portmap")["gateway"]
    tap.eq([router[p]["mapping"]["why"] for p in PROTOCOLS],
           ["not-authorized", "no-resources", "not-authorized"],
           "each says no, and why")
    tap.eq((router["mapping_works"], router["external_agrees"]),
           ("no", False), "so it does not work")


def soap(action, fields="", fault=None):
    if fault:
        inner = ("<s:Fault><faultcode>s:Client</faultcode><faultstring>"
                 "UPnPError</faultstring><detail><UPnPError "
                 'xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>'
                 f"{fault}</errorCode></UPnPError></detail></s:Fault>")
    else:
        inner = (f"<u:{action}Response xmlns:u=\"urn:schemas-upnp-org:service:"
                 f'WANIPConnection:1">{fields}</u:{action}Response>')
    body = ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.'
            f'xmlsoap.org/soap/envelope/"><s:Body>{inner}</s:Body>'
            "</s:Envelope>").encode()
    status = b"500 Internal Server Error" if fault else b"200 OK"
    return (b"HTTP/1.1 " + status + b"\r\nContent-Type: text/xml\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def permanent(net, host, fake):
    """As some routers, it knows mappings for good alone."""
    leases = []

    def serve(conn, request):
        while b"</s:Envelope>" not in request and b"POST" in request:
            request += conn.recv(4000)
        action = re.search(rb'#(\w+)"', request)
        if not action:
            conn.sendall(page(description(b"/c")))
        elif action[1] == b"GetExternalIPAddress":
            conn.sendall(soap("GetExternalIPAddress",
                              "<NewExternalIPAddress>192.168.77.2"
                              "</NewExternalIPAddress>"))
        elif action[1] == b"AddPortMapping":
            lease = re.search(rb"<NewLeaseDuration>(\d+)<", request)[1]
            leases.append(lease)
            conn.sendall(soap("AddPortMapping",
                              fault=None if lease == b"0" else 725))
        elif action[1] == b"DeletePortMapping":
            leases.append("removed")
            conn.sendall(soap("DeletePortMapping"))
        else:
            conn.sendall(soap("", fault=501))
    fake.ssdp("http://10.0.2.2:5000/d.xml")
    fake.http(serve)
    said = probe4(net, host, "-portmap")
    m = said["gateway"]["upnp"]["mapping"]
    tap.eq((m["granted"], m["permanent_only"], m["lifetime_s"], m["removed"]),
           (True, True, 0, True), "UPnP: a router without lifetimes")
    tap.eq(leases, [b"120", b"0", "removed"], "... which is left clean")
    tap.eq((said["nats"]["count"], said["nats"]["confidence"],
            said["nats"]["evidence"][0]),
           (2, "high", "router-tells-private-address"),
           "UPnP: and has a private address outside")


FAKES = (wrong_nonce, wrong_address, lying, garbage, evil_url, evil_control,
         huge, drip, denying, permanent)


def check_fake(net, host, case):
    fake = Fake(net, f"{host}-gw")
    try:
        case(net, host, fake)
    finally:
        fake.close()


def check_ports(net):
    """What changes one router's table, one after the other."""
    check_maps(net)
    check_six(net)
    check_asks_only(net)
    check_interrupted(net)


def main():
    try:
        if why := lab.missing(natemu=True, upnp=True):
            raise lab.CannotBuild(why)
        net = lab.build(nodes([f"f{i}" for i in range(len(FAKES))]))
    except lab.CannotBuild as error:
        tap.skip("routers of all kinds", error)
        return tap.done()
    with net:
        net.popen("server", [
            STUND, "-listen", f"{A1}:3478", "-alternate", f"{A2}:3479",
            "-log", "error"])
        net.popen("server", [STUND, "-listen", f"[{A1_6}]:3478",
                             "-log", "error"])
        lab.wait_for(lambda: lab.listens(net, "server", 3478),
                     "stund to listen")
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            work = [pool.submit(tap.attempt, f.__name__, f, net) for f in (
                check_ports, check_ways, check_double, check_dry)]
            work += [pool.submit(tap.attempt, f.__name__, check_fake, net, f"f{i}", f)
                     for i, f in enumerate(FAKES)]
            for each in work:
                each.result()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
