#!/usr/bin/python3
"""stund_partner_test: two stunds with one address each answer as one server of
RFC 5780. Prints TAP.

The program is $STUND (default build/release/stund). The two have addresses of
127.0.0.0/8 and, where a test needs that, a network between them that records,
repeats, changes and loses what they say to each other.
"""

import contextlib
import os
import pathlib
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import stundc
from stundc import LIMIT, Skip, attribute, attributes_of, message, udp

CHANGE_IP, CHANGE_PORT = 4, 2
OTHER_ADDRESS, RESPONSE_ORIGIN = 0x802C, 0x802B

# An attribute that may be skipped: the answer has room for all addresses.
ROOM = attribute(0xC0DE, bytes(120))


def change(flags, more=b""):
    return message(attributes=attribute(0x0003, struct.pack(">I", flags)) +
                   more + ROOM)


def address(value):
    ip = socket.inet_ntop({1: socket.AF_INET, 2: socket.AF_INET6}[value[1]],
                          value[4:])
    return ip, struct.unpack_from(">H", value, 2)[0]


def other_address(answer):
    value = attributes_of(answer).get(OTHER_ADDRESS)
    return value and address(value)


def error_of(answer):
    """The code of an error response and the unknown types it lists."""
    found = attributes_of(answer)
    if 0x0009 not in found:
        return None
    listed = found.get(0x000A, b"")
    return (found[0x0009][2] * 100 + found[0x0009][3],
            list(struct.unpack(f">{len(listed) // 2}H", listed)))


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not (result := condition()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
    return result


class Stund(stundc.Stund):
    """One that a test may also kill."""

    def kill(self, how):
        self.child.send_signal(how)
        self.child.wait(LIMIT)

    def __exit__(self, kind, error, trace):
        if self.child.returncode != -signal.SIGKILL:
            super().__exit__(kind, error, trace)


class Pair:
    """Two hosts: addresses, ports, a key, and what runs there."""

    def __init__(self, stack, channel=None):
        self.stack = stack
        base = random.Random(os.getpid() ^ time.monotonic_ns())
        net = f"127.{base.randrange(2, 250)}.{base.randrange(250)}"
        self.ip = [f"{net}.{n}" for n in (11, 12)]
        self.ports = self.free_ports(base)
        # Where each host's channel is, and where it thinks the other's is.
        self.at = [(ip, self.ports[2]) for ip in self.ip]
        self.to = channel or self.at[::-1]
        self.metrics = [stundc.free_tcp_port() for _ in range(2)]
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.key = pathlib.Path(folder) / "partner.key"
        self.make_key(self.key)
        self.run = [None, None]

    @staticmethod
    def make_key(path):
        path.write_text(os.urandom(32).hex() + "\n")
        path.chmod(0o640)
        if os.geteuid() == 0:
            os.chown(path, 0, 0)

    def free_ports(self, base):
        """Below the range from which the kernel takes ports by itself."""
        while True:
            ports = [base.randrange(10000, 30000) for _ in range(3)]
            with contextlib.ExitStack() as held, \
                    contextlib.suppress(OSError):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    for ip in self.ip:
                        for port in ports:
                            s = held.enter_context(
                                socket.socket(socket.AF_INET, kind))
                            s.bind((ip, port))
                return ports

    def flags(self, host, alternate=None, key=None, more=()):
        return ["-partner", "%s:%d" % self.to[host],
                "-partner-listen", "%s:%d" % self.at[host],
                "-partner-key", str(key or self.key),
                "-partner-alternate-port", str(alternate or self.ports[1]),
                "-metrics", f"127.0.0.1:{self.metrics[host]}", *more]

    def start(self, host, listen=(), **options):
        d = Stund(*self.flags(host, **options),
                  listen=[f"{self.ip[host]}:{self.ports[0]}", *listen])
        self.run[host] = d
        return self.stack.enter_context(d)

    def kill(self, host, how=signal.SIGKILL):
        self.run[host].kill(how)

    def role(self, host, port):
        return self.ip[host], self.ports[port]

    def other(self, host):
        """OTHER-ADDRESS as the host tells it to a client, or None."""
        with udp() as s:
            return other_address(
                stundc.ask(s, self.role(host, 0), message(attributes=ROOM))[0])

    def wait_up(self, *hosts):
        for host in hosts or (0, 1):
            want = self.role(1 - host, 1)
            wait_until(lambda h=host: self.other(h) == want,
                       f"host {host} tells of {want}")

    def samples(self, host):
        return stundc.samples(
            stundc.http_get(self.metrics[host], "/metrics")[2])


@contextlib.contextmanager
def pair(start=True, **options):
    with contextlib.ExitStack() as stack:
        p = Pair(stack, **options)
        if start:
            p.start(0)
            p.start(1)
            p.wait_up()
        yield p


def ask_changed(s, p, host, request, source):
    """Asks until an answer comes: the hand-over may be lost. From where it
    comes must be `source`."""
    s.settimeout(1)
    deadline = time.monotonic() + LIMIT
    while True:
        assert time.monotonic() < deadline, f"no answer from {source}"
        s.sendto(request, p.role(host, 0))
        with contextlib.suppress(TimeoutError):
            answer, came_from = s.recvfrom(4096)
            assert answer[8:20] == request[8:20]
            assert came_from == source, (came_from, source)
            return answer


# ---- one server ----

def mapping():
    """A socket finds all four addresses by what it is told."""
    with pair() as p, udp() as s:
        for host in (0, 1):
            answer, source = stundc.ask(
                s, p.role(host, 0), message(attributes=ROOM))
            found = attributes_of(answer)
            assert source == p.role(host, 0)
            assert address(found[RESPONSE_ORIGIN]) == p.role(host, 0)
            assert address(found[OTHER_ADDRESS]) == p.role(1 - host, 1)
            for port in (0, 1):
                answer, source = stundc.ask(
                    s, p.role(host, port), message(attributes=ROOM))
                assert source == p.role(host, port)
                assert stundc.mapped(answer) == s.getsockname()
                assert other_address(answer) == p.role(1 - host, 1 - port)


def filtering():
    """CHANGE-REQUEST: the answer comes from where it should."""
    with pair() as p:
        for host in (0, 1):
            for flags, source in (
                    (CHANGE_IP | CHANGE_PORT, p.role(1 - host, 1)),
                    (CHANGE_IP, p.role(1 - host, 0)),
                    (CHANGE_PORT, p.role(host, 1)),
                    (0, p.role(host, 0))):
                with udp() as s:
                    answer = ask_changed(s, p, host, change(flags), source)
                    assert stundc.mapped(answer) == s.getsockname()
                    found = attributes_of(answer)
                    assert address(found[RESPONSE_ORIGIN]) == source
                    # As seen from where the request came to.
                    assert address(found[OTHER_ADDRESS]) == p.role(1 - host, 1)


def from_second_port():
    with pair() as p, udp() as s:
        request = change(CHANGE_IP | CHANGE_PORT)
        s.sendto(request, p.role(0, 1))
        answer, source = s.recvfrom(4096)
        assert source == p.role(1, 0), source
        assert other_address(answer) == p.role(1, 0)


def response_port():
    """To another port of the client, from the partner."""
    with pair() as p, udp() as s, udp() as other:
        port = attribute(0x0027, struct.pack(">H", other.getsockname()[1]))
        request = change(CHANGE_IP, port)
        other.settimeout(1)
        deadline = time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < deadline
            s.sendto(request, p.role(0, 0))
            with contextlib.suppress(TimeoutError):
                answer, source = other.recvfrom(4096)
                break
        assert source == p.role(1, 0) and answer[8:20] == request[8:20]
        assert stundc.mapped(answer) == s.getsockname()


def fingerprint_and_padding():
    with pair() as p, udp() as s:
        request = message(attributes=attribute(0x0003, struct.pack(">I", 4)) +
                          ROOM, fingerprint=True)
        answer = ask_changed(s, p, 0, request, p.role(1, 0))
        assert 0x8028 in attributes_of(answer)
        padded = message(attributes=attribute(0x0003, struct.pack(">I", 4)) +
                         attribute(0x0026, bytes(1000)), fingerprint=True)
        answer = ask_changed(s, p, 0, padded, p.role(1, 0))
        assert {0x0026, 0x8028} <= set(attributes_of(answer))
        assert len(answer) <= len(padded)


def classic():
    """A client of RFC 3489 asks for the other address."""
    with contextlib.ExitStack() as stack, udp() as s:
        p = Pair(stack)
        p.start(0, more=["-classic"])
        p.start(1, more=["-classic"])
        p.wait_up()
        request = message(cookie=0x31323334, attributes=attribute(
            0x0003, struct.pack(">I", CHANGE_IP | CHANGE_PORT)))
        answer = ask_changed(s, p, 0, request, p.role(1, 1))
        assert answer[4:8] == request[4:8]
        found = attributes_of(answer)
        assert address(found[0x0001]) == s.getsockname()
        assert address(found[0x0004]) == p.role(1, 1)
        assert address(found[0x0005]) == p.role(1, 1)


def small_answers():
    """A short request gets no more from the partner than from anybody."""
    with pair() as p, udp() as s:
        request = message(attributes=attribute(0x0003, struct.pack(">I", 4)))
        answer = ask_changed(s, p, 0, request, p.role(1, 0))
        assert len(answer) == 32, len(answer)


def tcp():
    """The mapping test over TCP: connect to what is told."""
    with pair() as p, socket.create_connection(p.role(0, 0), LIMIT) as c:
        c.sendall(message())
        found = attributes_of(c.recv(4096))
        assert address(found[OTHER_ADDRESS]) == p.role(1, 1)
        for port in (0, 1):
            with socket.create_connection(p.role(1, port), LIMIT) as other:
                other.sendall(message())
                assert stundc.mapped(other.recv(4096)) == \
                    other.getsockname()


def wildcard_channel():
    """-partner-listen :PORT is every address, of the partner's family."""
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        p.at[0] = ("", p.ports[2] + 1)
        p.to[1] = ("127.0.0.1", p.ports[2] + 1)
        d = p.start(0)
        d.line(rf"listening partner 0\.0\.0\.0:{p.ports[2] + 1}$")
        p.start(1)
        p.wait_up()
        d.child.send_signal(signal.SIGHUP)
        d.line("SIGHUP: the new rules and rates hold$")


def many_workers():
    """Requests are handed over from all threads, by many clients."""
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        rates = ["-workers", "4", "-source-rate", "0", "-prefix-rate", "0",
                 "-gated-rate", "0"]
        p.start(0, more=rates)
        p.start(1, more=rates)
        p.wait_up()
        waiting = {}
        for _ in range(64):
            s = stack.enter_context(udp())
            waiting[s] = change(CHANGE_IP | CHANGE_PORT)
        deadline = time.monotonic() + LIMIT
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} without answer"
            for s, request in waiting.items():
                s.sendto(request, p.role(0, 0))
            for s in select.select(list(waiting), [], [], 1)[0]:
                answer, source = s.recvfrom(4096)
                assert source == p.role(1, 1)
                assert stundc.mapped(answer) == s.getsockname()
                del waiting[s]


