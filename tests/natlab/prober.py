"""prober: what a NAT does, told by sockets on both sides of it. For the tests
of the laboratory itself: it knows both ends, so it needs no protocol and no
waiting. Whether a packet was dropped is known when one that was sent after it,
on the same way, has come."""

import collections
import random
import select
import socket
import time

PATIENCE = 10.0
# The server's four endpoints, by RFC 5780's words: primary and alternate
# address, primary and alternate port.
PP, PA, AP, AA = range(4)


class Inconclusive(Exception):
    """This machine was too slow for what was to be measured."""


class Silence(Exception):
    """A packet that had to come did not."""


class Prober:
    """Robots a and b of one gateway, and four sockets of the server."""

    def __init__(self, net, a, b, port, ips):
        self.net, self.a, self.b = net, a, b
        self.six = ":" in ips[0]
        self.server = [net.socket("server", ip=ip, port=p)
                       for ip in ips for p in (port, port + 1)]
        self.open = list(self.server)
        self.count = 0

    def close(self):
        for s in self.open:
            s.close()

    # -- packets --

    def ip(self, host):
        return self.net.nodes[host]["ip6" if self.six else "ip"][0]

    def socket(self, host=None, port=0):
        """A new socket of a robot; a random port that this NAT has not seen."""
        while True:
            try:
                s = self.net.socket(
                    host or self.a, ip=self.ip(host or self.a),
                    port=port or random.randrange(32768, 61000))
            except OSError:
                if port:
                    raise
                continue
            self.open.append(s)
            return s

    def drop(self, *sockets):
        for s in sockets:
            self.open.remove(s)
            s.close()

    def tag(self):
        self.count += 1
        return b"%d" % self.count

    def out(self, x, role=PP):
        """x -> server; returns the source that the server sees."""
        tag = self.tag()
        x.sendto(tag, self.server[role].getsockname())
        return self.receive(self.server[role], tag)

    def out_arrives(self, x, role=PP):
        """Does a packet of x arrive there? None, or the source."""
        tag = self.tag()
        x.sendto(tag, self.server[role].getsockname())
        self.came(x, [])
        s = self.server[role]
        while select.select([s], [], [], 0)[0]:
            data, source = s.recvfrom(65535)
            if data == tag:
                return source[:2]
        return None

    def receive(self, s, tag):
        """The source of the packet with that tag; others are thrown away."""
        s.settimeout(PATIENCE)
        while True:
            try:
                data, source = s.recvfrom(65535)
            except ConnectionError:
                continue  # an ICMP error about an earlier one
            except TimeoutError:
                raise Silence(f"{s.getsockname()} waits for {tag}") from None
            if data == tag:
                return source[:2]

    def into(self, to, roles):
        """Server -> to, from each role in turn; returns their tags."""
        tags = []
        for role in roles:
            tag = self.tag()
            self.server[role].sendto(tag, to)
            tags.append(tag)
        return tags

    def came(self, x, tags, control=None):
        """Which of the tags have come to x, when packets sent later have come
        to a socket that is reached for sure."""
        for _ in range(2):
            y = control or self.socket()
            seen = self.out(y)
            self.receive(y, self.into(seen, [PP])[0])
            if control is None:
                self.drop(y)
        found = {}
        while select.select([x], [], [], 0)[0]:
            try:
                data, source = x.recvfrom(65535)
            except ConnectionError:
                continue
            found[data] = source[:2]
        return [found.get(tag) for tag in tags]

    # -- verdicts --

    def mapping(self):
        x = self.socket()
        m = {role: self.out(x, role) for role in (PP, AP, AA, PA)}
        own = x.getsockname()[:2]
        self.drop(x)
        if all(v == own for v in m.values()):
            return "none"
        same = {(a, b) for a in m for b in m if m[a] == m[b]}
        if len(same) == 16:
            return "ei"
        if len(same) == 4:
            return "apd"
        if (PP, PA) in same and (AP, AA) in same and len(same) == 8:
            return "ad"
        if (PP, AP) in same and (PA, AA) in same and len(same) == 8:
            return "pd"
        return f"mixed {m}"

    def filtering(self):
        x = self.socket()
        seen = self.out(x)
        tags = self.into(seen, [AA, AP, PA, PP])
        aa, ap, pa, pp = map(bool, self.came(x, tags))
        self.drop(x)
        if not pp:
            return "closed"
        return {(True, True, True): "ei", (False, False, True): "ad",
                (False, True, False): "pd", (False, False, False): "apd",
                }.get((aa, ap, pa), f"mixed {aa, ap, pa}")

    def ports(self, n=16):
        """How external ports are chosen, from sockets of two hosts in turn."""
        base = random.randrange(20000, 30000)
        pairs = collections.defaultdict(list)
        order = []
        for i in range(n):
            for host, first in ((self.a, base), (self.b, base + 1000)):
                x = self.socket(host, first + i)
                seen = self.out(x)
                self.drop(x)
                pairs[host].append((first + i, seen))
                order.append(seen[1])
        if all(local == seen[1] for p in pairs.values() for local, seen in p):
            return "preserve"
        if all(b - a == 1 for a, b in zip(order, order[1:])):
            return "sequential"
        each = [[seen[1] for _, seen in p] for p in pairs.values()]
        if all(b - a == 1 for p in each for a, b in zip(p, p[1:])):
            return "block"
        if len(set(order)) == len(order) and \
                max(order) - min(order) > 10 * len(order):
            return "random"
        return f"mixed {order}"

    def addresses(self, servers=(), n=16):
        """How many external addresses the sockets of a get, seen by that many
        at the server, and by its addresses in the list."""
        found = set()
        for ip in [None] * n + list(servers):
            x = self.socket()
            if ip is None:
                found.add(self.out(x)[0])
            else:
                y = self.net.socket("server", ip=ip)
                tag = self.tag()
                x.sendto(tag, y.getsockname())
                found.add(self.receive(y, tag)[0])
                y.close()
            self.drop(x)
        return len(found)

    def hairpin(self):
        """b sends to a by a's external endpoint, which a has opened for b."""
        x, z = self.socket(), self.socket(self.b)
        mx, mz = self.out(x), self.out(z)
        x.sendto(b"opens", mz)
        tag = self.tag()
        z.sendto(tag, mx)
        source, = self.came(x, [tag])
        own = z.getsockname()[:2]
        self.drop(x, z)
        if source is None:
            return "none"
        if source == own:
            return "internal-source"
        # Where the mapping depends on the remote, its port is another one.
        return "external-source" if source[0] == mz[0] else f"from {source}"

    def poisoned(self):
        """An early packet from AA changes what the mapping to AA is."""
        x = self.socket()
        before = self.out(x)
        self.came(x, self.into(before, [AA]))
        after = self.out(x, AA)
        self.drop(x)
        return after != before

    def collides(self):
        """The same port on a second host: it has a mapping of its own for the
        server that the first one talks with, only."""
        port = random.randrange(32768, 61000)
        x, z = self.socket(self.a, port), self.socket(self.b, port)
        mx = self.out(x)
        other, same = self.out(z, AA), self.out(z, PP)
        self.drop(x, z)
        return (other == mx, same == mx)

    # -- lifetimes --

    def alive_after(self, x, seen, touched, age, ttl):
        """Is x still reached at that age (seconds since `touched`, an
        interval), and should it be, if the lifetime is ttl? Inconclusive if
        this machine cannot tell on which side of ttl it was."""
        before, after = touched
        time.sleep(max(0.0, after + age - time.monotonic()))
        sent = time.monotonic()
        tags = self.into(seen, [PP])
        alive = self.came(x, tags)[0] is not None
        least = sent - after
        most = time.monotonic() - before
        if least < ttl < most:
            raise Inconclusive(f"age {least:.3f} to {most:.3f}, ttl {ttl}")
        return alive, most < ttl

    def touch(self, x, inbound=False, seen=None):
        """A packet out, and maybe one in; the time in which it happened."""
        before = time.monotonic()
        seen = self.out(x)
        if inbound:
            self.receive(x, self.into(seen, [PP])[0])
        return (before, time.monotonic()), seen

    def lives(self, ttl, inbound=False, steps=(0.5, 0.75, 0.9, 1.1, 1.3)):
        """A ladder of sockets: is every one alive before ttl, and dead after?
        Returns what was wrong."""
        wrong, told = [], set()
        opened = []
        for part in steps:
            x = self.socket()
            opened.append((x, part, *self.touch(x, inbound)))
        for x, part, touched, seen in opened:
            try:
                alive, should = self.alive_after(
                    x, seen, touched, part * ttl, ttl)
            except Inconclusive:
                continue
            finally:
                self.drop(x)
            told.add(should)
            if alive != should:
                wrong.append(f"{'alive' if alive else 'dead'} at about "
                             f"{part} of {ttl} s")
        if len(told) < 2:
            raise Inconclusive("not seen on both sides of the end")
        return wrong

    def refreshes(self, ttl):
        """Which directions keep a mapping alive: packets of one direction
        every third of ttl, twice as long. Afterwards it is looked at."""
        found = []
        for direction in ("out", "in"):
            x = self.socket()
            touched, seen = self.touch(x, inbound=True)
            for _ in range(6):
                last = touched
                time.sleep(max(0.0, touched[1] + ttl / 3 - time.monotonic()))
                before = time.monotonic()
                if direction == "out":
                    x.sendto(self.tag(), self.server[PP].getsockname())
                    # Not x itself: its answer would refresh, too.
                    self.came(x, [])
                else:
                    tags = self.into(seen, [PP])
                    self.came(x, tags)
                touched = (before, time.monotonic())
                if touched[1] - last[0] > ttl:
                    raise Inconclusive("a refresh was late")
            tags = self.into(seen, [PP])
            if self.came(x, tags)[0]:
                found.append(direction)
            if time.monotonic() - touched[0] > ttl:
                raise Inconclusive("the last look was late")
            self.drop(x)
        return "+".join(found)
