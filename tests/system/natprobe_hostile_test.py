#!/usr/bin/python3
# tests/run: one-thread
"""natprobe_hostile_test: natprobe among STUN servers that lie, stutter or are
none, on loopback, with an honest one and alone. Each is named, in JSON and in
words; no verdict is wrong, nothing hangs. Prints TAP."""

import concurrent.futures
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

import derpc

NATPROBE = os.environ.get(
    "NATPROBE", str(derpc.TOP / "build/release/natprobe"))
COOKIE = 0x2112A442
SUCCESS, ERROR = 0x0101, 0x0111


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + \
        bytes(-len(value) % 4)


def address(ip, port, txid=None):
    """The value of MAPPED-ADDRESS, or of XOR-MAPPED-ADDRESS with a txid."""
    v6 = ":" in ip
    raw = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, ip)
    if txid is not None:
        mask = struct.pack("!I", COOKIE) + txid
        port ^= COOKIE >> 16
        raw = bytes(a ^ b for a, b in zip(raw, mask))
    return struct.pack("!BBH", 0, 2 if v6 else 1, port) + raw


def message(kind, txid, *attributes):
    body = b"".join(attributes)
    return struct.pack("!HHI", kind, len(body), COOKIE) + txid + body


class Server:
    """One thread, a socket for each way to misbehave."""

    def __init__(self, *ways):
        self.ports, self.count, self.late = {}, 0, []
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        for way in ways:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("127.0.0.1", 0))
            self.ports[way.__name__] = s.getsockname()[1]
            self.selector.register(s, selectors.EVENT_READ, way)
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other.bind(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            wait = min([at - time.monotonic() for at, *_ in self.late] + [60])
            for key, _ in self.selector.select(max(0, wait)):
                if key.data is None:
                    return
                data, who = key.fileobj.recvfrom(2048)
                self.count += 1
                key.data(self, key.fileobj, data, data[8:20], who)
            due = [x for x in self.late if x[0] <= time.monotonic()]
            self.late = [x for x in self.late if x not in due]
            for _, s, reply, who in due:
                s.sendto(reply, who)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wake.send(b"x")
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.other.close()
        self.wake.close()


def truth(txid, who, *more):
    return message(SUCCESS, txid, attribute(0x20, address(*who, txid)), *more)


# ---- ways to misbehave; the name is the finding's ----

def honest(server, s, data, txid, who):
    s.sendto(truth(txid, who), who)


def answers_twice(server, s, data, txid, who):
    for _ in range(2):
        s.sendto(truth(txid, who), who)


def answers_from_another_address(server, s, data, txid, who):
    server.other.sendto(truth(txid, who), who)


def does_not_answer(server, s, data, txid, who):
    pass


def refuses(server, s, data, txid, who):
    s.sendto(message(ERROR, txid, attribute(
        9, struct.pack("!HBB", 0, 4, 1) + b"Unauthorized")), who)


def sends_garbage(server, s, data, txid, who):
    s.sendto(os.urandom(200), who)


def lies_about_mapping(server, s, data, txid, who):
    s.sendto(truth(txid, (who[0], 1024 + server.count)), who)


def tells_one_address_for_all(server, s, data, txid, who):
    s.sendto(truth(txid, ("198.51.100.7", 4711)), who)


def contradicts_others(server, s, data, txid, who):
    s.sendto(truth(txid, (who[0], who[1] ^ 0x155)), who)


def tells_impossible_address(server, s, data, txid, who):
    s.sendto(truth(txid, ("224.0.0.1", 5000)), who)


def tells_wrong_family(server, s, data, txid, who):
    s.sendto(truth(txid, ("2001:db8::7", 5000)), who)


def tells_two_addresses(server, s, data, txid, who):
    s.sendto(truth(txid, who, attribute(1, address("203.0.113.9", 9))), who)


def other_address_impossible(server, s, data, txid, who):
    s.sendto(truth(txid, who, attribute(
        0x802C, address("0.0.0.0", 3479))), who)


def echoes_questions(server, s, data, txid, who):
    s.sendto(data, who)


replayed = {}


def answers_unasked(server, s, data, txid, who):
    """Answers, and what it answered first to whom it has seen."""
    first = replayed.setdefault(server, truth(os.urandom(12), who))
    s.sendto(truth(txid, who), who)
    s.sendto(first, who)


def answers_late(server, s, data, txid, who):
    """When it is given up, 2.25 s after the first question."""
    server.late.append((time.monotonic() + 2.4, s, truth(txid, who), who))


WAYS = [answers_twice, answers_from_another_address, does_not_answer, refuses,
        sends_garbage, lies_about_mapping, tells_one_address_for_all,
        contradicts_others, tells_impossible_address, tells_wrong_family,
        tells_two_addresses, other_address_impossible, echoes_questions,
        answers_unasked]


def probe(server, names, *flags):
    words = [w for n in names
             for w in ("-stun", f"127.0.0.1:{server.ports[n]}")]
    done = subprocess.run(
        [NATPROBE, "-json", "-", *words, *flags], text=True,
        capture_output=True, stdin=subprocess.DEVNULL, timeout=derpc.LIMIT)
    assert done.returncode in (0, 1, 3), (done.returncode, done.stderr)
    return json.loads(done.stdout)["ipv4"], done.stderr


def name_of(way):
    return way.__name__.replace("_", "-")


def beside_honest():
    """Seven at a time, with one that is honest: all are named."""
    for i in range(0, len(WAYS), 7):
        ways = WAYS[i:i + 7]
        with Server(honest, *ways) as server:
            said, words = probe(server, ["honest"] +
                                [w.__name__ for w in ways])
            assert said["udp"] == "yes", said
            assert said["servers"][0]["findings"] == [], said["servers"][0]
            for way, row in zip(ways, said["servers"][1:]):
                want = name_of(way)
                if want == "contradicts-others":
                    continue  # is seen among two others, below
                assert want in row["findings"], (want, row)
                if want == "refuses":
                    assert row["error"] == 401, row
            check_mapping(said)
            for text in ("more than once", "lies: one question",
                         "no STUN")[:3 if i == 0 else 0]:
                assert text in words, (text, words)


def check_mapping(said):
    """Loopback has no NAT. What is said is that, or that it is unknown."""
    mapping = said["mapping"]
    assert mapping["verdict"] in ("none", "unknown"), mapping
    assert mapping["verdict"] == "none" or mapping["why"], mapping
    assert said["filtering"]["verdict"] in ("unknown", "endpoint-independent")


def check_alone(way):
    with Server(way) as server:
        said, _ = probe(server, [way.__name__])
    row, = said["servers"]
    want = name_of(way)
    if want == "contradicts-others":
        return
    assert want in row["findings"], (want, row)
    check_mapping(said)
    if want in ("lies-about-mapping", "tells-one-address-for-all"):
        assert said["nat"] == "unknown", said
        assert said["mapping"]["why"] == "server-contradicts-itself"
        assert said["ports"]["why"] == "server-contradicts-itself"


def alone():
    """Each alone: nothing is concluded from what it says."""
    with concurrent.futures.ThreadPoolExecutor(len(WAYS)) as pool:
        for done in [pool.submit(check_alone, way) for way in WAYS]:
            done.result()


def majority():
    """Two agree, one does not: it is the one."""
    with Server(honest, answers_twice, contradicts_others) as server:
        said, words = probe(server, server.ports)
        assert said["mapping"]["verdict"] == "none", said["mapping"]
        assert said["servers"][2]["findings"] == ["contradicts-others"], said
        assert "contradicts all others" in words, words


def late():
    """Its answers come when it is given up, and prove that it is alive."""
    with Server(honest, answers_late) as server:
        said, words = probe(server, server.ports, "-lifetime", "-ttl-max",
                            "5s", "-ttl-resolution", "1s")
        assert "answers-late" in said["servers"][1]["findings"], said
        assert "was given up" in words, words
        check_mapping(said)


def closed_port():
    """ICMP says so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with Server(honest) as server:
        server.ports["closed"] = port
        said, words = probe(server, ["closed", "honest"])
        assert said["servers"][0]["findings"] == [
            "does-not-answer", "unreachable"], said["servers"]
        assert "nobody listens on that port" in words, words
        assert said["servers"][1]["answers"], said


if __name__ == "__main__":
    sys.exit(derpc.main([
        ("beside an honest one", beside_honest),
        ("each alone", alone),
        ("two against one", majority),
        ("answers that come late", late),
        ("a closed port", closed_port),
    ]))