# ---- one is missing ----

def alone():
    """Without its partner a host is a server with one address."""
    with contextlib.ExitStack() as stack, udp() as s:
        p = Pair(stack)
        d = p.start(0)
        assert p.other(0) is None
        for flags in (CHANGE_IP, CHANGE_IP | CHANGE_PORT):
            answer, source = stundc.ask(s, p.role(0, 0), change(flags))
            assert source == p.role(0, 0)
            assert error_of(answer) == (420, [0x0003])
        ask_changed(s, p, 0, change(CHANGE_PORT), p.role(0, 1))
        d.line("partner .* does not answer")
        assert p.samples(0)['campusnet_stun_partner_up'] == 0


def killed():
    """Killed: withdrawn. Back: told again."""
    with pair() as p, udp() as s:
        for host in (0, 1):
            p.kill(1 - host)
            since = time.monotonic()
            wait_until(lambda h=host: p.other(h) is None, "withdrawn")
            print(f"# withdrawn after {time.monotonic() - since:.1f} s")
            answer, source = stundc.ask(
                s, p.role(host, 0), change(CHANGE_IP))
            assert error_of(answer) == (420, [0x0003])
            p.run[host].line("partner .* does not answer")
            p.start(1 - host)
            p.wait_up()
            ask_changed(s, p, host, change(CHANGE_IP), p.role(1 - host, 0))


