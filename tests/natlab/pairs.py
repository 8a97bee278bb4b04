#!/usr/bin/python3
"""pairs: two sites behind NATs of all kinds, a relay and a STUN server; what is
predicted of each pair, what two natprobes find out in pair mode, and what two
tailscaleds do.

usage: tests/natlab/pairs.py >docs/nat-pairs.md

Needs root, and what `make all natemu peers` builds.
"""

import concurrent.futures
import json
import os
import subprocess
import sys

import lab
from topologies import A1, A1_6, A2, server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BUILT = f"{TOP}/build/release"
NATPROBE = os.environ.get("NATPROBE", f"{BUILT}/natprobe")
STUND = os.environ.get("STUND", f"{BUILT}/stund")
RELAYD = os.environ.get("RELAYD", f"{BUILT}/relayd")

# RFC 4787's nine kinds of mapping and filtering, of natemu.
RULES = ("ei", "ad", "apd")
GRID = [f"{m}m-{f}f" for m in RULES for f in RULES]
# The kernel's, and with which of them each meets if it sends first.
KERNEL = {"one-to-one": "+++++", "one-to-one-remembering": "+++++",
          "masquerade": "+++--", "masquerade-accept": "+++--",
          "fully-random": "++---"}
# What a prediction says if A sends first, as the one who calls does.
FIRST = {"direct": "direct", "direct-if-a-first": "direct",
         "direct-if-b-first": "relay", "unreliable": "relay",
         "relay": "relay"}


def sites(kinds, six=()):
    """A gateway of each kind at both sides, a robot behind each; six: those
    with IPv6."""
    found = {"server": server()}
    for side, base in (("a", 10), ("b", 100)):
        for i, kind in enumerate(kinds):
            n = base + i
            nat = {"kernel": kind} if kind in KERNEL else kind
            found[f"g{side}{i}"] = {
                "kind": "gateway", "at": "internet", "nat": nat,
                "ip": [f"198.51.100.{n}"], "lan": "10.0.2.2/24",
                "lan6": f"2001:db8:{n}::1/64" if i in six else None}
            found[f"{side}{i}"] = {
                "kind": "host", "at": f"g{side}{i}", "ip": ["10.0.2.15"],
                "ip6": [f"2001:db8:{n}::15"] if i in six else []}
    return found


def serve(net):
    """Starts relayd and stund; returns the file of the DERP map."""
    derp_map = net.dir / "derpmap.json"
    certs = net.dir / "certs"
    certs.mkdir(mode=0o700)
    net.popen("server", [
        STUND, "-listen", f"{A1}:3478", "-alternate", f"{A2}:3479",
        "-log", "error"])
    net.popen("server", [
        STUND, "-listen", f"[{A1_6}]:3478", "-log", "error"])
    net.popen("server", [
        RELAYD, "-a", f"{A1}:3443", "-hostname", A1, "-certmode", "manual",
        "-certdir", certs, "-c", net.dir / "relay.key", "-http-port", "-1",
        "-stun=false", "-stun-port", "3478", "-derp-map", derp_map],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_there():
        try:
            return json.loads(derp_map.read_text())
        except (OSError, ValueError):
            return False
    lab.wait_for(is_there, "relayd's map")
    lab.wait_for(lambda: lab.listens(net, "server", 3478), "stund")
    return derp_map


def measure(net, host, derp_map):
    """The file of a plain result."""
    file = net.dir / f"{host}.json"
    done = net.run(host, [NATPROBE, "-map", derp_map, "-relays=false",
                          "-stun", f"[{A1_6}]", "-quiet",
                          "-building", host, "-json", file], timeout=120)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{host}: status {done.returncode}: {done.stderr}")
    return file


def measure_all(net, hosts, derp_map, at_once=6):
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return dict(zip(hosts, pool.map(
            lambda host: measure(net, host, derp_map), hosts)))


def predict(a, b):
    """The prediction, and its exit status."""
    done = subprocess.run([NATPROBE, "predict", "-json", a, b], text=True,
                          capture_output=True, timeout=60)
    if done.stderr:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout), done.returncode


