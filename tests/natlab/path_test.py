#!/usr/bin/python3
# tests/run: limit=120
"""path_test: what natprobe says of the way besides its NATs: path MTU and
fragments, ports that are blocked and why UDP is, resolvers that lie, relays
behind a proxy. Each case has a gateway of its own, all run beside each other.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import re
import ssl
import sys
import time

import lab
import tap
from topologies import A1, A1_6, A2, A2_6, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
STUND = os.environ.get("STUND", f"{TOP}/build/release/stund")
RELAYD = os.environ.get("RELAYD", f"{TOP}/build/release/relayd")
WORKERS = 4
OPEN = {"ports": "random"}  # natemu: endpoint-independent in all
MASQUERADE = {"kernel": "masquerade"}
SECRET = "pa:ss w%rd"

# ---- path MTU and fragments: name, NAT, done to it, verdicts of IPv4 and 6 --

FULL = ("full", 1500, None)


def told(n):
    return ("told-by-icmp", n, n + 1)


def hole(n):
    return ("black-hole", n, n + 4)


def at_least(n):
    return ("as-outbound", n, None)


def no_fragments_in(net, g):
    """Before connection tracking puts them together."""
    net.spaces[g].nft("""
table inet cut {
    chain prerouting {
        type filter hook prerouting priority -450
        iifname "wan" ip frag-off & 0x3fff != 0 drop
        iifname "wan" exthdr frag exists drop
    }
}
""")


def small_and_mute(net, g):
    """A kernel's gateway before a smaller link, that keeps it to itself."""
    net.spaces[g].links("link set dev wan mtu 1400")
    net.spaces["internet"].links(f"link set dev {g} mtu 1400")
    net.spaces[g].nft("""
table inet mute {
    chain output {
        type filter hook output priority 0
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}
""")


def own_link(net, g):
    net.spaces[host(g)].links("link set dev eth0 mtu 1400")


def mtu(out, **more):
    return {**OPEN, "mtu_out": out, "mtu_in": out, **more}


YES, NO = "yes", "no"
UNKNOWN = "unknown"
# name: NAT, change, {family: (outbound, inbound, fragments out, in, fits)}
MTUS = {
    "a kernel's NAT": (MASQUERADE, None, {
        f: (FULL, FULL, YES, YES, YES) for f in ("ipv4", "ipv6")}),
    "1400, told": (mtu(1400), None, {
        f: (told(1400), at_least(1400), YES, YES, YES)
        for f in ("ipv4", "ipv6")}),
    "1400, a black hole": (mtu(1400, ptb=False), None, {
        "ipv4": (hole(1400), at_least(1400), YES, YES, YES),
        "ipv6": (hole(1400), at_least(1400), YES, UNKNOWN, YES)}),
    "1300, told": (mtu(1300), None, {
        f: (told(1300), at_least(1300), YES, YES, NO)
        for f in ("ipv4", "ipv6")}),
    "1290, a black hole": (mtu(1290, ptb=False), None, {
        "ipv4": (hole(1288), at_least(1288), YES, YES, NO)}),
    "1400, a mute gateway": (MASQUERADE, small_and_mute, {
        "ipv4": (hole(1400), at_least(1400), YES, YES, YES)}),
    "1400 inbound, a black hole": (
        {**OPEN, "mtu_in": 1400, "ptb": False}, None, {
            "ipv4": (FULL, hole(1400), YES, YES, YES),
            "ipv6": (FULL, hole(1400), YES, UNKNOWN, YES)}),
    "1400 inbound, told": ({**OPEN, "mtu_in": 1400}, None, {
        "ipv4": (FULL, ("in-fragments", 1396, 1397), YES, YES, YES),
        "ipv6": (FULL, ("in-fragments", 1400, 1401), YES, YES, YES)}),
    "1400, its own link": (MASQUERADE, own_link, {
        f: (("own-link", 1400, 1401), at_least(1400), YES, UNKNOWN, YES)
        for f in ("ipv4", "ipv6")}),
    "fragments put together": ({**OPEN, "fragments": "reassemble"}, None, {
        "ipv4": (FULL, FULL, YES, YES, YES)}),
    "fragments in order": ({**OPEN, "fragments": "in-order"}, None, {
        "ipv4": (FULL, FULL, YES, YES, YES)}),
    "fragments dropped": ({**OPEN, "fragments": "drop"}, None, {
        f: (FULL, FULL, NO, UNKNOWN, YES) for f in ("ipv4", "ipv6")}),
    "later fragments dropped": (
        {**OPEN, "fragments": "drop-non-first"}, None, {
            "ipv4": (FULL, FULL, NO, UNKNOWN, YES)}),
    "inbound fragments dropped": (MASQUERADE, no_fragments_in, {
        f: (FULL, FULL, YES, NO, YES) for f in ("ipv4", "ipv6")}),
    "one packet in ten lost": (
        {**OPEN, "loss_out": 0.1, "loss_in": 0.1, "seed": 7}, None, {}),
}