def stopped():
    """Who stops in order says so: withdrawn without waiting for silence."""
    with pair() as p:
        p.kill(1, signal.SIGTERM)
        p.run[0].line("partner .* does not answer")
        assert p.samples(0)['campusnet_stun_partner_datagrams_total'
                            '{outcome="bye"}'] == 1
        assert p.other(0) is None


def restarts():
    """Each order; the other one finds it again."""
    with pair() as p, udp() as s:
        for which in ((0,), (1,), (0, 1), (1, 0)):
            for host in which:
                p.kill(host)
            for host in which:
                p.start(host)
            p.wait_up()
            ask_changed(s, p, 0, change(CHANGE_IP), p.role(1, 0))
            ask_changed(s, p, 1, change(CHANGE_IP), p.role(0, 0))


def other_ports():
    """Ports that differ: said, and nothing is promised."""
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        d = p.start(0)
        p.start(1, alternate=p.ports[2] + 1)
        d.line(f"answers, but on ports {p.ports[0]} and {p.ports[2] + 1}, and "
               f"here they are {p.ports[0]} and {p.ports[1]}")
        assert p.other(0) is None and p.other(1) is None
        assert p.samples(0)['campusnet_stun_partner_up'] == 0


def moved():
    """A partner that comes back with another address: not told, but said."""
    with pair() as p:
        p.kill(1)
        p.ip[1] = p.ip[1][:-2] + "13"
        p.start(1)
        p.run[0].line("answers, but has another address than before")
        assert p.other(0) is None


