#!/usr/bin/python3
# tests/run: limit=240 one-thread
"""coordd_bytes_test: bytes that no client sends: heads, handshakes, records and
frames that are cut, wrong, endless or replayed, by name, against the real
coordd, plain and with TLS. Prints TAP.

After a case two clients that were there all the time still get their maps, and
no connection or stream is left over. The program is $COORDD (default
build/release/coordd).
"""

import base64
import contextlib
import json
import os
import random
import socket
import struct
import sys

from coordc import (
    DATA, END_HEADERS, END_STREAM, HEADERS, LIMIT, RST_STREAM, SETTINGS,
    VARIANT, WINDOW_UPDATE, Client)
from coordwire import (
    CONTINUATION, PING, PREFACE, Target, Tunnel, Wire, ask, frame, hpack,
    joined, status_line, upgrade)
from ctlfake import main, wait_for

MIB = 1 << 20
random.seed(1)


@contextlib.contextmanager
def target(*flags):
    """A coordd for one case, and what is checked after each."""
    with Target(*flags) as d, contextlib.ExitStack() as stack:
        x, y = (stack.enter_context(c) for c in joined(d, 2))
        before = d.rss()
        yield d
        for one, other in ((x, y), (y, x)):
            keys = [p["Key"] for p in one.map()["Peers"]]
            assert other.node_key in keys, keys
        x.close()
        y.close()
        wait_for(d.settled)
        grown = d.rss() - before
        assert VARIANT != "release" or grown < 24 * MIB, grown


def ends(wire):
    """coordd closes; returns what it said before that."""
    with wire:
        return wire.rest()


# ---- HTTP/1.1 ----

def half_heads():
    """Who does not finish his head in 10 s is closed; so is who does not
    finish the handshake of TLS, or sends a byte now and then."""
    whole = upgrade(random.randbytes(101))
    with target() as d:
        come = d.metric("connections_total")
        halves = []
        for tls in (False, True):
            for cut in (0, 1, 4, 30, len(whole) - 1):
                halves.append(Wire(d, tls))
                halves[-1].send(whole[:cut])
        for hello in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"):
            halves.append(Wire(d))
            halves[-1].tcp.close()
            halves[-1].tcp = socket.create_connection(
                ("127.0.0.1", d.tls_port), LIMIT)
            halves[-1].send(hello)
        slow = Wire(d)
        wait_for(lambda: d.metric("connections_total") == come + 17)
        for byte in whole[:11]:
            slow.send(bytes([byte]))
            d.clocks.later(1)
        for half in (*halves, slow):
            assert ends(half) == b""


def overdue():
    """Each wait of a client's has its end, with a reason."""
    def joined_tunnel(name):
        t = stack.enter_context(Tunnel(d))
        with Client(d, t.machine, t.node) as joins:
            joins.join(key, name)
        return t

    with Target() as d, contextlib.ExitStack() as stack:
        key = d.authkey("--reusable")
        mute = stack.enter_context(Tunnel(d, preface=False))
        half = joined_tunnel("half")
        half.begin("/machine/map", b"{", end=False)
        deaf = joined_tunnel("deaf")
        deaf.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
        deaf.begin("/machine/map", deaf.map_request())
        idle, busy = joined_tunnel("idle"), joined_tunnel("busy")
        assert idle.post("/machine/none", {})[0] == 404
        assert busy.open_map()
        wait_for(lambda: d.metric("open_streams") == 2)
        for t, seconds, why in (
                (mute, 16, "no record after the handshake"),
                (half, 45, "a request does not come whole"),
                (deaf, 60, "an answer is not taken"), (idle, 180, "idle")):
            assert not any("closed: " + why in line for line in d.lines)
            d.clocks.later(seconds)
            d.line(t.public.hex() + ": closed: " + why)
            t.frames()
        assert d.metric("slow_readers_total") == 1
        assert d.metric("open_streams") == 1
        # Who has a stream of maps is told now and then that it lives.
        while not busy.message().get("KeepAlive"):
            pass


