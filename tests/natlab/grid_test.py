#!/usr/bin/python3
# tests/run: limit=120
"""grid_test: natemu is what its knobs say, seen through real sockets: every
mapping x filtering x port assignment, every hairpin with each mapping and with
each filtering, and every filtering in IPv6."""

import sys

import grid
import lab
import tap
from kinds import RULES, USER

PORTS = ("preserve", "sequential", "random", "block")
HAIRPINS = ("none", "external-source", "internal-source")


def check_kind(mapping, filtering, ports):
    def case(worker):
        # A hole between blocks, so that they differ from a sequence.
        worker.become(mapping=RULES[mapping], filtering=RULES[filtering],
                      ports=ports, block_size=256)
        prober = worker.prober
        tap.eq((prober.mapping(), prober.filtering(), prober.ports(6)),
               (mapping, filtering, ports),
               f"mapping {mapping}, filtering {filtering}, ports {ports}")
    return case


def check_hairpin(hairpin, mapping, filtering):
    def case(worker):
        worker.become(mapping=RULES[mapping], filtering=RULES[filtering],
                      hairpin=hairpin, ports="random")
        tap.eq(worker.prober.hairpin(), hairpin,
               f"hairpin {hairpin}, mapping {mapping}, filtering {filtering}")
    return case


def check_six(filtering):
    def case(worker):
        worker.become(filtering=RULES[filtering])
        prober = worker.prober6
        tap.eq((prober.mapping(), prober.filtering()), ("none", filtering),
               f"IPv6: no mapping, filtering {filtering}")
    return case


# Kinds whose names do not say it: mapping, filtering, ports, hairpin.
NAMED = {"rfc": ("ei", "ad", "preserve", "external-source"),
         "like-masquerade": ("ei", "apd", "preserve", "none"),
         "like-masquerade-accept": ("ei", "apd", "preserve", "none"),
         "cgn": ("ei", "ei", "block", "external-source"),
         "symmetric-sequential": ("apd", "apd", "sequential", "none"),
         "line": ("none", "ei", "preserve", None)}


def check_named(name):
    def case(worker):
        worker.become(**USER[name])
        prober = worker.prober
        if name == "line":  # this gateway's network is not routed
            prober = worker.prober6
        mapping, filtering, ports, hairpin = NAMED.get(name) or (
            *(part[:-1] for part in name.split("-")), "random", "none")
        tap.eq((prober.mapping(), prober.filtering(), prober.ports(6)),
               (mapping, filtering, ports), f"kind {name}")
        if hairpin and (mapping == "ei" or filtering == "ei"):
            tap.eq(prober.hairpin(), hairpin, f"kind {name}: hairpin")
        if name.startswith("like-masquerade"):
            tap.eq(prober.collides(), (True, False),
                   f"kind {name}: a second host's port")
    return case


def main():
    cases = [check_kind(m, f, p) for m in RULES for f in RULES for p in PORTS]
    # What filters must be opened from inside, which needs a mapping that is
    # known beforehand.
    cases += [check_hairpin(h, m, f) for h in HAIRPINS for m in RULES
              for f in RULES if "ei" in (m, f)]
    cases += [check_six(f) for f in RULES]
    cases += [check_named(name) for name in USER]
    try:
        with grid.workers() as workers:
            tap.in_threads(cases, workers)
    except lab.CannotBuild as error:
        tap.skip("the grid", error)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