def advertised():
    """Behind a 1:1 translation clients are told the outside of both."""
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        outside = ["192.0.2.11", "192.0.2.12"]
        for host in (0, 1):
            p.start(host, more=["-advertise", f"{p.ip[host]}={outside[host]}"])
        for host in (0, 1):
            want = (outside[1 - host], p.ports[1])
            wait_until(lambda h=host, w=want: p.other(h) == w, f"{want}")
        with udp() as s:
            answer = ask_changed(s, p, 0, change(CHANGE_IP), p.role(1, 0))
            found = attributes_of(answer)
            assert address(found[RESPONSE_ORIGIN]) == (outside[1], p.ports[0])
            assert address(found[OTHER_ADDRESS]) == (outside[1], p.ports[1])


def both_families():
    """IPv4 and IPv6, where this host has two addresses of each."""
    if os.geteuid() != 0:
        raise Skip("needs root for addresses of its own")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec",
         "ip link set lo up; for n in 11 12; do"
         " ip -6 addr add fd00:5780::$n/128 dev lo nodad; done;"
         ' exec "$@"', "sh", sys.executable, __file__, "in_namespace"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=4 * LIMIT)
    if "No such file" in done.stderr and "ip" in done.stderr:
        raise Skip("no iproute2")
    assert done.returncode == 0, done.stdout + done.stderr


def in_namespace():
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        six = ["fd00:5780::11", "fd00:5780::12"]
        for host in (0, 1):
            p.start(host, listen=[f"[{six[host]}]:{p.ports[0]}"])
        p.wait_up()
        for host in (0, 1):
            origin = (six[1 - host], p.ports[1])
            with udp(socket.AF_INET6, six[host]) as s:
                s.settimeout(1)
                deadline = time.monotonic() + LIMIT
                while True:
                    assert time.monotonic() < deadline
                    s.sendto(change(CHANGE_IP | CHANGE_PORT),
                             (six[host], p.ports[0]))
                    with contextlib.suppress(TimeoutError):
                        answer, source = s.recvfrom(4096)
                        break
                assert source[:2] == origin, source
                assert stundc.mapped(answer) == s.getsockname()[:2]
                assert other_address(answer) == origin
            with udp() as s:
                ask_changed(s, p, host, change(CHANGE_IP), p.role(1 - host, 0))


def other_key():
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        wrong = p.key.with_name("wrong.key")
        p.make_key(wrong)
        d = p.start(0)
        p.start(1, key=wrong)
        d.line("is -partner-key the same on both hosts")
        d.line("partner .* does not answer")
        assert p.other(0) is None and p.other(1) is None


# ---- between them ----

