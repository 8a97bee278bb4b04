"""grid: some gateways with natemu beside each other, each with two robots, and
probers for them; for tests that try many kinds of NAT."""

import contextlib

import lab
import tap
from prober import Prober
from topologies import A1, A1_6, A2, A2_6, server

WORKERS = 4


def nodes(n=WORKERS):
    found = {"server": server()}
    for i in range(n):
        found[f"g{i}"] = {
            "kind": "gateway", "at": "internet", "nat": {}, "lan": "10.0.2.2/24",
            "ip": [f"198.51.100.{10 * i + 10}", f"198.51.100.{10 * i + 11}"],
            "lan6": f"2001:db8:{i + 1}::1/64"}
        for name, last in (("a", 15), ("b", 16)):
            found[f"{name}{i}"] = {
                "kind": "host", "at": f"g{i}", "ip": [f"10.0.2.{last}"],
                "ip6": [f"2001:db8:{i + 1}::{last}"]}
    return found


class Worker:
    """One gateway, its NAT, and a prober for each family."""

    def __init__(self, net, i):
        self.net, self.i = net, i
        self.a, self.b = f"a{i}", f"b{i}"
        self.nat = net.nat(f"g{i}")
        self.plain = self.nat.knobs()
        self.external = net.nodes[f"g{i}"]["ip"]
        self.prober = Prober(net, self.a, self.b, 3000 + 10 * i, (A1, A2))
        self.prober6 = Prober(net, self.a, self.b, 3000 + 10 * i,
                              (A1_6, A2_6))

    def become(self, **knobs):
        """A new NAT with those knobs."""
        self.nat.set(**{**self.plain, **knobs})
        self.nat.flush()

    def close(self):
        self.prober.close()
        self.prober6.close()


@contextlib.contextmanager
def workers(n=WORKERS):
    with lab.build(nodes(n)) as net:
        found = [Worker(net, i) for i in range(n)]
        try:
            yield found
        finally:
            for worker in found:
                worker.close()


def run_cases(what, cases):
    """A test's main: each case with a worker, in threads, in their order."""
    try:
        with workers() as found:
            tap.in_threads(cases, found)
    except lab.CannotBuild as error:
        tap.skip(what, error)
    return tap.done()