def heads():
    """Each wrong head has its one answer, and then the connection ends."""
    host = b"Host: c\r\n"
    cases = [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n" + host + b"\r\n", 505),
        (PREFACE, 505),
        (b"GET  / HTTP/1.1\r\n" + host + b"\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\0\1\2\3\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + b"A\0B: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + b" folded: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + host + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + b"Content-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + b"Content-Length:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + host + b"Content-Length: 9x\r\n\r\n", 400),
        (b"POST /verify HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n"
         b"Content-Length: 4097\r\n\r\nhello!", 400),
        (b"POST /verify HTTP/1.1\r\n" + host +
         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /verify HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n"
         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /verify HTTP/1.1\r\n" + host +
         b"Content-Length: 99999999999999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\n" + host + b"X: " + b"x" * 20000 + b"\r\n\r\n",
         431),
        (b"GET / HTTP/1.1\r\n" + host + b"X: y\r\n" * 1000 + b"\r\n", 431),
        (b"x" * 20000, 431),
        (b"GET /" + b"x" * 12000 + b" HTTP/1.1\r\n" + host + b"\r\n", 404),
        (b"GET /machine/map HTTP/1.1\r\n" + host + b"\r\n", 404),
        (b"POST /machine/map HTTP/1.1\r\n" + host + b"\r\n", 405),
        (b"GET /register/../key HTTP/1.1\r\n" + host + b"\r\n", 404),
        (b"GET /register/<script> HTTP/1.1\r\n" + host + b"\r\n", 404),
        (b"GET /ts2021 HTTP/1.1\r\n" + host + b"\r\n", 501),
        (b"POST /ts2021 HTTP/1.1\r\n" + host + b"\r\n", 400),
        (b"DELETE / HTTP/1.1\r\n" + host + b"\r\n", 405),
        (b"CONNECT c:1 HTTP/1.1\r\n" + host + b"\r\n", 405),
    ]
    with target() as d:
        for tls in (False, True):
            for data, want in cases:
                status, _ = ask(d, data, tls)
                assert status == want, (data[:60], status, want)
            status, body = ask(
                d, b"GET /key?v=142 HTTP/1.1\r\n" + host + b"\r\n", tls)
            assert status == 200, status
            assert json.loads(body)["publicKey"] == "mkey:" + d.public.hex()
            status, body = ask(
                d, b"HEAD /key HTTP/1.1\r\n" + host + b"\r\n", tls)
            assert (status, body) == (200, b""), (status, body)
        # The wrong way round: TLS to the plain port, and plain to the other.
        with Wire(d) as wire:
            wire.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(600))
            wire.send(b"\r\n\r\n")
            assert status_line(wire.rest()) == 400
        raw = socket.create_connection(("127.0.0.1", d.tls_port))
        with raw, contextlib.suppress(ConnectionError):
            raw.settimeout(60)
            raw.sendall(b"GET /key HTTP/1.1\r\n" + host + b"\r\n")
            answer = b""
            while more := raw.recv(4096):
                answer += more
            assert b"mkey" not in answer


def pages():
    """What anybody may ask: each page holds what it should, and nothing of who
    is in the network."""
    def get(path, method=b"GET"):
        with Wire(d, tls) as wire:
            wire.send(method + b" " + path + b" HTTP/1.1\r\nHost: c\r\n\r\n")
            head, _, body = wire.rest().partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1)
                      for line in head.split(b"\r\n")[1:])
        assert fields[b"content-security-policy"] == b"default-src 'none'"
        assert fields[b"x-content-type-options"] == b"nosniff"
        assert not any(word in body for word in (b"robot0", b"100.64."))
        return status_line(head), fields, body

    with target() as d, Client(d) as waits:
        url = waits.register(hostname="rover")["AuthURL"]
        login = url.rpartition("/")[2].encode()
        assert url.startswith(f"http://127.0.0.1:{d.port}/register/"), url
        for tls in (False, True):
            status, fields, body = get(b"/health")
            assert (status, json.loads(body)) == (200, {"status": "pass"})
            assert fields[b"content-type"] == b"application/json"
            assert fields[b"content-length"] == b"%d" % len(body)
            status, fields, body = get(b"/generate_204")
            assert (status, body) == (204, b"")
            assert b"content-length" not in fields  # RFC 9110 section 8.6
            status, fields, body = get(b"/")
            assert status == 200 and b"text/html" in fields[b"content-type"]
            assert b"--login-server http://127.0.0.1:%d<" % d.port in body
            status, fields, body = get(b"/register/" + login)
            assert status == 200 and b"text/html" in fields[b"content-type"]
            assert b"coordctl nodes register --user USER " + login in body
            assert b"rover" not in body
            whole = get(b"/register/" + login)
            status, fields, body = get(b"/register/" + login, b"HEAD")
            assert (status, body) == (200, b"")
            assert fields[b"content-length"] == b"%d" % len(whole[2])