class Network(threading.Thread):
    """Carries the channel's datagrams. Each host has its own end of it."""

    def __init__(self, ends):
        super().__init__(daemon=True)
        self.ends = ends      # a socket each, as which a host sees the other
        self.hosts = None     # addresses of the channels
        self.heard = []       # (from which host, bytes)
        self.pass_on = lambda sender, datagram: [datagram]
        self.stopping = False

    def send(self, sender, datagram):
        """To the other one, as if from the host `sender`."""
        to = 1 - sender
        self.ends[to].sendto(datagram, self.hosts[to])

    def run(self):
        while not self.stopping:
            for end in select.select(self.ends, [], [], 0.2)[0]:
                sender = self.ends.index(end)
                datagram = end.recv(4096)
                self.heard.append((sender, datagram))
                for d in self.pass_on(sender, datagram):
                    self.send(sender, d)


@contextlib.contextmanager
def network():
    with udp() as a, udp() as b, contextlib.ExitStack() as stack:
        net = Network([a, b])
        p = Pair(stack, channel=[a.getsockname(), b.getsockname()])
        net.hosts = p.at
        net.start()
        p.start(0)
        p.start(1)
        p.wait_up()
        try:
            yield net, p
        finally:
            net.stopping = True
            net.join(LIMIT)


def received(p, host):
    return {o: p.samples(host)[
        f'campusnet_stun_partner_datagrams_total{{outcome="{o}"}}']
            for o in ("request", "forged", "replayed", "stale", "foreign",
                      "own", "malformed")}


def replayed():
    """Everything that was ever said, again, to both; then after a restart of
    each. No request is answered twice, and nobody is put off."""
    with network() as (net, p), udp() as s:
        for host in (0, 1):
            ask_changed(s, p, host, change(CHANGE_IP), p.role(1 - host, 0))
        answered = [received(p, h)["request"] for h in (0, 1)]
        assert answered[0] > 0 and answered[1] > 0
        old = list(net.heard)
        for sender, datagram in old:
            net.send(sender, datagram)      # again
            net.send(1 - sender, datagram)  # and back
        for host in (0, 1):
            wait_until(lambda h=host: received(p, h)["replayed"] > 3 and
                       received(p, h)["stale"] > 3, "replays are noticed")
            assert received(p, host)["request"] == answered[host]
        assert p.other(0) and p.other(1), "both stay up"
        p.kill(1)
        p.start(1)
        p.wait_up()
        old = list(net.heard)
        for sender, datagram in old:
            net.send(sender, datagram)
        wait_until(lambda: received(p, 1)["stale"] > 3, "old ones are noticed")
        assert received(p, 1)["request"] == 0
        assert received(p, 0)["request"] == answered[0]
        assert p.other(0) and p.other(1), "both stay up"
        s.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            raise AssertionError(f"an answer too many: {s.recvfrom(4096)}")


def tampered():
    """Every byte of what is said is changed once, on its way."""
    with network() as (net, p), udp() as s:
        state = {"at": 0}

        def damage(sender, datagram):
            state["at"] += 1
            bad = bytearray(datagram)
            bad[state["at"] % len(bad)] ^= 1 << state["at"] % 8
            return [bytes(bad), datagram[:-1], datagram + b"\0", datagram]

        net.pass_on = damage
        for i in range(10):
            host = i % 2
            ask_changed(s, p, host, change(CHANGE_IP), p.role(1 - host, 0))
        wait_until(lambda: received(p, 0)["forged"] > 10 and
                   received(p, 1)["forged"] > 10, "changes are noticed")
        assert received(p, 0)["malformed"] == 0
        assert p.other(0) and p.other(1), "both stay up"
        net.pass_on = lambda sender, datagram: [
            bytes([b ^ 1 for b in datagram])]
        wait_until(lambda: p.other(0) is None and p.other(1) is None,
                   "nothing else comes: withdrawn")


def lossy():
    """Half is lost, the rest comes twice and late: it works."""
    with network() as (net, p), udp() as s:
        draw = random.Random(5780)
        held = []

        def lose(sender, datagram):
            if draw.random() < 0.5:
                return []
            held.append(datagram)
            late = held.pop(0) if len(held) > 1 else datagram
            # `late` may be the other one's own: that is noticed as well.
            return [datagram, late]

        net.pass_on = lose
        for host in (0, 1):
            deadline = time.monotonic() + LIMIT
            while True:
                assert time.monotonic() < deadline
                s.settimeout(0.5)
                s.sendto(change(CHANGE_IP), p.role(host, 0))
                with contextlib.suppress(TimeoutError):
                    # 420 while the partner seems to be gone is right, too.
                    answer, source = s.recvfrom(4096)
                    if error_of(answer) is None:
                        assert source == p.role(1 - host, 0)
                        break
        net.pass_on = lambda sender, datagram: [datagram]
        p.wait_up()


