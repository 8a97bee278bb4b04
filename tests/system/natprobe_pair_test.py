#!/usr/bin/python3
# tests/run: peers one-thread
"""natprobe_pair_test: pair mode on one host: two that meet at relayd and at
derper; wrong keys, other versions, strangers, relays that go away, bad
options. What NATs do to it is tested in tests/natlab. Prints TAP."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

import nacl.public

import derpc
from derpc import Relayd, Skip, until
from natprobe_relay_test import DERPER, NATPROBE, pin_of, running_derper, url
from stundc import Stund

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
DISCO = b"TS\xf0\x9f\x92\xac"
VERSION = 1
HELLO, WELCOME, CALL, PING, PONG, REPORT, REFUSE, KNOCK = range(1, 9)
TCP = b"\1"  # a feature
GATHER, READY, KNOCKED, OPENING, DONE = range(5)
PEER, LISTENER = 0, 1


class Natprobe:
    """natprobe in pair mode. The key that it prints is read at once."""

    def __init__(self, *flags):
        self.child = subprocess.Popen(
            [NATPROBE, "-json", "-", "-family", "4", *flags], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.said = ""
        if "-listen" in flags:
            self.said = self.child.stderr.readline()
            found = re.fullmatch(r"KEY ([a-z2-7-]{69})\n", self.said)
            assert found, self.said + self.child.stderr.read()
            self.key = found[1]

    def end(self, status):
        """What it found, and what it said."""
        out, said = self.child.communicate(timeout=derpc.LIMIT)
        said = self.said + said
        assert self.child.returncode == status, (self.child.returncode, said)
        return json.loads(out)["pair"], said

    def signal(self, signo):
        self.child.send_signal(signo)


def raw_key(code):
    """The 32 bytes of a KEY, read anew."""
    bits = "".join(f"{ALPHABET.index(c):05b}" for c in code.replace("-", ""))
    return int(bits, 2).to_bytes(35, "big")[:32]


def code_of(key):
    """A KEY of 32 bytes."""
    check = hashlib.blake2b(key, digest_size=16).digest()[:3]
    bits = f"{int.from_bytes(key + check, 'big'):0280b}"
    text = "".join(ALPHABET[int(bits[i:i + 5], 2)] for i in range(0, 280, 5))
    return "-".join(text[i:i + 4] for i in range(0, 56, 4))


def sealed(client, to, text):
    box = nacl.public.Box(client.private, nacl.public.PublicKey(to))
    return DISCO + client.key + bytes(box.encrypt(text))


def opened(client, packet):
    sender = packet[6:38]
    assert packet[:6] == DISCO, packet
    box = nacl.public.Box(client.private, nacl.public.PublicKey(sender))
    return box.decrypt(packet[38:])


def say(client, to, kind, body=b"", version=VERSION, role=PEER):
    text = bytes([version, role, kind]) + body
    client.send_packet(to, sealed(client, to, text))


def hear(client, kind):
    """The next message of a kind, opened."""
    while True:
        text = opened(client, client.packet()[1])
        if text[2] == kind:
            return text


@contextlib.contextmanager
def place():
    """A relay and a STUN server; yields the relay and the flags."""
    with Relayd() as relay, Stund() as stund:
        yield relay, ["-relay", url(relay.port, pin_of(relay.state)),
                      "-stun", f"127.0.0.1:{stund.ports[0]}"]


def check_met(found):
    assert found["outcome"] == "direct" and found["why"] is None, found
    path, latency = found["path"], found["latency"]
    assert path["kind"] in ("local", "public-ipv4"), path
    assert path["candidate"] in ("local", "stun", "learned"), path
    assert 0 <= path["found_ms"] < 5000, path
    for way in ("direct", "relay"):
        assert latency[way]["sent"] == 10 and latency[way]["lost"] == 0, found
        assert latency[way]["min_ms"] <= latency[way]["p50_ms"] <= \
            latency[way]["max_ms"], found
    assert found["other_side"]["direct"] is True, found
    assert any(c["result"] == "works" for c in found["candidates"]), found
    assert found["forged"] == 0 and not found["relay_lost"], found


def check_tcp(found):
    """On one host: a way, but no stranger to ask about a NAT."""
    tcp = found["tcp"]["ipv4"]
    assert tcp["filtering"]["why"] == "same-nat", tcp
    assert tcp["own"]["endpoint"].startswith("127.0.0.1:"), tcp
    assert tcp["own"]["still_there"] is True, tcp
    assert tcp["knocked"]["result"] == "accepted", tcp
    assert tcp["simultaneous_open"]["verdict"] == "works", tcp


# ---- two that meet ----

def met():
    with place() as (relay, flags):
        a = Natprobe("-listen", *flags)
        b = Natprobe("-peer", a.key.upper().replace("-", " "), *flags)
        there, said_there = b.end(0)
        here, said_here = a.end(0)
        for found in (here, there):
            check_met(found)
            check_tcp(found)
            assert found["key"] == a.key, found
        assert (here["role"], there["role"]) == ("listener", "peer")
        assert {c["address"] for c in here["candidates"]
                if c["kind"] != "learned"} == \
            {c["address"] for c in there["own"]}, (here, there)
        for said in (said_here, said_there):
            assert "direct, " in said and "round trip, relay" in said, said
            assert "works, " in said and "TCP, both open     works" in said
        derpc.check_settled(relay)


def at_derper():
    if not os.path.exists(DERPER):
        raise Skip(f"no {DERPER}: make peers")
    with tempfile.TemporaryDirectory() as folder, Stund() as stund, \
            running_derper(folder) as (port, _):
        flags = ["-relay", url(port, pin_of(folder)), "-stun",
                 f"127.0.0.1:{stund.ports[0]}"]
        a = Natprobe("-listen", *flags)
        b = Natprobe("-peer", a.key, *flags)
        check_met(b.end(0)[0])
        check_met(a.end(0)[0])
        found, _ = Natprobe("-peer", code_of(bytes(32 * [9])), *flags).end(3)
        assert found["why"] == "no-such-key", found


def second_relay():
    """The other place is at the second relay of the list."""
    with place() as (_, flags), Relayd() as other:
        more = url(other.port, pin_of(other.state))
        a = Natprobe("-listen", "-relay", more, *flags[2:])
        b = Natprobe("-peer", a.key, *flags[:2], "-relay", more, *flags[2:])
        check_met(b.end(0)[0])
        check_met(a.end(0)[0])


# ---- that do not ----

def wrong_key():
    with place() as (_, flags):
        a = Natprobe("-listen", *flags)
        other = code_of(bytes(nacl.public.PrivateKey.generate().public_key))
        found, said = Natprobe("-peer", other, *flags).end(3)
        assert found["why"] == "no-such-key" and found["path"] is None, found
        assert "nobody with that key is at this relay" in said, said
        a.signal(signal.SIGINT)
        found, said = a.end(4)
        assert found["why"] == "interrupted", found
        assert found["outcome"] == "not-met", found


def nobody_comes():
    with place() as (_, flags):
        found, said = Natprobe("-listen", "-wait", "1s", *flags).end(3)
        assert found["why"] == "nobody-came", found
        assert "nobody came within -wait" in said, said


def no_relay():
    for flags in (["-listen"], ["-peer", code_of(bytes(32 * [9]))]):
        child = subprocess.run(
            [NATPROBE, *flags, "-relay", "https://127.0.0.1:1", "-json", "-"],
            text=True, capture_output=True, timeout=derpc.LIMIT)
        assert child.returncode == 3, child
        found = json.loads(child.stdout)["pair"]
        assert found["why"] == "no-relay", found
        assert "the relay cannot be reached: 127.0.0.1: connect: " \
            "Connection refused" in child.stderr, child.stderr
        assert "KEY" not in child.stderr, child.stderr


def busy():
    with place() as (relay, flags), \
            contextlib.closing(derpc.Client(relay)) as first:
        a = Natprobe("-listen", *flags)
        say(first, raw_key(a.key), HELLO)
        assert hear(first, WELCOME)[0] == VERSION
        found, said = Natprobe("-peer", a.key, *flags).end(3)
        assert found["why"] == "busy", found
        assert "meeting somebody else" in said, said
        # The first one leaves, and is forgotten.
        first.close()
        until(lambda: not retry(a.key, flags), "the listener to be free")
        check_met(a.end(0)[0])


def retry(key, flags):
    child = Natprobe("-peer", key, *flags)
    child.child.communicate(timeout=derpc.LIMIT)
    return child.child.returncode


def other_version():
    with place() as (relay, flags), \
            contextlib.closing(derpc.Client(relay)) as client:
        a = Natprobe("-listen", *flags)
        say(client, raw_key(a.key), HELLO, version=9)
        assert hear(client, REFUSE)[3] == 1
        b = Natprobe("-peer", code_of(client.key), *flags)
        say(client, client.packet()[0], WELCOME, b"\0", 9, LISTENER)
        found, said = b.end(3)
        assert found["why"] == "other-version", found
        assert found["other_version"] == 9, found
        assert "take the same release" in said, said
        check_met(Natprobe("-peer", a.key, *flags).end(0)[0])
        check_met(a.end(0)[0])


def hostile():
    """One with the key says what it likes, in the right form and in none."""
    with place() as (relay, flags), \
            contextlib.closing(derpc.Client(relay)) as client:
        a = Natprobe("-listen", *flags)
        to = raw_key(a.key)
        for junk in (b"", b"x", DISCO, DISCO + bytes(400), bytes(3000)):
            client.send_packet(to, junk)
        say(client, to, HELLO)
        hear(client, WELCOME)
        for kind in set(range(256)) - {CALL}:
            say(client, to, kind, bytes(40), role=kind % 3)
        addresses = [bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1, 0, 1]),
                     bytes(10) + b"\xff\xff" + bytes([224, 0, 0, 1, 0, 9]),
                     bytes(10) + b"\xff\xff" + bytes([255, 255, 255, 255, 0, 9]),
                     bytes(18), bytes(16) + b"\0\1", b"\xff" * 18, b"\xfe\x80" + bytes(14) + b"\0\1"]
        say(client, to, CALL, bytes([len(addresses)]) + b"".join(
            b"\0" + x for x in addresses))
        for serial in range(300):
            say(client, to, PONG, serial.to_bytes(4, "big") + bytes(18))
            say(client, to, PING, serial.to_bytes(4, "big") + b"\7")
        say(client, to, REPORT, b"\1\1" + bytes(18) + b"\x18" + b"\xff" * 48)
        found, said = a.end(3)
        assert found["outcome"] == "not-met", found
        assert found["strange"] >= 3 and found["forged"] > 0, found
        refused = [c for c in found["candidates"] if c["address"] ==
                   "127.0.0.1:1"]
        assert refused[0]["result"] == "refused", found
        assert {c["address"] for c in found["candidates"]} == {
            "127.0.0.1:1"}, found
        assert "Connection refused, says 127.0.0.1" in said, said
        assert found["packets_sent"] < 900, found


# ---- TCP ----

def endpoint(ip, port):
    return bytes(10) + b"\xff\xff" + socket.inet_aton(ip) + \
        port.to_bytes(2, "big")


def knock(client, to, stage, where, knocked=0):
    say(client, to, KNOCK, b"\1" + bytes([0, stage, 1]) + where +
        bytes([knocked, 0, 0, 0, 0]))


def heard_knock(client, stage):
    """The next word of TCP at that stage or later: its endpoint."""
    while (text := hear(client, KNOCK))[5] < stage:
        pass
    return int.from_bytes(text[23:25], "big")


def calls(client, flags):
    """A listener that was called by one with the key, who knows TCP."""
    a = Natprobe("-listen", *flags)
    to = raw_key(a.key)
    say(client, to, HELLO)
    assert hear(client, WELCOME)[-1:] == TCP
    say(client, to, CALL, b"\0" + TCP)
    return a, to


def no_tcp_servers():
    """STUN over UDP alone; an earlier release; without TCP."""
    with Relayd() as relay, Stund("-tcp=false") as stund:
        flags = ["-relay", url(relay.port, pin_of(relay.state)), "-stun",
                 f"127.0.0.1:{stund.ports[0]}"]
        a = Natprobe("-listen", *flags)
        b = Natprobe("-peer", a.key, *flags)
        for found, _ in (b.end(0), a.end(0)):
            tcp = found["tcp"]["ipv4"]
            assert tcp["filtering"]["why"] == "no-stun-over-tcp", tcp
            assert tcp["simultaneous_open"]["why"] == "no-stun-over-tcp", tcp
        a = Natprobe("-listen", *flags)
        b = Natprobe("-peer", a.key, "-tcp=false", *flags)
        assert b.end(0)[0]["tcp"] is None
        found, said = a.end(0)
        assert found["tcp"] == {"why": "other-side-cannot", "ipv4": None,
                                "ipv6": None}, found
        assert "runs with -tcp=false" in said, said


def liar():
    """It has us knock at it, says nothing true, and floods the port."""
    with place() as (relay, flags), socket.socket() as bait, \
            contextlib.closing(derpc.Client(relay)) as client:
        bait.bind(("127.0.0.1", 0))
        bait.listen(100)
        bait.setblocking(False)
        a, to = calls(client, flags)
        port = heard_knock(client, READY)
        mine = endpoint("127.0.0.1", bait.getsockname()[1])
        flood = [socket.socket() for _ in range(60)]
        for i, s in enumerate(flood):
            s.setblocking(False)
            with contextlib.suppress(OSError):
                s.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                s.sendall(bytes([i, i]) * 1000)
        knock(client, to, READY, mine)
        # Another one, when it is too late.
        knock(client, to, READY, endpoint("127.0.0.1", 1))
        heard_knock(client, KNOCKED)
        for stage in (KNOCKED, OPENING, 77, DONE):
            knock(client, to, stage, endpoint("127.0.0.1", 2), 255)
        heard_knock(client, DONE)
        say(client, to, KNOCK, b"\2" + bytes(60))
        say(client, to, KNOCK, b"\xff" * 200)
        came = 0
        with contextlib.suppress(BlockingIOError):
            while bait.accept():
                came += 1
        client.close()
        found, _ = a.end(3)
        tcp = found["tcp"]["ipv4"]
        assert tcp["other_endpoint"] == \
            f"127.0.0.1:{bait.getsockname()[1]}", tcp
        assert tcp["knocked"]["result"] == "somebody-else-answers", tcp
        assert 3 <= came <= 14 and tcp["connections"] <= 19, (came, tcp)
        for s in flood:
            s.close()


def odd_endpoint(where):
    """A place that nobody may have tried."""
    with place() as (relay, flags), \
            contextlib.closing(derpc.Client(relay)) as client:
        a, to = calls(client, flags)
        heard_knock(client, READY)
        knock(client, to, READY, where)
        heard_knock(client, KNOCKED)
        client.close()
        tcp = a.end(3)[0]["tcp"]["ipv4"]
        assert tcp["simultaneous_open"]["why"] == "odd-endpoint", tcp
        assert tcp["connections"] <= 5, tcp


def hostile_tcp():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [pool.submit(odd_endpoint, where) for where in (
            endpoint("127.0.0.1", 22), endpoint("10.0.0.1", 5000),
            endpoint("224.0.0.1", 5000), bytes(15) + b"\1\x20\0")]
        jobs.append(pool.submit(liar))
        for job in jobs:
            job.result()


# ---- in the middle ----

def relay_ends():
    """The relay is gone while they meet: what is found stays found."""
    with tempfile.TemporaryDirectory() as state, Stund() as stund:
        relay = Relayd(state=state)
        flags = ["-relay", url(relay.port, pin_of(state)), "-stun",
                 f"127.0.0.1:{stund.ports[0]}"]
        a = Natprobe("-listen", *flags)
        b = Natprobe("-peer", a.key, *flags)
        for line in b.child.stderr:
            if "the other place is here" in line:
                break
        relay.child.kill()
        relay.child.wait()
        for side in (a, b):
            found, said = side.end(0)
            assert found["outcome"] == "direct", found
            assert found["relay_lost"] is True, found
            assert "the connection to the relay broke off" in said, said


def relay_returns():
    """The relay restarts while the listener waits."""
    with tempfile.TemporaryDirectory() as state, Stund() as stund:
        relay = Relayd(state=state)
        port, pin = relay.port, pin_of(state)
        flags = ["-relay", url(port, pin), "-stun", f"127.0.0.1:{stund.ports[0]}"]
        a = Natprobe("-listen", *flags)
        relay.child.terminate()
        relay.child.wait()
        with Relayd("-a", f"127.0.0.1:{port}", state=state):
            until(lambda: not retry(a.key, flags), "the two to meet")
        check_met(a.end(0)[0])


def interrupted():
    with place() as (relay, flags), \
            contextlib.closing(derpc.Client(relay)) as client:
        b = Natprobe("-peer", code_of(client.key), *flags)
        client.packet()
        b.signal(signal.SIGTERM)
        out, _ = b.child.communicate(timeout=derpc.LIMIT)
        assert b.child.returncode == 4, b.child.returncode
        said = json.loads(out)
        assert said["complete"] is False, said
        assert said["pair"]["why"] == "interrupted", said


# ---- options ----

def not_to_predict():
    """A meeting is no result of a NAT."""
    with place() as (_, flags), tempfile.NamedTemporaryFile("w") as file:
        child = Natprobe("-listen", "-wait", "1s", *flags)
        file.write(child.child.communicate(timeout=derpc.LIMIT)[0])
        file.flush()
        done = subprocess.run([NATPROBE, "predict", file.name, file.name],
                              text=True, capture_output=True)
        assert done.returncode == 2, done
        assert done.stderr == f"natprobe: {file.name}: pair: a meeting of " \
            "two; it does not say what the NAT does\n", done.stderr


def bad_options():
    key = code_of(bytes(32 * [9]))
    typo = key[:5] + ("a" if key[5] != "a" else "c") + key[6:]
    relay = ["-relay", "https://127.0.0.1:1"]
    for flags, why in (
            (["-listen", "-stun", "127.0.0.1"], "give -relay URL or -map"),
            (["-listen", "-peer", key, *relay], "one place has -listen"),
            (["-peer", "abc", *relay], "14 groups of 4"),
            (["-peer", key[:-1], *relay], "14 groups of 4"),
            (["-peer", key + "a", *relay], "14 groups of 4"),
            (["-peer", typo, *relay], "typing error"),
            (["-listen", "-lifetime", *relay], "go without -lifetime"),
            (["-listen", "-wait", "0s", *relay], "wait")):
        child = subprocess.run([NATPROBE, *flags], text=True,
                               capture_output=True, timeout=derpc.LIMIT)
        assert child.returncode == 2, (flags, child)
        assert child.stderr.count("\n") == 1 and why in child.stderr, child


def dry():
    child = subprocess.run(
        [NATPROBE, "-n", "-listen", "-stun", "127.0.0.1", "-relay",
         "https://relay.invalid:8443"], text=True, capture_output=True,
        timeout=derpc.LIMIT)
    assert child.returncode == 0 and not child.stderr, child
    assert "pair mode, listening" in child.stdout, child.stdout
    assert "at relay.invalid port 8443" in child.stdout, child.stdout
    assert "100 a second" in child.stdout, child.stdout
    assert "over TCP, per family, 19 connections at most" in child.stdout
    assert "KEY" not in child.stdout, child.stdout


if __name__ == "__main__":
    sys.exit(derpc.main([
        ("two that meet, at relayd", met),
        ("at derper, which knows who is not there", at_derper),
        ("at the second relay of a list", second_relay),
        ("a wrong key; SIGINT", wrong_key),
        ("nobody comes", nobody_comes),
        ("no relay", no_relay),
        ("a second one who calls", busy),
        ("another version, at either side", other_version),
        ("one that says what it likes", hostile),
        ("TCP: servers, and other sides, that have none", no_tcp_servers),
        ("TCP: one that says what it likes", hostile_tcp),
        ("a relay that ends while they meet", relay_ends),
        ("a relay that restarts before", relay_returns),
        ("SIGTERM", interrupted),
        ("predict does not take it for a result", not_to_predict),
        ("bad options", bad_options),
        ("-n says what would be sent", dry),
    ]))
