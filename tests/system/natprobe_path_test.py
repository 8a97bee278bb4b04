#!/usr/bin/python3
# tests/run: one-thread
"""natprobe_path_test: natprobe's path on loopback: STUN servers whose answers
were tampered with, odd ones, options and an environment that are wrong. Paths
of every kind are in tests/natlab/path_test.py. Prints TAP."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading

import taprun

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NATPROBE = os.environ.get("NATPROBE", f"{TOP}/build/release/natprobe")
LIMIT = 60
LOOPBACK = "127.0.0.1"
COOKIE = 0x2112A442
MAPPED, XOR_MAPPED = 0x0001, 0x0020


def address(kind, ip, port, mask=0):
    packed, = struct.unpack(">I", socket.inet_aton(ip))
    return struct.pack(">HHBBHI", kind, 8, 0, 1, port ^ (mask >> 16),
                       packed ^ mask)


class Stun:
    """Answers each request with what talk makes of its id and source."""

    def __init__(self, talk):
        self.talk = talk
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                request, peer = self.socket.recvfrom(4096)
                if peer is None:
                    return
                answer = self.talk(request[8:20], peer, request)
                if answer:
                    self.socket.sendto(answer, peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Wakes the thread, which a close alone does not.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def success(txid, *attributes):
    body = b"".join(attributes)
    return struct.pack(">HHI", 0x0101, len(body), COOKIE) + txid + body


def tampered(plain):
    """A NAT's address, hidden from whatever rewrites what is plain."""
    def talk(txid, peer, _):
        return success(txid, address(XOR_MAPPED, "198.51.100.9", peer[1],
                                     COOKIE),
                       address(MAPPED, plain, peer[1]))
    return talk


def run(*flags, status=None, env=None):
    clean = {k: v for k, v in os.environ.items()
             if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [NATPROBE, *flags], text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=LIMIT, env={**clean, **(env or {})})
    assert status is None or done.returncode == status, done
    return done


def probe(port, *flags, **more):
    done = run("-json", "-", "-dns=false", "-stun", f"{LOOPBACK}:{port}",
               *flags, **more)
    assert done.returncode in (0, 1, 3), done
    return json.loads(done.stdout), done.stderr


def alg():
    for plain, verdict, why in (
            (LOOPBACK, "yes", None), ("10.1.2.3", "yes", None),
            ("198.51.100.9", "no", None),
            ("203.0.113.77", "unknown", "server-contradicts-itself")):
        with Stun(tampered(plain)) as s:
            said, words = probe(s.port, "-ports", "none")
        got = said["ipv4"]["alg"]
        assert (got["verdict"], got["why"]) == (verdict, why), got
        assert ("addresses within packets are rewritten" in words) == (
            verdict == "yes"), words


def without_padding():
    """Refused with 420, as by servers that do not know RFC 5780."""
    def talk(txid, peer, request):
        if b"\x00\x26" in request[20:24] or b"\x00\x26" in request[32:34]:
            return struct.pack(">HHI", 0x0111, 8, COOKIE) + txid \
                + struct.pack(">HHHBB", 9, 4, 0, 4, 20)
        return success(txid, address(XOR_MAPPED, *peer, COOKIE))

    with Stun(talk) as s:
        said, _ = probe(s.port, "-ports", "none")
    mtu = said["path"]["ipv4"]["mtu"]
    assert mtu["outbound"]["verdict"] == "full", mtu
    assert mtu["inbound"]["verdict"] == "unknown", mtu
    assert mtu["inbound"]["why"] == "server-refuses", mtu


def garbage():
    """Answers that are none, from the right address: no verdict, no end."""
    with Stun(lambda txid, *_: os.urandom(8) + txid + os.urandom(40)) as s:
        said, words = probe(s.port)
    path = said["path"]["ipv4"]
    assert path["mtu"]["server"] is None, path
    assert path["mtu"]["outbound"]["why"] == "no-server-answers", path
    assert said["ipv4"]["udp"] == "no", said
    assert said["ipv4"]["udp_blocked"] == {
        "verdict": "server-down", "why": "what-answers-is-no-stun"}, said
    assert "UDP blocked" in words, words


def left_out():
    with Stun(tampered("198.51.100.9")) as s:
        said, words = probe(s.port, "-path=false")
        assert not {"path", "dns", "proxy"} & set(said), said
        assert "udp_blocked" not in said["ipv4"], said
        assert "path MTU" not in words, words
        said, _ = probe(s.port, "-ports", "none")
        assert said["path"]["ipv4"]["ports"] == [], said["path"]
        assert "dns" not in said, said


def bad_options():
    for text in ("x", "0", "65536", "udp:", "tcp:1,", "sctp:1", "-1",
                 "udp:1\n", ",".join(["80"] * 33)):
        done = run("-stun", LOOPBACK, "-ports", text, status=2)
        assert done.stderr.startswith("natprobe: ports: "), done.stderr
        assert done.stdout == "", done
    done = run("-stun", LOOPBACK, "-dns", "false", status=2)
    assert done.stderr.count("\n") == 1, done.stderr


def environment():
    """What it names is shown without the secret, and nothing is sent where no
    relay is."""
    with Stun(tampered("198.51.100.9")) as s:
        for url, shown, why in (
                ("http://robot:geheim@proxy.invalid:3128",
                 "http://proxy.invalid:3128", None),
                ("socks5://robot:geheim@proxy.invalid", "", "not-http"),
                ("http://robot:geheim@:x", "", "no-url")):
            said, words = probe(s.port, "-ports", "none",
                                env={"https_proxy": url})
            proxy = said["proxy"]
            assert proxy["https_proxy"] == shown, proxy
            assert proxy["why"] == why, proxy
            assert "geheim" not in words + json.dumps(said), words
        said, words = probe(s.port, "-ports", "none",
                            env={"http_proxy": "http://proxy.invalid"})
        assert said["proxy"]["https_proxy"] is None, said["proxy"]
        assert "http_proxy is set, https_proxy is not" in words, words


def dry():
    env = {"https_proxy": "http://robot:geheim@proxy.invalid:3128"}
    done = run("-n", "-stun", f"{LOOPBACK}:3478", "-relay",
               "https://relay.invalid", status=0, env=env)
    for words in ("path MTU and fragments, questions of at most 2048 bytes",
                  f"udp:{LOOPBACK}:41641", f"tcp:{LOOPBACK}:443",
                  "DNS: at most 8 names",
                  "connections to http://proxy.invalid:3128\n"):
        assert words in done.stdout, done.stdout
    assert "geheim" not in done.stdout, done.stdout
    done = run("-n", "-stun", f"{LOOPBACK}:3478", "-path=false", status=0)
    assert "path MTU" not in done.stdout, done.stdout


if __name__ == "__main__":
    sys.exit(taprun.main([alg, without_padding, garbage, left_out,
                          bad_options, environment, dry]))
