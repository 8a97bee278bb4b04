#!/usr/bin/python3
# tests/run: limit=90
"""pair_tcp_test: what two natprobes in pair mode say of TCP is what their NATs
do (RFC 5382): who is let in, what a SYN meets that nobody asked for, and
whether both can open at once. Ordered pairs of natemu's kinds and the kernel's,
and places where it cannot be known."""

import concurrent.futures
import sys

import kinds
import lab
import pairs
import tap
from topologies import A1, A1_6, server

EI, AD, APD = (kinds.RULES[rule] for rule in ("ei", "ad", "apd"))
DEPENDENT = "dependent"  # which one cannot be told
AT_ONCE = 20


def user(filtering, **knobs):
    return {"mapping": EI, "filtering": filtering, "ports": "random", **knobs}


# name: the NAT, what the site forbids, and the truth: what an uninvited SYN
# meets, the filter, is the mapping the same for all, do SYNs that cross pass.
KINDS = {
    "open": (user(EI), None, "accepted", EI, True, True),
    "address": (user(AD), None, "silent", AD, True, True),
    "port": (user(APD), None, "silent", APD, True, True),
    "resets": (user(APD, tcp_unsolicited="rst"), None, "reset", APD, True,
               True),
    "says so": (user(AD, tcp_unsolicited="icmp-unreach"), None, "icmp", AD,
                True, True),
    # Without UDP they meet at the relay, and there is time for 6 s.
    "says so late": (user(APD, tcp_unsolicited="icmp-after-6s"), "udp", "icmp",
                     APD, True, True),
    "never says": (user(APD), "udp", "silent", APD, True, True),
    "no crossing": (user(APD, tcp_simultaneous_open="drop"), None, "silent",
                    APD, True, False),
    "crossing resets": (user(APD, tcp_simultaneous_open="rst"), None,
                        "silent", APD, True, False),
    "symmetric": (kinds.USER["apdm-apdf"], None, "silent", DEPENDENT, False,
                  True),
    "per address": (kinds.USER["adm-adf"], None, "silent", DEPENDENT, False,
                    True),
    "lossy": (user(APD, loss_out=0.1, loss_in=0.1, delay_out_ms=75,
                   delay_in_ms=75), None, "silent", APD, True, True),
    "masquerade": ({"kernel": "masquerade"}, None, "silent", APD, True, True),
    "accepting": ({"kernel": "masquerade-accept"}, None, "reset", APD, True,
                  True),
    "random": ({"kernel": "fully-random"}, None, "silent", DEPENDENT, False,
               True),
    "one-to-one": ({"kernel": "one-to-one"}, None, "accepted", EI, True,
                   True),
    "firewall": ({"kernel": "firewall"}, None, "silent", APD, True, True),
    "routed": ({"kernel": "routed"}, None, "accepted", EI, True, True),
    "strict": (user(EI), "tcp-high", "accepted", EI, True, True),
}
# `accepting` takes a SYN that comes before its own for one to itself, and then
# translates its own differently: who is first decides, and that is chance.
# Why nothing may be known of a filter if packets are lost.
EXCUSES = {"mapping-lost", "other-side-blocked", "no-stun-over-tcp",
           "odd-endpoint", "not-over"}


def goes(x, y):
    """Does a SYN from x come in at y, once both have sent?"""
    (_, _, _, _, x_same, _), (_, _, _, y_filter, y_same, y_cross) = (
        KINDS[x], KINDS[y])
    if x == "strict":
        return False
    if y_filter == EI:
        return True
    if not y_same or y == "strict":
        return False
    if x_same:
        return y_cross
    return y_filter == AD


def opens(a, b):
    """Which verdicts of both opening are right."""
    works = goes(a, b) or goes(b, a)  # one SYN that comes in is enough
    always = (goes(a, b) and KINDS[b][3] == EI or
              goes(b, a) and KINDS[a][3] == EI)
    if "lossy" in (a, b):
        return {"works", "fails", "unknown"} if works else {"fails", "unknown"}
    if "accepting" in (a, b) and works and not always:
        return {"works", "fails"}
    return {"works"} if works else {"fails"}


def plan():
    """Who calls whom."""
    for kind in KINDS:
        yield kind, "port"
        yield "symmetric", kind
    yield from (("no crossing", "no crossing"), ("random", "open"),
                ("crossing resets", "crossing resets"),
                ("address", "random"), ("one-to-one", "one-to-one"),
                ("firewall", "masquerade"), ("masquerade", "resets"),
                ("resets", "resets"), ("per address", "address"))


def site(found, name, n, net, kind, six=False):
    nat, forbidden, *_ = KINDS[kind]
    found[f"g-{name}"] = {
        "kind": "gateway", "at": "internet", "nat": nat, "block": forbidden,
        "ip": [f"198.51.100.{n}"], "lan": f"{net}2/24",
        "lan6": f"2001:db8:{n}::1/64" if six else None}
    found[name] = {"kind": "host", "at": f"g-{name}", "ip": [f"{net}15"],
                   "ip6": [f"2001:db8:{n}::15"] if six else []}


