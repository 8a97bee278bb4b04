#!/usr/bin/python3
"""natprobe_local_test: two sites behind one NAT: what natprobe says of their
private addresses, what predict makes of it, and what really happens."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile

import lab
import tap
from natprobe_test import NATPROBE, start_stund
from topologies import A1


def measure(net, name, path, *flags):
    done = net.run(name, [NATPROBE, "-stun", A1, "-family", "4", "-quiet",
                          "-json", path, *flags], timeout=60)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    with open(path) as file:
        return json.load(file)["ipv4"]


def reaches(net):
    """A packet from a to b's private address arrives."""
    with contextlib.closing(net.socket("b")) as to, \
            contextlib.closing(net.socket("a")) as x:
        x.sendto(b"hello", to.getsockname())
        to.settimeout(5)
        with contextlib.suppress(TimeoutError):
            return to.recvfrom(100)[0] == b"hello"
        return False


def predict(a, b):
    done = subprocess.run(
        [NATPROBE, "predict", "-json", a, b], text=True, capture_output=True,
        timeout=60)
    return done.returncode, json.loads(done.stdout)["ipv4"]


def neighbours(folder):
    with lab.build("neighbours") as net:
        start_stund(net)
        a, b, c = (os.path.join(folder, f"{x}.json") for x in "abc")
        for name, path in (("a", a), ("b", b)):
            said = measure(net, name, path)
            tap.eq(said["local"]["network"], "10.0.2.0/24",
                   f"{name}: its network")
            tap.eq(said["local"]["address"].partition(":")[0],
                   net.nodes[name]["ip"][0], f"{name}: its address")
        status, said = predict(a, b)
        tap.eq((status, said["outcome"], said["cause"], said["confidence"]),
               (0, "direct", "same-network", "low"), "one network: direct")
        tap.ok(reaches(net), "and it is so")
        said = measure(net, "b", c, "-no-local")
        tap.ok("local" not in said, "-no-local leaves it out", said)
        status, said = predict(a, c)
        tap.eq((status, said["cause"]), (3, "same-nat"),
               "without it, private addresses are not known")


def main():
    try:
        lab.build("neighbours").close()
    except lab.CannotBuild as error:
        tap.skip("one NAT", error)
        return tap.done()
    with tempfile.TemporaryDirectory() as folder:
        tap.attempt("neighbours", neighbours, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