# ---- why there is no UDP: name, what the gateway does, verdict, evidence ----

BLOCKED = {
    "UDP blocked": ({"block": "udp"}, "blocked", "stun-over-tcp-answers"),
    "UDP port 3478 blocked": (
        {"block": "udp-3478"}, "port-blocked", "other-udp-ports-pass"),
    "all but 443 blocked": (
        {"block": "all-but-443"}, "all-but-443", "tcp-443-alone-passes"),
    "a captive portal": ({"block": "all", "portal": True}, "captive-portal",
                         "a-portal-answers-for-the-relay"),
    "all blocked": ({"block": "all"}, "no-network", "nothing-answers"),
}


BLOCKED_WORDS = {
    "stun-over-tcp-answers": "TCP passes, so relays help; .*works",
    "other-udp-ports-pass": "the STUN servers' port is blocked",
    "tcp-443-alone-passes": "all but TCP port 443 is blocked",
    "a-portal-answers-for-the-relay": "a captive portal .*log in first",
    "nothing-answers": "nothing answers, not even by TCP",
}


def host(g):
    return "a" + g[1:]


def nodes():
    found = {"server": server()}
    wanted = [*MTUS, *BLOCKED, "other", "rewriting"]
    for i, name in enumerate(wanted):
        nat = (MTUS[name][0] if name in MTUS else
               {**OPEN, "alg": "addresses"} if name == "rewriting" else
               MASQUERADE)
        more = BLOCKED[name][0] if name in BLOCKED else {}
        found[f"g{i}"] = {
            "kind": "gateway", "at": "internet", "nat": nat,
            "lan": "10.0.2.2/24", "lan6": f"2001:db8:{i + 1}::1/64",
            "ip": [f"198.51.100.{i + 10}"], **more}
        found[f"a{i}"] = {"kind": "host", "at": f"g{i}", "ip": ["10.0.2.15"],
                          "ip6": [f"2001:db8:{i + 1}::15"]}
    return found, {name: f"g{i}" for i, name in enumerate(wanted)}


def probe(net, name, *flags, env=None):
    done = net.run(name, [NATPROBE, "-json", "-", *flags], timeout=60,
                   env={**os.environ, **(env or {})})
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    # Broken lines are one again.
    return json.loads(done.stdout), re.sub(r"\n {4,}", " ", done.stderr)


def way(said):
    return said["verdict"], said["passes"], said["fails"]


# ---- the cases ----

def check_mtu(net, g, name):
    _, change, want = MTUS[name]
    if change:
        change(net, g)
    said, words = probe(net, host(g), "-stun", A1, "-stun", f"[{A1_6}]:3478",
                        "-dns=false", "-ports", "none", "-rfc4787")
    for family, (out, into, frags_out, frags_in, fits) in want.items():
        path = said["path"][family]
        m, f = path["mtu"], path["fragments"]
        got = (way(m["outbound"]), way(m["inbound"]),
               f["outbound"]["passes"], f["inbound"]["passes"],
               m["tailscale_fits"])
        if not tap.eq(got, (out, into, frags_out, frags_in, fits),
                      f"{name}, {family}"):
            print(f"# {json.dumps(path)}")
    check_mtu_words(name, want, words)
    check_sheet(name, want, words)
    if not want:
        check_loss(said, name)


# REQ-13 by what is known of the way out.
TOO_BIG = {"full": "not tried", "own-link": "not tried",
           "told-by-icmp": "met", "black-hole": "NOT MET"}


def check_sheet(name, want, words):
    """RFC 4787's requirements that the path tells of."""
    rows = dict(re.findall(r"^  (REQ-\d+) +(\w+(?: \w+)?)  ", words, re.M))
    for out, _, frags_out, frags_in, _ in want.values():
        tap.eq((rows.get("REQ-13"), rows.get("REQ-14")), (
            TOO_BIG[out[0]],
            "NOT MET" if NO in (frags_out, frags_in) else "partly"),
            f"{name}: RFC 4787")
        return