def strangers():
    """Who is not the partner is not listened to, whatever he sends."""
    with network() as (net, p), udp() as s:
        for _, datagram in list(net.heard):
            s.sendto(datagram, p.at[0])
        for n in (0, 1, 43, 60, 160, 161, 1400, 9000):
            s.sendto(os.urandom(n), p.at[0])
            net.ends[0].sendto(os.urandom(n), p.at[0])
        p.run[0].line("partner-listen: a datagram from .* which is not -partner")
        wait_until(lambda: p.samples(0)[
            "campusnet_stun_partner_strangers_total"] > 7, "counted")
        wait_until(lambda: received(p, 0)["foreign"] > 7, "counted")
        assert p.other(0) and p.other(1), "both stay up"


# ---- options ----

def bad_options():
    with contextlib.ExitStack() as stack:
        p = Pair(stack)
        listen = ["-listen", "%s:%d" % p.role(0, 0)]

        def refused(flags, *says, listen=listen):
            stundc.refused(*listen, *flags, says=["stund: ", *says])

        def replaced(name, value):
            flags = p.flags(0)
            at = flags.index(name)
            return flags[:at] + ([name, value] if value else []) + \
                flags[at + 2:]

        missing = p.key.with_name("missing.key")
        refused(replaced("-partner-key", str(missing)),
                f"partner-key {missing}: No such file", "openssl rand -hex 32")
        missing.write_text("00" * 31 + "\n")
        missing.chmod(0o600)
        refused(replaced("-partner-key", str(missing)), "64 hex digits")
        missing.write_text("00" * 32 + "\n")
        refused(replaced("-partner-key", str(missing)), "64 hex digits")
        missing.write_text("ab" * 32 + "\n")
        missing.chmod(0o644)
        refused(replaced("-partner-key", str(missing)), "mode 0644",
                "chmod 600")
        refused(replaced("-partner-key", None), "needs -partner-key, too")
        refused(replaced("-partner-listen", None), "partner-key: needs",
                "-partner-listen")
        refused(replaced("-partner", None), "needs -partner, too")
        own = "%s:%d" % p.at[0]
        refused(replaced("-partner", own), f"partner {own}",
                "-partner-listen is the same")
        refused(replaced("-partner-alternate-port", str(p.ports[0])),
                "partner-alternate-port", str(p.ports[0]))
        refused(replaced("-partner-alternate-port", "65536"),
                "partner-alternate-port", "65536")
        refused(p.flags(0), "partner", "address", listen=["-listen", ":3478"])
        refused([*p.flags(0), "-alternate", "%s:%d" % p.role(1, 1)],
                "alternate", "partner")
        with udp() as s:
            taken = "%s:%d" % s.getsockname()
            refused(replaced("-partner-listen", taken),
                    f"partner-listen {taken}: Address already in use")


def metrics():
    with pair() as p, udp() as s:
        ask_changed(s, p, 0, change(CHANGE_IP), p.role(1, 0))
        wait_until(lambda: p.samples(1)[
            "campusnet_stun_partner_answers_total"] >= 1, "counted")
        here, there = p.samples(0), p.samples(1)
        assert here["campusnet_stun_partner_up"] == 1
        assert here["campusnet_stun_partner_requests_total"] >= 1
        assert there["campusnet_stun_partner_answers_total"] >= 1
        assert there['campusnet_stun_partner_datagrams_total'
                     '{outcome="request"}'] >= 1
        assert there['campusnet_stun_partner_datagrams_total'
                     '{outcome="pong"}'] >= 1
        assert 0 <= here["campusnet_stun_partner_round_trip_seconds"] < LIMIT


TESTS = [mapping, filtering, from_second_port, response_port,
         fingerprint_and_padding, classic, small_answers, tcp, wildcard_channel, many_workers, alone,
         killed, stopped, restarts, other_ports, moved, advertised,
         both_families, other_key, replayed, tampered,
         lossy, strangers, bad_options, metrics]

if __name__ == "__main__":
    sys.exit(stundc.main(
        [in_namespace] if "in_namespace" in sys.argv else TESTS))