class Listener:
    """natprobe -listen: its key, and its result at the end."""

    def __init__(self, net, host, derp_map, *flags):
        self.child = net.popen(
            host, [NATPROBE, "-listen", "-map", derp_map, "-quiet", "-json",
                   "-", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        word, _, self.key = self.child.stderr.readline().strip().partition(" ")
        if word != "KEY":
            raise RuntimeError(f"no key: {word} {self.key}"
                               + self.child.stderr.read())

    def end(self):
        out, errors = self.child.communicate(timeout=60)
        if not out:
            raise RuntimeError(f"{host_of(self.child)}: {errors}")
        return json.loads(out)["pair"], self.child.returncode


def host_of(child):
    return " ".join(map(str, child.args))


def call(net, host, derp_map, key, *flags):
    done = net.run(host, [NATPROBE, "-peer", key, "-map", derp_map, "-quiet",
                          "-json", "-", *flags], timeout=60)
    if not done.stdout:
        raise RuntimeError(f"{host}: {done.stderr}")
    return json.loads(done.stdout)["pair"], done.returncode


def meet(net, a, b, derp_map, *flags):
    """Pair mode: b listens, a calls. Both results, each with its status."""
    listener = Listener(net, b, derp_map, *flags)
    called = call(net, a, derp_map, listener.key, *flags)
    return called, listener.end()


# ---- docs/nat-pairs.md ----

HEAD = """# Which NATs let two hosts reach each other

Made by `tests/natlab/pairs.py` in the NAT laboratory; do not edit. Two sites, each behind a NAT of its own; the one in the
row calls the one in the column ([tests/natlab](../tests/natlab/README.md) says what each kind is). Each cell has

- what `natprobe predict` says from the results of both sites: **D** direct, **R** relay, **A** or **B** direct if that
  one sends first (A is the row; it does send first here, since it calls), **U** only if the first packets happen to cross,
  which they do not here;
- what two natprobes in pair mode found, `-peer` at the row, `-listen` at the column: **d** direct, **r** relay;
- what two real tailscaleds do (`tailscale ping --until-direct`, v1.102.5): **d** or **r**.

A cell in bold is one where what happens is not what is predicted.
"""

NOTES = """
What the tables teach beyond the rules in [natprobe.md](natprobe.md#what-predict-writes):

- A NAT with a mapping of its own for each destination (`adm`, `apdm`) but an open filter (`eif`) answers by the port that a
  packet came to. So who filters by port reaches it, but must send first if its own port is always the same: once the
  open one has sent to that port, its answers leave by another.
- `masquerade-accept` takes an early packet for its own. So it must send first to who filters by port.
"""

LETTERS = {"direct": "D", "relay": "R", "direct-if-a-first": "A",
           "direct-if-b-first": "B", "unreliable": "U", "unknown": "?"}


def all_pairs(kinds):
    """{(i, j): (predicted, natprobe's, tailscaled's)}"""
    import tailnet
    found = {}
    with lab.build(sites(kinds)) as net:
        derp_map = serve(net)
        hosts = [f"{side}{i}" for side in "ab" for i in range(len(kinds))]
        files = measure_all(net, hosts, derp_map)
        network = tailnet.Tailnet(net, derp_map)
        network.join_all(hosts)

        def one(i, j):
            a, b = f"a{i}", f"b{j}"
            said, _ = predict(files[a], files[b])
            (mine, _), _ = meet(net, a, b, derp_map, "-family", "4",
                                "-tcp=false")
            return (said["ipv4"]["outcome"], mine["outcome"],
                    network.ping(a, b)[0])

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            tried = {(i, j): pool.submit(one, i, j)
                     for i in range(len(kinds)) for j in range(len(kinds))}
            found = {key: value.result() for key, value in tried.items()}
        network.close()
    return found


def cell(predicted, natprobe, tailscaled):
    text = f"{LETTERS[predicted]} {natprobe[0]} {tailscaled[0]}"
    right = is_right(predicted, natprobe, tailscaled)
    return text if right else f"**{text}**"


def is_right(predicted, natprobe, tailscaled):
    return natprobe == tailscaled == FIRST.get(predicted)


def table(kinds):
    found = all_pairs(kinds)
    right = sum(is_right(*value) for value in found.values())
    print(f"\n{right} of {len(found)} ordered pairs are as predicted, for "
          "natprobe and for tailscaled.")
    print("\n| calls, to: | " + " | ".join(f"`{k}`" for k in kinds) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for i, kind in enumerate(kinds):
        print(f"| `{kind}` | " + " | ".join(
            cell(*found[i, j]) for j in range(len(kinds))) + " |")


def main():
    print(HEAD, end="")
    print("\n## RFC 4787's nine kinds, of natemu")
    table(GRID)
    print("\n## Five kinds of the Linux kernel's")
    table(list(KERNEL))
    print(NOTES, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