def check_mtu_words(name, want, words):
    for out, _, frags_out, frags_in, _ in want.values():
        tap.ok(f"outbound {out[1]}" in words, f"{name}: words", words)
        tap.eq("a black hole" in words, any(
            "black-hole" in (o[0], i[0]) for o, i, *_ in want.values()),
            f"{name}: words, black hole")
        tap.eq("dropped" in words, NO in (frags_out, frags_in),
               f"{name}: words, fragments")
        return


def check_loss(said, name):
    """Less may be known, but nothing wrong."""
    for family in ("ipv4", "ipv6"):
        path = said["path"][family]
        m, f = path["mtu"], path["fragments"]
        tap.ok(m["outbound"]["verdict"] in ("full", "unknown")
               and m["inbound"]["verdict"] in ("full", "unknown")
               and f["outbound"]["passes"] != NO
               and m["tailscale_fits"] != NO, f"{name}, {family}", path)


def check_blocked(net, g, name, relay):
    _, verdict, why = BLOCKED[name]
    said, words = probe(net, host(g), "-stun", A1, "-family", "4", "-relay",
                        relay, "-dns=false")
    blocked = said["ipv4"]["udp_blocked"]
    tap.eq((said["ipv4"]["udp"], blocked["verdict"], blocked["why"]),
           ("no", verdict, why), f"{name}: why there is no UDP")
    tap.ok(re.search(r"^IPv4\n  UDP blocked        " + BLOCKED_WORDS[why],
                     words, re.M), f"{name}: words, the verdict first", words)
    works = said["relays"][0]["works"]
    tap.eq(works, verdict in (
        "blocked", "port-blocked", "all-but-443"), f"{name}: the relay")


def ports_of(said, family="ipv4"):
    return {(r["protocol"], r["port"]): (r["passes"], r["saw"])
            for r in said["path"][family]["ports"]}


def check_ports(net, g):
    """Something listens at UDP 5000, but the gateway holds it back; nothing
    does at 5001; TCP 5002 is refused."""
    net.spaces[g].nft("""
table inet site {
    chain forward {
        type filter hook forward priority -10; policy accept
        udp dport { 5000, 5001 } drop
        tcp dport 5003 reject with icmpx admin-prohibited
        udp dport 5004 reject with icmpx admin-prohibited
    }
}
""")
    said, words = probe(
        net, host(g), "-stun", A1, "-stun", f"{A1}:5000", "-family", "4",
        "-dns=false", "-ports", "3478,udp:5000,udp:5001,tcp:5002,udp:5004,"
        "udp:5005")
    got = ports_of(said)
    want = {("udp", 3478): ("yes", "answers"),
            ("tcp", 3478): ("yes", "answers"),
            ("udp", 5000): ("no", "silent"),
            ("udp", 5001): ("unknown", "silent"),
            ("tcp", 5002): ("yes", "refused"),
            ("udp", 5004): ("no", "prohibited"),
            ("udp", 5005): ("yes", "refused")}
    tap.eq({k: v for k, v in got.items() if k[0] != "echo"}, want, "ports")
    tap.ok("  ports blocked      udp 5000, 5004\n" in words,
           "ports: words", words)


def check_server_down(net, g):
    said, _ = probe(net, host(g), "-stun", f"{A2}:9999", "-family", "4",
                    "-dns=false")
    blocked = said["ipv4"]["udp_blocked"]
    tap.eq((blocked["verdict"], blocked["why"]),
           ("server-down", "icmp-port-unreachable"), "a server that is down")


def check_echo(net, g):
    """Where the system lets anybody ping."""
    said, _ = probe(net, host(g), "-stun", A1, "-family", "4", "-dns=false")
    tap.eq(ports_of(said)["echo", 0], ("unknown", "not-sent"),
           "no ping socket")
    net.spaces[host(g)].sysctl({"net/ipv4/ping_group_range": "0 2147483647"})
    said, _ = probe(net, host(g), "-stun", A1, "-stun", f"[{A1_6}]:3478",
                    "-dns=false")
    tap.eq((ports_of(said)["echo", 0], ports_of(said, "ipv6")["echo", 0]),
           (("yes", "answers"), ("yes", "answers")), "a ping socket")