def verify():
    """derper's question has an answer for whom it knows, and no other way."""
    def post(body, length=None):
        return ask(d, b"POST /verify HTTP/1.1\r\nHost: c\r\n"
                   b"Content-Length: %d\r\n\r\n%b" %
                   (len(body) if length is None else length, body))

    with target() as d, Client(d) as z:
        z.join(d.authkey("--reusable"), "z")
        other = "nodekey:" + "ab" * 32

        def says(key):
            status, body = post(json.dumps(
                {"NodePublic": key, "Source": "192.0.2.1"}).encode())
            return status, json.loads(body)["Allow"] if status == 200 else None

        assert says(z.node_key) == (200, True)
        assert says(other) == (200, False)
        assert says(other.replace("nodekey", "mkey")) == (400, None)
        for body in (b"", b"{", b"[]", b"{}", b"null", b"\xff", b"{" * 4000,
                     b'{"NodePublic":7}', b'{"NodePublic":"nodekey:"}',
                     b'{"NodePublic":"' + z.node_key.encode() + b'00"}'):
            assert post(body)[0] == 400, body
        assert post(b"x" * 4096)[0] == 400
        assert post(b"x" * 4097)[0] == 413
        for method, want in ((b"GET", 404), (b"PUT", 405), (b"OPTIONS", 405)):
            status, _ = ask(
                d, method + b" /verify HTTP/1.1\r\nHost: c\r\n\r\n")
            assert status == want, (method, status)
        d.works("nodes", "expire", "z")
        assert says(z.node_key) == (200, False)
        # A body that does not come.
        with Wire(d) as wire:
            wire.send(b"POST /verify HTTP/1.1\r\nHost: c\r\n"
                      b"Content-Length: 100\r\n\r\n{")
            wire.tcp.shutdown(socket.SHUT_WR)
            assert b"200" not in wire.rest()


# ---- the handshake ----

def handshakes():
    """A first message that is not right gets 400, and costs nothing else."""
    with target() as d:
        good = Tunnel(d)
        first = good.first
        text = base64.b64encode(first).decode()
        zero = first[:5] + bytes(32) + first[37:]
        wrong = ["", "!", "A", text[:-1], text[:-4], text + "A", text + "AAAA",
                 text.replace("=", ""), text[:-2] + "==",
                 "-_" + text[2:], text[:60] + " " + text[60:],
                 first[:-1], first + b"\0", first[:4], b"",
                 bytes(101), b"\xff" * 101, random.randbytes(101), zero,
                 first[:2] + b"\2" + first[3:],  # another type
                 first[:3] + b"\0\x5f" + first[5:],  # another length
                 b"\0\0" + first[2:], b"\0\1" + first[2:],  # other versions
                 b"\xff\xff" + first[2:]]
        wrong += [first[:at] + bytes([first[at] ^ 1]) + first[at + 1:]
                  for at in (5, 20, 40, 70, 90, 100)]
        for tls in (False, True):
            for one in wrong:
                status, _ = ask(d, upgrade(one), tls)
                assert status == 400, (one, status)
            assert ask(d, upgrade(first, None), tls)[0] == 400
        good.close()


def replayed():
    """Somebody who sends a first message again gets no further: he cannot
    answer, and whose it was does not notice."""
    with target() as d, Tunnel(d) as real:
        sniffed = b"\4\x01\0" + random.randbytes(256)
        for data in (b"", sniffed, random.randbytes(200)):
            with Wire(d) as thief:
                thief.send(upgrade(real.first))
                head = thief.take(12)
                assert head == b"HTTP/1.1 101", head
                thief.send(data)
                if data:
                    thief.rest()
                else:
                    thief.tcp.shutdown(socket.SHUT_WR)
                    thief.rest()
        assert real.post("/machine/none", {})[0] == 404


# ---- records ----