def sites():
    found = {"server": server()}
    for side, base in (("a", 10), ("b", 100)):
        for i, kind in enumerate(KINDS):
            net = "10.0.2."
            if kind in ("firewall", "routed"):  # seen outside
                net = f"172.{20 + i + base // 2}.0."
            site(found, f"{side}{i}", base + i, net, kind,
                 six=kind == "masquerade")
    found["n0"] = {"kind": "host", "at": "g-a0", "ip": ["10.0.2.16"],
                   "ip6": []}
    return found


def host(side, kind):
    return f"{side}{list(KINDS).index(kind)}"


# ---- one pair ----

def check_uninvited(what, got, kind):
    wanted = KINDS[kind][2]
    tap.eq((got["verdict"], got["why"]), (wanted, None),
           f"{what}: {kind}, uninvited")
    if kind in ("says so late", "never says"):
        tap.ok(got["error_within_6s"] is False and got["after_ms"] >= 6000,
               f"{what}: {kind} is silent for 6 s", got)
    elif wanted in ("reset", "icmp"):
        tap.ok(got["error_within_6s"] is True and got["after_ms"] < 6000,
               f"{what}: {kind} answers too soon", got)


def check_lossy(what, said, kind):
    """Nothing wrong is said."""
    filtering = said["filtering"]
    tap.ok(filtering["verdict"] in (KINDS[kind][3], DEPENDENT) or
           (filtering["verdict"] == "unknown" and
            filtering["why"] in EXCUSES),
           f"{what}: {kind}, filtering, by lossy ways", filtering)


def check_side(what, said, kind, other):
    """What is said of the NAT of this side."""
    said = said["tcp"]["ipv4"]
    if "lossy" in (kind, other):
        check_lossy(what, said, kind)
        return
    if other == "strict":
        tap.eq(said["filtering"],
               {"verdict": "unknown", "why": "other-side-blocked"},
               f"{what}: {kind}, of which nothing can be known")
        return
    check_uninvited(what, said["unsolicited"], kind)
    wanted = {KINDS[kind][3]}
    # Its own SYN was answered by an error, after which a NAT may forget it.
    if wanted == {APD} and (KINDS[other][2] in ("reset", "icmp") or
                            other == "crossing resets"):
        wanted.add(DEPENDENT)
    tap.ok(said["filtering"]["verdict"] in wanted and
           said["filtering"]["why"] is None,
           f"{what}: {kind}, filtering", f"{said['filtering']}, want {wanted}")


def check_open(what, said, wanted):
    got = said["tcp"]["ipv4"]["simultaneous_open"]
    tap.ok(got["verdict"] in wanted, f"{what}: both open",
           f"{got}, want {wanted}")
    tap.ok(got["verdict"] == "unknown" or
           got["why"] in (None, "mapping-depends"), f"{what}: why", got)


def check(net, derp_map, a, b):
    what = f"{a}, then {b}"
    (mine, _), (theirs, _) = pairs.meet(
        net, host("a", a), host("b", b), derp_map, "-family", "4")
    check_side(what, mine, a, b)
    check_side(what, theirs, b, a)
    check_open(what, mine, opens(a, b))
    check_open(what, theirs, opens(a, b))


# ---- where it cannot be known, and IPv6 ----

def neighbours(net, derp_map):
    for said, _ in pairs.meet(net, "a0", "n0", derp_map, "-family", "4"):
        tcp = said["tcp"]["ipv4"]
        tap.eq((tcp["filtering"], tcp["unsolicited"]["why"],
                tcp["simultaneous_open"]["verdict"],
                tcp["simultaneous_open"]["why"]),
               ({"verdict": "unknown", "why": "same-nat"}, "same-nat",
                "fails", "same-nat"), "behind one NAT")


def six(net, derp_map):
    place = list(KINDS).index("masquerade")
    for said, _ in pairs.meet(net, f"a{place}", f"b{place}", derp_map,
                              "-stun", f"[{A1_6}]"):
        tcp = said["tcp"]["ipv6"]
        tap.eq((tcp["unsolicited"]["verdict"],
                tcp["simultaneous_open"]["verdict"],
                tcp["simultaneous_open"]["crossed"]),
               ("silent", "works", True), "a firewall for IPv6: both open")
        tap.ok(tcp["filtering"]["verdict"] in (APD, DEPENDENT) and
               said["tcp"]["ipv4"]["filtering"]["verdict"] == APD,
               "and its filter, beside that of IPv4", said["tcp"])


def not_asked(net, derp_map):
    """One of the two has TCP left out."""
    listener = pairs.Listener(net, "b0", derp_map, "-tcp=false")
    said, _ = pairs.call(net, "a0", derp_map, listener.key)
    tap.eq((said["outcome"], said["tcp"]),
           ("direct", {"why": "other-side-cannot", "ipv4": None,
                       "ipv6": None}), "the other side cannot")
    tap.eq(listener.end()[0]["tcp"], None, "and was not asked to")


def main():
    if why := lab.missing(natemu=True):
        tap.skip("pairs over TCP", why)
        return tap.done()
    with lab.build(sites()) as net:
        derp_map = pairs.serve(net)
        lab.wait_for(lambda: lab.listens(net, "server", 3478), A1)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for a, b in plan():
                pool.submit(tap.attempt, f"{a}, then {b}", check, net,
                            derp_map, a, b)
            for job in (neighbours, six, not_asked):
                pool.submit(tap.attempt, job.__name__, job, net, derp_map)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