def check_alg(net, rewriting, plain):
    for g, want in ((rewriting, "yes"), (plain, "no")):
        said, _ = probe(net, host(g), "-stun", A1, "-family", "4",
                        "-dns=false", "-ports", "none")
        alg = said["ipv4"]["alg"]
        tap.eq((alg["verdict"], alg["why"]), (want, None),
               f"addresses within packets are rewritten: {want}")
        if want == "yes":
            tap.eq((alg["differ"], alg["plain"].split(":")[0]),
                   (alg["answers"], "10.0.2.15"), "to this host's")


# ---- DNS ----

@contextlib.contextmanager
def resolver(net, name, ip):
    """ip netns exec puts what lies there over /etc."""
    folder = pathlib.Path("/etc/netns", net.spaces[name].name)
    folder.mkdir(parents=True)
    try:
        (folder / "resolv.conf").write_text(
            f"nameserver {ip}\noptions timeout:1 attempts:1\n")
        (folder / "nsswitch.conf").write_text("hosts: dns\n")
        yield
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def dns_map(net):
    """Relays by name; none of them runs."""
    path = net.dir / "dns-map.json"
    path.write_text(json.dumps({"Regions": {"1": {"Nodes": [
        {"Name": str(i), "HostName": f"{word}.campus.example", **more,
         "DERPPort": 1, "STUNPort": -1}
        for i, (word, more) in enumerate([
            ("same", {"IPv4": A1}), ("differs", {"IPv4": A1}),
            ("private", {}), ("unknown", {"IPv4": A1})])]}}}))
    return str(path)


def check_dns(net, g, lies):
    with resolver(net, host(g), A2 if lies else A1):
        said, words = probe(net, host(g), "-stun", A1, "-family", "4", "-map",
                            dns_map(net), "-ports", "none")
    dns = said["dns"]
    what = "a resolver that lies" if lies else "a resolver that does not"
    tap.eq(dns["nonexistent"]["verdict"], "rewritten" if lies else "kept",
           what)
    tap.eq(said["proxy"]["wpad"], "no", f"{what}: no WPAD")
    names = {r["name"].partition(".")[0]: r["verdict"] for r in dns["relays"]}
    want = {"same": "same", "differs": "differs", "private": "private",
            "unknown": "unknown"}
    if lies:
        want = {**dict.fromkeys(want, "differs"), "private": "not-in-map"}
    tap.eq(names, want, f"{what}: relays' names")
    tap.eq("the resolver lies: it gives" in words, lies, f"{what}: words")
    tap.ok(lies or "differs.campus.example is 192.0.2.99 here, and "
           f"{A1} in the map" in words, f"{what}: words, relays", words)


def check_no_resolver(net, g):
    """Nobody is there, and the run does not wait for it."""
    with resolver(net, host(g), "203.0.113.53"):
        began = time.monotonic()
        said, _ = probe(net, host(g), "-stun", A1, "-family", "4",
                        "-ports", "none")
        took = time.monotonic() - began
    tap.eq(said["dns"]["nonexistent"]["verdict"], "unknown", "no resolver")
    tap.ok(took < 20, "no resolver: it ends", took)


def check_wpad(net, g):
    """A third resolver, on the gateway, since they all have port 53."""
    start(net, g, [lab.HERE / "dnsfake.py", "10.0.2.2", "wpad=10.0.2.2"])
    with resolver(net, host(g), "10.0.2.2"):
        said, words = probe(net, host(g), "-stun", A1, "-family", "4",
                            "-ports", "none")
    tap.eq(said["proxy"]["wpad"], "yes", "WPAD")
    tap.ok("WPAD" in words, "WPAD: words", words)


ALL_DNS = {A1: ["same.campus.example=" + A1,
                "differs.campus.example=192.0.2.99",
                "private.campus.example=10.9.9.9"],
           A2: ["*=192.0.2.66"]}


# ---- proxy ----