def records():
    """What does not open ends the connection at once."""
    def again(t):
        data = t.sealed(b"")
        return data + data

    def skipped(t):
        t.sealed(b"")
        return t.sealed(PREFACE)

    wrong = [lambda t: random.randbytes(1000),
             lambda t: b"\4\xff\xff" + bytes(65535),
             lambda t: b"\4\0\0",
             lambda t: b"\4\0\x0f" + bytes(15),
             lambda t: b"\4\0\x10" + bytes(16),
             lambda t: b"\4\x0f\xfe" + bytes(4094),
             lambda t: b"\2\0\x30" + bytes(48),
             lambda t: b"\3\0\5hello",
             lambda t: b"\0\0\x10" + bytes(16),
             lambda t: t.sealed(PREFACE)[:-1] + b"\0",
             lambda t: b"\5" + t.sealed(PREFACE)[1:],
             again, skipped]
    with target() as d:
        for tls in (False, True):
            for make in wrong:
                t = Tunnel(d, tls=tls, preface=False)
                t.send(make(t))
                ends(t)
        wait_for(lambda: 2 * len(wrong) == sum(
            "a record does not open" in line for line in d.lines))
        # Half a record, and then nothing more.
        for cut in (1, 2, 3, 10):
            t = Tunnel(d, preface=False)
            t.send(t.sealed(PREFACE)[:cut])
            t.close()


def records_cut():
    """They may come in any pieces, of any size."""
    with target() as d:
        for tls in (False, True):
            for seed in range(4):
                with Tunnel(d, tls=tls, preface=False) as t:
                    data = PREFACE + frame(SETTINGS, 0, 0) + frame(
                        HEADERS, END_HEADERS | END_STREAM, 1,
                        hpack({":method": "GET", ":scheme": "https",
                               ":authority": "c", ":path": "/machine/whoami"}))
                    at, wire = 0, b""
                    while at < len(data):
                        n = random.choice((0, 1, 2, 9, 100))
                        wire += t.sealed(data[at:at + n])
                        at += n
                    at = 0
                    while at < len(wire):
                        n = 1 if seed == 0 else random.randrange(1, 300)
                        t.send(wire[at:at + n])
                        at += n
                    assert t.answer(1) == (200, b"coordd\n")
        # The largest that there may be.
        with Tunnel(d) as t:
            t.stream += 2
            body = {":method": "POST", ":scheme": "https", ":authority": "c",
                    ":path": "/machine/none"}
            t.frame(HEADERS, END_HEADERS, 1, hpack(body))
            data = frame(DATA, END_STREAM, 1, b"x" * (4077 - 9))
            assert len(t.sealed(b"")) == 19
            t.sent -= 1
            record = t.sealed(data)
            assert len(record) == 4096
            t.send(record)
            assert t.answer(1)[0] == 404


# ---- HTTP/2 ----

def frames():
    """Frames that break the protocol end the connection; others are skipped
    as it says."""
    request = hpack({":method": "GET", ":scheme": "https", ":authority": "c",
                     ":path": "/machine/whoami"})
    wrong = [
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, END_HEADERS, 0, request),
        frame(HEADERS, END_HEADERS, 2, request),
        frame(HEADERS, END_HEADERS | 8, 1, b"\xff"),
        frame(RST_STREAM, 0, 1, bytes(4)),
        frame(RST_STREAM, 0, 0, bytes(4)),
        frame(SETTINGS, 0, 0, bytes(5)),
        frame(SETTINGS, 0, 1, bytes(6)),
        frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2)),
        frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)),
        frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1)),
        frame(WINDOW_UPDATE, 0, 0, bytes(4)),
        frame(WINDOW_UPDATE, 0, 0, bytes(3)),
        frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2,
        frame(PING, 0, 0, bytes(7)),
        frame(PING, 0, 1, bytes(8)),
        frame(5, 4, 1, bytes(4) + request),  # PUSH_PROMISE
        frame(CONTINUATION, END_HEADERS, 1, request),
        frame(HEADERS, 0, 1, request) + frame(PING, 0, 0, bytes(8)),
        frame(HEADERS, END_HEADERS, 1, b"\x80"),  # index 0
        frame(HEADERS, END_HEADERS, 1, b"\xff" * 20),  # an endless integer
        frame(HEADERS, END_HEADERS, 1, b"\x3f" + b"\xff" * 3 + b"\x7f"),
        frame(HEADERS, END_HEADERS, 1, b"\0\x84\xff\xff\xff\xff\0"),  # Huffman
        b"\xff\xff\xff\0\0\0\0\0\1",  # a frame of 16 MiB
        random.randbytes(100)]
    with target() as d:
        for data in wrong:
            t = Tunnel(d)
            t.record(data)
            t.frames()
            t.close()
        for data in (b"GET / HTTP/1.1\r\nHost: c\r\n\r\n", bytes(24),
                     PREFACE[:-1] + b"x", random.randbytes(24)):
            t = Tunnel(d, preface=False)
            t.record(data)
            t.frames()
            t.close()
        with Tunnel(d) as t:
            t.frame(0xfe, 0xff, 1, random.randbytes(100))
            t.frame(SETTINGS, 0, 0, struct.pack(">HI", 0xfefe, 7))
            t.frame(2, 0, 3, bytes(5))  # PRIORITY
            assert t.answer(t.begin("/machine/whoami", method="GET"))[0] == 200


