#!/usr/bin/python3
# tests/run: limit=120
"""natprobe6_test: natprobe over IPv6: firewalls without NAT that filter in each
way of RFC 4787, NAT66, and both families at once."""

import concurrent.futures
import json
import sys

import kinds
import lab
import tap
from natprobe_test import NAMES, NATPROBE, STUND
from topologies import A1, A1_6, A2, A2_6, server

# nat6: mapping, filtering, ports
TRUTH = {
    "open6": ("none", "ei", "preserving"),
    "remembering6-ei": ("none", "ei", "preserving"),
    "remembering6-ad": ("none", "ad", "preserving"),
    "remembering6-pd": ("none", "pd", "preserving"),
    "firewall6": ("none", "apd", "preserving"),
    "masquerade6": ("ei", "apd", "preserving"),
    "masquerade6-random": ("apd", "apd", "random"),
}
# Those that have another NAT for IPv4 at the same time.
BOTH = [("masquerade", "firewall6", ("ei", "apd")),
        ("fully-random", "masquerade6", ("apd", "apd")),
        ("one-to-one", "masquerade6-random", ("ei", "ei"))]


def nodes():
    found = {"server": server()}
    rows = [("masquerade", kind, None) for kind in TRUTH] + BOTH
    for i, (nat, nat6, _) in enumerate(rows):
        net6 = (f"fd00:{i}::" if nat6 in kinds.TRANSLATED6
                else f"2001:db8:{i + 1}::")
        found[f"g{i}"] = {
            "kind": "gateway", "at": "internet", "nat": nat, "nat6": nat6,
            "lan": "10.0.2.2/24", "lan6": f"{net6}1/64",
            "ip": [f"198.51.100.{2 * i + 10}"],
            "ip6": [f"2001:db8:ff::{i + 1}"]}
        found[f"a{i}"] = {"kind": "host", "at": f"g{i}", "ip": ["10.0.2.15"],
                          "ip6": [f"{net6}15"]}
    return found


def probe(net, i, *flags):
    done = net.run(f"a{i}", [NATPROBE, "-stun", A1, "-stun", A1_6, "-quiet",
                             "-json", "-", *flags], timeout=60)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def words_of(family):
    return (family["mapping"]["verdict"], family["filtering"]["verdict"],
            family["ports"]["verdict"])


def check(net, i, kind):
    mapping, filtering, ports = TRUTH[kind]
    said = probe(net, i, "-family", "6")
    tap.ok("ipv4" not in said, f"{kind}: IPv6 alone is asked", said)
    said = said["ipv6"]
    if not tap.eq(words_of(said), (NAMES[mapping], NAMES[filtering], ports),
                  f"{kind}: mapping, filtering, ports"):
        print(f"# {json.dumps(said)}")
    tap.eq(said["nat"], "no" if mapping == "none" else "yes", f"{kind}: NAT")
    outside = (net.nodes[f"g{i}"]["ip6"][0] if mapping != "none"
               else net.nodes[f"a{i}"]["ip6"][0])
    tap.ok(said["mapping"]["external"].startswith(f"[{outside}]:"),
           f"{kind}: the address outside", said["mapping"])


def check_both(net, i, row):
    nat, nat6, truth = row
    said = probe(net, i)
    mapping, filtering, ports = TRUTH[nat6]
    tap.eq(words_of(said["ipv6"]), (NAMES[mapping], NAMES[filtering], ports),
           f"{nat} and {nat6}: IPv6")
    tap.eq(words_of(said["ipv4"])[:2], tuple(NAMES[x] for x in truth),
           f"{nat} and {nat6}: IPv4")


def main():
    try:
        net = lab.build(nodes())
    except lab.CannotBuild as error:
        tap.skip("IPv6", error)
        return tap.done()
    with net:
        for one, two in ((A1, A2), (f"[{A1_6}]", f"[{A2_6}]")):
            net.popen("server", [
                STUND, "-listen", f"{one}:3478", "-alternate", f"{two}:3479",
                "-log", "error"])
        lab.wait_for(lambda: lab.listens(net, "server", 3478)
                     and ":0D96 " in net.run(
                         "server", ["cat", "/proc/net/udp6"]).stdout,
                     "stund to listen")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for i, kind in enumerate(TRUTH):
                pool.submit(tap.attempt, kind, check, net, i, kind)
            for i, row in enumerate(BOTH, len(TRUTH)):
                pool.submit(tap.attempt, row[1], check_both, net, i, row)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
