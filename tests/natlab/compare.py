#!/usr/bin/python3
"""compare: what natprobe and other tools say of the same NATs, side by side.

usage: tests/natlab/compare.py >docs/nat-tools.md

Needs root, coturn's and Debian's STUN clients, and what `make all natemu
peers` builds. All ask the same server, stund with two addresses, which gives
each of them all that it asks for.
"""

import concurrent.futures
import contextlib
import json
import re
import sys
import time

import lab
import netcheck
import timing
from natprobe_test import NAMES, NATPROBE, STUND, cases, nodes
from topologies import A1, A2

SHORT = {v: k for k, v in NAMES.items()}
WORDS = {"ei": "EI", "ad": "AD", "apd": "APD", "pd": "PD", "none": "no NAT"}

HEAD = """# What tools say of the same NAT

Made by `tests/natlab/compare.py` in the NAT laboratory; do not edit. Each row is a kind of NAT
([tests/natlab](../tests/natlab/README.md) says what each is), the first column what it does: mapping, filtering. EI is
endpoint-independent, AD address-dependent, APD address- and port-dependent, PD port-dependent (RFC 4787). All tools ask the
same stund, which has two addresses and answers each of them in full. **Bold** is wrong; `-` is what a tool does not
tell.

- natprobe: `natprobe -stun SERVER`.
- netcheck: `tailscale netcheck`, v1.102.5, with one server address, and with both: `MappingVariesByDestIP`.
- natdiscovery: coturn's `turnutils_natdiscovery -m -f`.
- stun: Debian's `stun`, which speaks RFC 3489.

| kind | truth | natprobe | netcheck, one server | netcheck, two servers | natdiscovery | stun |
|---|---|---|---|---|---|---|
"""


TIME = f"""
## Time on a path of {2 * timing.EACH_WAY_MS} ms

Made by `tests/natlab/timing.py`, {timing.ROUNDS} rounds in turns; `make bench` does it again. netcheck asks whether a
mapping varies and how far servers are; natprobe asks for mapping, filtering, ports and early packets, from some 90
sockets.

"""


def run(net, where, *words):
    began = time.monotonic()
    done = net.run(where, list(words), timeout=90)
    return done.stdout + done.stderr, time.monotonic() - began


def natprobe(net, where, _):
    said, took = run(net, where, NATPROBE, "-stun", A1, "-family", "4",
                     "-quiet", "-json", "-")
    said = json.loads(said)["ipv4"]

    def short(part):
        return SHORT.get(said[part]["verdict"], "-")
    return (short("mapping"), short("filtering")), took


def varies(tool):
    def ask(net, where, _):
        said, took = run(net, where, *netcheck.words(api_of(net, tool)))
        found = netcheck.report(said)["MappingVariesByDestIP"]
        return json.dumps(found), took
    return ask


def api_of(net, tool):
    return net.dir / f"{len(timing.NETCHECKS[tool])}-servers"


def natdiscovery(net, where, ip):
    """-L: without the own address it can not tell "no NAT"."""
    words = {"Endpoint Independent": "ei", "Address Dependent": "ad",
             "Address and Port Dependent": "apd"}
    said, took = run(net, where, "turnutils_natdiscovery", "-m", "-f", "-L",
                     ip, A1)
    found = ["-", "-"]
    for name, short in words.items():
        if re.search(rf"NAT with {name} Mapping!", said):
            found[0] = short
        if re.search(rf"NAT with {name} Filtering!", said):
            found[1] = short
    if "No NAT" in said:
        found[0] = "none"
    return tuple(found), took


def stun(net, where, _):
    said, took = run(net, where, "stun", A1, "-v")
    text = re.search(r"Primary: (.*)", said)
    text = text[1] if text else ""
    if "Open" in text:
        return ("none", "ei"), took
    mapping = "ei" if "Independent Mapping" in text else \
        "dependent" if "Dependent Mapping" in text else \
        "none" if "Firewall" in text else "-"
    filtering = "ei" if "Independent Filter" in text else \
        "ad" if "Address Dependent Filter" in text else \
        "apd" if "Port Dependent Filter" in text else "-"
    return (mapping, filtering), took


TOOLS = {"natprobe": natprobe,
         **{tool: varies(tool) for tool in timing.NETCHECKS},
         "natdiscovery": natdiscovery, "stun": stun}


def shown(tool, said, truth):
    """A cell: what is wrong in bold."""
    if tool.startswith("netcheck"):
        if said == "null":
            return "-"
        right = (said == "true") == (truth[0] in ("ad", "apd"))
        return said if right else f"**{said}**"
    cells = []
    for what, right in zip(said, truth):
        if what == "-":
            cells.append("-")
        elif what == "dependent":
            ok = right in ("ad", "apd", "pd")
            cells.append("dependent" if ok else "**dependent**")
        else:
            word = WORDS[what]
            cells.append(word if what == right else f"**{word}**")
    return ", ".join(cells)


def main():
    found = list(cases())
    rows, took = {}, {tool: [] for tool in TOOLS}
    with lab.build(nodes(found)) as net, contextlib.ExitStack() as apis:
        for tool, servers in timing.NETCHECKS.items():
            apis.enter_context(
                netcheck.local_api(api_of(net, tool), servers))
        net.popen("server", [
            STUND, "-listen", f"{A1}:3478", "-alternate", f"{A2}:3479",
            "-behaviour", "always", "-classic", "-gated-rate", "1000",
            "-log", "error"])
        lab.wait_for(lambda: lab.listens(net, "server", 3478),
                     "stund to listen")

        def row(i):
            kind, _, truth = found[i]
            cells = {}
            # natprobe last: it uses most ports, and a NAT with few of them
            # would not be the same afterwards.
            for tool in reversed(TOOLS):
                said, seconds = TOOLS[tool](net, f"a{i}",
                                            net.nodes[f"a{i}"]["ip"][0])
                took[tool].append(seconds)
                cells[tool] = shown(tool, said, truth[:2])
            rows[i] = [f"`{kind}`", ", ".join(WORDS[t] for t in truth[:2]),
                       *(cells[tool] for tool in TOOLS)]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(row, i) for i in range(len(found))]:
                done.result()
    print(HEAD, end="")
    for i in sorted(rows):
        print("| " + " | ".join(rows[i]) + " |")
    medians = [sorted(took[tool])[len(took[tool]) // 2] for tool in TOOLS]
    print("| median time | | " + " | ".join(f"{m:.1f} s" for m in medians)
          + " |")
    print(TIME, end="")
    print(timing.table(timing.measure(timing.ROUNDS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