def fields():
    """Header fields that are wrong or too many cost their request, not the
    connection."""
    usual = [(":method", "GET"), (":scheme", "https"), (":authority", "c"),
             (":path", "/machine/whoami")]
    wrong = [usual[:3], usual[1:], usual[:1] + usual[3:], [], usual + usual,
             [("x", "y")] + usual, usual + [("Upper", "y")],
             usual + [("connection", "close")], usual + [("x\0", "y")],
             usual + [("x", "a\r\nb")], usual + [(":other", "y")],
             usual + [("content-length", "x")],
             usual + [("x" * 9000, "y" * 9000)],
             usual + [(f"x{i}", "y" * 100) for i in range(200)]]
    with target() as d, Tunnel(d) as t:
        for case in wrong:
            t.stream += 2
            data, flags = hpack(case), END_STREAM
            kind = HEADERS
            while len(data) > 16000:
                t.frame(kind, flags, t.stream, data[:16000])
                data, kind, flags = data[16000:], CONTINUATION, 0
            t.frame(kind, flags | END_HEADERS, t.stream, data)
            status, _ = t.answer(t.stream)
            assert status is None or 400 <= status < 500, (case[:6], status)
            assert t.post("/machine/none", {})[0] == 404
        assert t.answer(t.begin("/machine/" + "x" * 5000))[0] == 404
        assert t.answer(t.begin("/machine/map", method="GET"))[0] == 404
        assert t.answer(t.begin("/machine/map?x=1", b"{}"))[0] == 400
        # Trailers, and a content-length that is wrong.
        stream = t.begin("/machine/none", b"{}", end=False)
        t.frame(HEADERS, END_HEADERS | END_STREAM, stream, hpack({"x": "y"}))
        assert t.answer(stream)[0] == 404
        stream = t.begin("/machine/none", b"{}", **{"content-length": "7"})
        assert t.answer(stream)[0] in (None, 404)


def requests():
    """Bodies that are no requests are told so."""
    with target() as d, Tunnel(d) as t:
        for path in ("/machine/register", "/machine/map"):
            for body in (b"", b"{", b"[]", b"null", b"\xff", b"{}",
                         b'{"NodeKey":7}', b"[" * 10000):
                assert t.post(path, body)[0] == 400, (path, body[:20])
        assert t.post("/machine/map", t.map_request())[0] == 404
        assert t.answer(t.begin("/machine/map"))[0] == 400
        # What stock clients may ask for, and is not served.
        for path in ("tka/init/begin", "tka/init/finish", "tka/bootstrap",
                     "tka/sync/offer", "tka/sync/send", "tka/disable",
                     "tka/sign", "set-dns", "id-token", "update-health",
                     "set-device-attr", "audit-log", "feature/query"):
            assert t.post("/machine/" + path, {
                "Version": 142, "NodeKey": t.node_key})[0] == 404, path


def streams_told():
    """How many streams there may be is told first. Who did not read that yet
    is refused the one that is too much, and keeps the others."""
    with target() as d, Tunnel(d) as t:
        kind, _, _, settings = t.read()
        assert kind == SETTINGS and dict(
            struct.iter_unpack(">HI", settings))[3] == 32, settings
        held = [t.begin("/machine/none", end=False) for _ in range(33)]
        assert t.answer(held.pop()) == (None, 7)  # REFUSED_STREAM
        for stream in held:
            t.body(stream, b"{}")
            assert t.answer(stream)[0] == 404


