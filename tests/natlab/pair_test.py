#!/usr/bin/python3
# tests/run: limit=180
"""pair_test: what `natprobe predict` says of two sites is what two natprobes
in pair mode find out: each of RFC 4787's nine kinds of mapping and filtering
with each, 81 ordered pairs, and five kinds of the kernel's NAT, 25."""

import concurrent.futures
import sys

import lab
import pairs
import tap

AT_ONCE = 24


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
                                  "-family", "4")
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


def main():
    try:
        check_all(pairs.GRID)
        check_all(list(pairs.KERNEL))
    except lab.CannotBuild as error:
        tap.skip("pairs", error)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