def check_proxy(net, g, relay):
    """On the gateway, which lets nothing else out."""
    where = "http://{}10.0.2.2:{}"
    secret = "robot:" + SECRET.replace("%", "%25").replace(" ", "%20") + "@"
    cases = [
        ("no proxy", "", 3128, {}, None, None),
        ("a proxy", "", 3128, {}, "works", "yes"),
        ("a proxy, and no credentials", "", 3129, {}, "wants-credentials",
         "unknown"),
        ("a proxy with credentials", secret, 3129, {}, "works", "yes"),
        ("no proxy there", "", 3130, {}, "unreachable", "unknown"),
        ("no_proxy", "", 3128, {"no_proxy": "x.example, 203.0.113.0/24"},
         "not-asked", "unknown"),
    ]
    for name, auth, port, env, verdict, needed in cases:
        if verdict:
            env = {**env, "https_proxy": where.format(auth, port)}
        said, words = probe(net, host(g), "-family", "4", "-dns=false",
                            "-relay", relay, env=env)
        tried = said["proxy"]["relays"][0]
        tap.eq((said["relays"][0]["works"], tried["verdict"],
                tried["needed"]),
               (False, verdict or "not-asked", needed or "unknown"),
               f"{name}: the relay")
        tap.ok("ss w" not in words + json.dumps(said)
               and "ss%20w" not in words + json.dumps(said),
               f"{name}: the secret is kept", words)
        if verdict == "works":
            tap.ok("works through it, and not without" in words,
                   f"{name}: words", words)
        if verdict == "wants-credentials":
            tap.ok("wants a name and a password" in words, f"{name}: words",
                   words)


def start(net, name, words):
    child = net.popen(name, [sys.executable, *words], stdout=-1, text=True)
    if child.stdout.readline() != "ready\n":
        raise lab.Failed(f"{words}: does not start")


def start_servers(net):
    net.popen("server", [
        STUND, "-listen", f"{A1}:3478", "-alternate", f"{A2}:3479",
        "-listen", f"[{A1_6}]:3478", "-alternate", f"[{A2_6}]:3479",
        "-log", "error"])
    net.popen("server", [STUND, "-listen", f"{A1}:5000", "-log", "error"])
    state = net.dir / "relay"
    state.mkdir()
    net.popen("server", [
        RELAYD, "-a", f"{A1}:443", "-http-port", "80", "-stun=false",
        "-hostname", A1, "-certmode", "manual", "-c", state / "derper.key",
        "-certdir", state / "certs", "-user", "root"], stderr=open(
            net.dir / "relay.log", "w"))
    for port in (3478, 5000):
        lab.wait_for(lambda port=port: lab.listens(net, "server", port),
                     "stund to listen")
    lab.wait_for(lambda: "ready" in (net.dir / "relay.log").read_text(),
                 "relayd to be ready")
    for ip, names in ALL_DNS.items():
        start(net, "server", [lab.HERE / "dnsfake.py", ip, *names])
    pem = (state / "certs" / f"{A1}.crt").read_text()
    first = re.search(r"-+BEGIN.*?END CERTIFICATE-+", pem, re.S)[0]
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()
    return f"https://{A1}:443?pin=sha256-raw:{pin}&http=80"


def other_cases(net, g, relay):
    """One after the other, at one gateway; then that changes."""
    tap.attempt("ports", check_ports, net, g)
    tap.attempt("a server that is down", check_server_down, net, g)
    tap.attempt("a resolver", check_dns, net, g, False)
    tap.attempt("a resolver that lies", check_dns, net, g, True)
    tap.attempt("WPAD", check_wpad, net, g)
    tap.attempt("no resolver", check_no_resolver, net, g)
    tap.attempt("echo", check_echo, net, g)


def proxy_cases(net, g, relay):
    start(net, g, [lab.HERE / "connectproxy.py", "10.0.2.2", 3128])
    start(net, g, [lab.HERE / "connectproxy.py", "10.0.2.2", 3129,
                   f"robot:{SECRET}"])
    tap.attempt("proxy", check_proxy, net, g, relay)


def main():
    found, gateways = nodes()
    try:
        net = lab.build(found)
    except lab.CannotBuild as error:
        tap.skip("paths of every kind", error)
        return tap.done()
    with net:
        relay = start_servers(net)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            pool.submit(other_cases, net, gateways["other"], relay)
            pool.submit(tap.attempt, "ALG", check_alg, net,
                        gateways["rewriting"], gateways["a kernel's NAT"])
            pool.submit(proxy_cases, net, gateways["all blocked"], relay)
            for name in BLOCKED:
                pool.submit(tap.attempt, name, check_blocked, net,
                            gateways[name], name, relay)
            for name in MTUS:
                pool.submit(tap.attempt, name, check_mtu, net,
                            gateways[name], name)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
