#!/usr/bin/python3
# tests/run: limit=180
"""pair_test: what `natprobe predict` says of two sites is what two natprobes
in pair mode find out: each of RFC 4787's nine kinds of mapping and filtering
with each, 81 ordered pairs, and five kinds of the kernel's NAT, 25. And ways
other than by public IPv4: IPv6, the local network, none but the relay."""

import concurrent.futures
import sys

import lab
import pairs
import tap
from topologies import A1_6

AT_ONCE = 20


def check_outcome(what, said, called, listened, met):
    outcome = said["ipv4"]["outcome"]
    (mine, my_status), (theirs, their_status) = called, listened
    tap.eq(mine["outcome"], pairs.FIRST.get(outcome),
           f"{what}: predicted, {outcome}")
    if met is not None:
        tap.eq(mine["outcome"], "direct" if met else "relay",
               f"{what}: as known")
    tap.eq((theirs["outcome"], my_status, their_status),
           (mine["outcome"], *[0 if mine["outcome"] == "direct" else 1] * 2),
           f"{what}: both say so, and by their exit status")


def check(net, kinds, i, j, derp_map, files):
    met = None
    if kinds[i] in pairs.KERNEL:
        met = pairs.KERNEL[kinds[i]][j] == "+"
    what = f"{kinds[i]}, then {kinds[j]}"
    said, _ = pairs.predict(files[f"a{i}"], files[f"b{j}"])
    called, listened = pairs.meet(net, f"a{i}", f"b{j}", derp_map,
                                  "-family", "4", "-tcp=false")
    check_outcome(what, said, called, listened, met)


def check_all(kinds):
    with lab.build(pairs.sites(kinds)) as net:
        derp_map = pairs.serve(net)
        hosts = [f"{side}{i}" for side in "ab" for i in range(len(kinds))]
        files = pairs.measure_all(net, hosts, derp_map)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for i in range(len(kinds)):
                for j in range(len(kinds)):
                    pool.submit(tap.attempt, f"{kinds[i]}, {kinds[j]}", check,
                                net, kinds, i, j, derp_map, files)


# ---- other ways ----

def other_ways():
    """Two sites whose IPv4 is hopeless, but that have IPv6; a neighbour of
    the first; a site that lets no UDP out."""
    found = pairs.sites(["fully-random"], six={0})
    found["n0"] = {"kind": "host", "at": "ga0", "ip": ["10.0.2.16"],
                   "ip6": []}
    found["g-blocked"] = {
        "kind": "gateway", "at": "internet", "nat": "masquerade",
        "block": "udp", "ip": ["198.51.100.200"], "lan": "10.0.3.2/24",
        "lan6": None}
    found["blocked"] = {"kind": "host", "at": "g-blocked",
                        "ip": ["10.0.3.15"], "ip6": []}
    return found


def results(found):
    return {(c["kind"], c["address"][0] == "["): c["result"]
            for c in found["candidates"]}


def check_way(what, met, kind, wanted):
    (mine, status), (theirs, _) = met
    path = mine["path"] and mine["path"]["kind"]
    tap.eq((path, status), (kind, 0 if kind else 1), f"{what}: the way")
    tap.eq(theirs["path"] and theirs["path"]["kind"], kind,
           f"{what}: the other side's")
    got = results(mine)
    tap.ok(wanted.items() <= got.items(), f"{what}: what of each address",
           f"{got}, want {wanted}")


def check_ways():
    with lab.build(other_ways()) as net:
        derp_map = pairs.serve(net)
        flags = ("-stun", f"[{A1_6}]")
        check_way("IPv6", pairs.meet(net, "a0", "b0", derp_map, *flags),
                  "ipv6", {("local", True): "works",
                           ("local", False): "own-address",
                           ("stun", False): "not-arrived"})
        check_way("neighbours", pairs.meet(net, "a0", "n0", derp_map),
                  "local", {("local", False): "works"})
        check_way("UDP blocked", pairs.meet(net, "blocked", "b0", derp_map),
                  None, {("local", True): "no-way",
                         ("stun", False): "not-arrived"})


def main():
    if why := lab.missing(natemu=True):
        tap.skip("pairs", why)
        return tap.done()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        pool.submit(tap.attempt, "the grid", check_all, pairs.GRID)
        pool.submit(tap.attempt, "the kernel's", check_all,
                    list(pairs.KERNEL))
        pool.submit(tap.attempt, "other ways", check_ways)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