def streams():
    """One client may have 32 requests open; one more ends its connection, and
    no other."""
    with target() as d, Tunnel(d) as t, Tunnel(d) as other:
        assert t.post("/machine/none", {})[0] == 404
        held = [t.begin("/machine/none", end=False) for _ in range(32)]
        for stream in held[:10]:
            t.frame(RST_STREAM, 0, stream, bytes(4))
        more = [t.begin("/machine/none", {}) for _ in range(10)]
        for stream in more:
            assert t.answer(stream)[0] == 404
        for stream in held[10:]:
            t.body(stream, b"{}")
            assert t.answer(stream)[0] == 404
        for _ in range(33):
            t.begin("/machine/none", end=False)
        t.frames()
        assert t.goaway
        assert other.post("/machine/none", {})[0] == 404


def floods():
    """Frames without end, of which each costs an answer or some memory."""
    request = hpack({":method": "POST", ":scheme": "https", ":authority": "c",
                     ":path": "/machine/none"})

    def continued(t):
        yield frame(HEADERS, 0, 1, request)
        while True:
            yield frame(CONTINUATION, 0, 1, hpack({"x": "y" * 4000})[1:])

    def resets(t):
        for stream in range(1, 1 << 20, 2):
            yield frame(HEADERS, END_HEADERS, stream, request) + frame(
                RST_STREAM, 0, stream, bytes(4))

    def opened_and_closed(t):
        for stream in range(1, 1 << 20, 2):
            yield frame(
                HEADERS, END_HEADERS | END_STREAM, stream, request)

    def pings(t):
        while True:
            yield frame(PING, 0, 0, bytes(8)) * 200

    def settings(t):
        while True:
            yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1)) * 200

    def windows(t):
        while True:
            yield (frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") + frame(
                SETTINGS, 0, 0, struct.pack(">HI", 1, 4096))) * 200

    def empty_data(t):
        yield frame(HEADERS, END_HEADERS, 1, request)
        while True:
            yield frame(DATA, 0, 1) * 400

    def empty_records(t):
        while True:
            yield b""

    with target() as d:
        before = d.rss()
        for make in (continued, resets, opened_and_closed, pings, settings,
                     windows, empty_data, empty_records):
            t, sent = Tunnel(d), 0
            t.tcp.settimeout(1)
            # It does not read. Until it is cut, or nothing more fits, or it
            # has sent enough to see that it costs nobody anything.
            with contextlib.suppress(TimeoutError):
                for data in make(t):
                    sent += 1
                    if sent == 20000:
                        break
                    sealed = t.sealed(data) if not data else b"".join(
                        t.sealed(data[i:i + 4077])
                        for i in range(0, len(data), 4077))
                    if not t.send(sealed):
                        break
            with Tunnel(d) as other:
                assert other.post("/machine/none", {})[0] == 404, make.__name__
            grown = d.rss() - before
            assert VARIANT != "release" or grown < 8 * MIB, \
                (make.__name__, grown)
            t.reset()


# ---- map streams ----

def grow(mover, index):
    """Tells as much of its host as peers get: 40 KiB."""
    status, _ = mover.post("/machine/map", {
        "Version": 142, "NodeKey": mover.node_key, "OmitPeers": True,
        "Hostinfo": {
            "sshHostKeys": [f"{index} {i} ".ljust(1024, "x")
                            for i in range(16)],
            "WoLMACs": [f"{index} {i} ".ljust(1024, "y") for i in range(16)],
            "Services": [{"Proto": "tcp", "Port": i, "Description": "z" * 64}
                         for i in range(64)]}})
    assert status == 200, status


