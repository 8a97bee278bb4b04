#!/usr/bin/python3
# tests/run: limit=180 peers
"""tailscaled_test: real tailscaleds behind NATs, with coordd, relayd and stund,
go the way that `natprobe predict` says and that two natprobes in pair mode
found: a sample of kinds, of the kernel's and of natemu's."""

import concurrent.futures
import json
import os
import sys

import lab
import pairs
import tailnet
import tap

# Two sites of each, one of which calls, and is called.
KINDS = ["masquerade", "fully-random", "eim-adf", "apdm-apdf"]
TRIED = [("a0", "b0"), ("a0", "b1"), ("a1", "b2"), ("a3", "b3"),
         ("a2", "b0"), ("a0", "b3")]


def kind_of(host):
    return KINDS[int(host[1:])]


def ask_tailscaled(net, host):
    """natprobe without any server named, where a tailscaled is."""
    done = net.run(host, [pairs.NATPROBE, "-tailscaled",
                          f"{net.dir}/{host}.ts", "-quiet", "-json", "-"],
                   timeout=60)
    said = json.loads(done.stdout or "{}")
    tap.eq(said.get("map"), "tailscaled", "the map is tailscaled's")
    tap.eq([relay["works"] for relay in said.get("relays", [])], [True],
           "its relay works")
    tap.eq(said.get("ipv4", {}).get("udp"), "yes", "its STUN server answers")


def try_pairs(net, say):
    """say(a, b, predicted, natprobe's, tailscaled's, what it printed)"""
    derp_map = pairs.serve(net)
    hosts = sorted({host for pair in TRIED for host in pair})
    network = tailnet.Tailnet(net, derp_map)
    files = pairs.measure_all(net, hosts, derp_map, 4)
    network.join_all(hosts)

    def one(pair):
        a, b = pair
        said, _ = pairs.predict(files[a], files[b])
        (mine, _), _ = pairs.meet(net, a, b, derp_map, "-family", "4")
        went, printed = network.ping(a, b)
        say(a, b, said["ipv4"]["outcome"], mine["outcome"], went, printed)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for pair in TRIED:
            pool.submit(tap.attempt, str(pair), one, pair)
    tap.attempt("its map", ask_tailscaled, net, hosts[0])
    network.close()


def check(a, b, predicted, natprobe, tailscaled, printed):
    what = f"{kind_of(a)} calls {kind_of(b)}: predicted, {predicted}"
    tap.eq(natprobe, pairs.FIRST.get(predicted), f"{what}; two natprobes")
    tap.ok(tailscaled == pairs.FIRST.get(predicted),
           f"{what}; two tailscaleds", f"{tailscaled}: {printed}")


def main():
    if not os.path.exists(tailnet.TAILSCALED):
        tap.skip("tailscaleds", f"no {tailnet.TAILSCALED}: make peers")
        return tap.done()
    try:
        with lab.build(pairs.sites(KINDS)) as net:
            try_pairs(net, check)
    except lab.CannotBuild as error:
        tap.skip("tailscaleds", error)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
