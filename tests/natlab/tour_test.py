#!/usr/bin/python3
# tests/run: limit=120
"""tour_test: a robot is carried through three buildings with a NAT each, runs
natprobe in each of them, and the page of `natprobe report` then knows them."""

import html
import json
import os
import re
import subprocess
import sys

import lab
import tap
from natprobe_test import NATPROBE, start_stund
from topologies import A1

SITES = {"site-1": ("endpoint-independent", "address-and-port-dependent"),
         "site-2": ("address-and-port-dependent",
                    "address-and-port-dependent"),
         "site-3": ("endpoint-independent", "address-dependent")}


def visit(net, site, folder):
    if net.nodes["a"]["at"] != site:
        net.move("a", site)
    done = net.run("a", [
        NATPROBE, "-stun", A1, "-family", "4", "-building", site, "-quiet",
        "-json", os.path.join(folder, f"{site}.json")], timeout=60)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    with open(os.path.join(folder, f"{site}.json"), encoding="utf-8") as f:
        said = json.load(f)
    tap.eq((said["building"], said["ipv4"]["mapping"]["verdict"],
            said["ipv4"]["filtering"]["verdict"]), (site, *SITES[site]),
           f"{site}: what its NAT does")
    return said["ipv4"]["mapping"]["external"].rpartition(":")[0]


def check_report(folder):
    page = os.path.join(folder, "page.html")
    done = subprocess.run([NATPROBE, "report", folder, "-o", page], text=True,
                          capture_output=True, timeout=60)
    tap.eq((done.returncode, done.stderr), (0, ""), "report: of all results")
    with open(page, encoding="utf-8") as f:
        text = html.unescape(re.sub(r"<[^>]*>", " ", f.read()))
    tap.ok(all(site in text for site in SITES), "report: names the buildings")
    for a, b, outcome in (("site-1", "site-2", "relay"),
                          ("site-1", "site-3", "direct"),
                          ("site-2", "site-3", "direct")):
        said = subprocess.run(
            [NATPROBE, "predict", "-json", f"{folder}/{a}.json",
             f"{folder}/{b}.json"], capture_output=True, timeout=60)
        tap.eq(json.loads(said.stdout)["outcome"].partition("-")[0], outcome,
               f"predict: {a} and {b}")


def main():
    try:
        net = lab.build("roaming")
    except lab.CannotBuild as error:
        tap.skip("a tour", error)
        return tap.done()
    with net:
        start_stund(net)
        folder = str(net.dir / "results")
        os.mkdir(folder)
        outside = [visit(net, site, folder) for site in SITES]
        tap.eq(len(set(outside)), 3, "each building has its own address")
        check_report(folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