def never_read():
    """Who does not read is cut with a reason, whether he gives a stream of
    maps no room or takes nothing off the connection. Meanwhile others change,
    and whoever reads gets each change."""
    with target() as d, contextlib.ExitStack() as stack:
        key = d.authkey("--reusable")
        movers = [stack.enter_context(c) for c in joined(d, 64)]
        for index, mover in enumerate(movers):
            grow(mover, index)
        reader, deaf, stuck = (
            stack.enter_context(Tunnel(d)) for _ in range(3))
        for t in (reader, deaf, stuck):
            with Client(d, t.machine, t.node) as joins:
                joins.join(key, "listens")
        reader.open_map()
        # It gets its first map's head, and no byte of the map.
        deaf.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
        deaf.begin("/machine/map", deaf.map_request())
        wait_for(lambda: d.metric("open_streams") == 2)
        # More than the kernel keeps for it.
        for _ in range(6):
            stuck.begin("/machine/map", stuck.map_request(Stream=False))
        cut = 0
        for number in range(400):
            mover = movers[number % len(movers)]
            told = f"192.0.2.1:{number + 1}"
            mover.post("/machine/map", {
                "Version": 142, "NodeKey": mover.node_key, "OmitPeers": True,
                "Endpoints": [told]})
            while told not in json.dumps(reader.message()):
                pass
            if any("reads too slowly" in line for line in d.lines):
                break
        assert 200 < number < 300, number
        deaf.frames()
        d.line(deaf.public.hex() + ": closed: reads too slowly")
        assert d.metric("slow_readers_total") == 1
        d.clocks.later(31)
        d.line(stuck.public.hex() + ": closed: takes nothing for 30 s")
        stuck.rest()
        assert d.metric("slow_readers_total") == 2
        # Only the reader is left.
        wait_for(lambda: d.metric("open_streams") == 1)


def each_apart():
    """A stream that may not be answered yet holds up no other one of its
    connection, and gets no byte more than it gave room for."""
    with target() as d, Tunnel(d) as t:
        with Client(d, t.machine, t.node) as joins:
            joins.join(d.authkey("--reusable"), "apart")
        t.reading = False
        t.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
        ask_once = t.map_request(Stream=False)
        late = [t.begin("/machine/map", ask_once) for _ in range(4)]
        given = {}

        def give(stream, size):
            given[stream] = given.get(stream, 0) + size
            t.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))
            return stream

        # One after the other of those that came later is answered whole.
        for _ in range(4):
            now = give(t.begin("/machine/map", ask_once), 1 << 20)
            status, body = t.answer(now)
            assert status == 200, status
            size, = struct.unpack("<I", body[:4])
            assert len(body) == 4 + size
            assert json.loads(body[4:])["Node"]["Key"] == t.node_key
        # The first get theirs piece by piece.
        for step in range(1, 20):
            for stream in late:
                give(stream, step)
            small = give(t.begin("/machine/whoami", method="GET"), 7)
            assert t.answer(small) == (200, b"coordd\n")
            for stream in late:
                got = t.streams[stream]
                while len(got.body) < given[stream]:
                    t.step()
                assert len(got.body) == given[stream], (step, len(got.body))
                assert got.status == 200 and not got.ended
        for stream in reversed(late):
            status, text = t.answer(give(stream, 1 << 20))
            assert status == 200 and len(text) == len(body), len(text)


def vanishes():
    """Clients that go without a goodbye, at any moment of a stream."""
    def online():
        return sum(n["online"] for n in d.json("nodes", "list"))

    with target("-offline-grace", "1s") as d:
        key = d.authkey("--reusable")
        for step in range(6):
            t = Tunnel(d)
            if step > 0:
                with Client(d, t.machine, t.node) as joins:
                    joins.join(key, f"gone{step}")
                # Of the first two only the request is on its way.
                t.map_stream = t.begin("/machine/map", t.map_request())
            if step > 1:
                assert t.message()["Node"]["Key"] == t.node_key
                assert online() > 0
            if step > 2:
                t.frame(RST_STREAM, 0, t.map_stream, struct.pack(">I", 8))
            if step > 3:
                assert t.open_map()["Node"]["Key"] == t.node_key
            if step > 4:
                t.send(t.sealed(b"x" * 100)[:50])
            t.reset()
        wait_for(lambda: online() == 0)
        # They are away, and still there.
        assert len(d.json("nodes", "list")) == 2 + 5


TESTS = [half_heads, overdue, heads, pages, verify, handshakes, replayed,
         records, records_cut, frames, fields, requests, streams_told, streams,
         floods, never_read, each_apart, vanishes]

if __name__ == "__main__":
    sys.exit(main(TESTS))
