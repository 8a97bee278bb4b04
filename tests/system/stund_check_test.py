#!/usr/bin/python3
# tests/run: peers
"""stund_check_test: stund -check against real servers and lying ones, on
loopback. Prints TAP.

$STUND is the program (default build/release/stund), $DERPER Tailscale's.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import netspace
from stundc import (COOKIE, ERROR, SUCCESS, STUND, Skip, Stund, attribute,
                        attributes_of, free_tcp_port, has_ipv6, message)

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DERPER = os.environ.get("DERPER", str(TOP / "build/peers/derper"))

# No condition takes longer than this, on a busy machine and with sanitizers.
LIMIT = 60.0


# ---- the program ----

class Check:
    """What stund -check URI printed, taken apart."""

    def __init__(self, uri, env=None, before=()):
        done = subprocess.run(
            [*before, STUND, "-check", uri], stdin=subprocess.DEVNULL,
            text=True, capture_output=True, timeout=LIMIT,
            env={**os.environ, **(env or {})})
        self.status, self.out, self.err = \
            done.returncode, done.stdout, done.stderr
        self.facts = {}
        self.faults = []
        self.rows = {}
        for line in self.out.splitlines():
            if found := re.match(r"(fit|not fit|unclear) +(for .*)", line):
                kind, _, why = found[2].partition(": ")
                self.facts[kind] = (found[1], why)
            elif found := re.match(r"fault +(.*)", line):
                self.faults.append(found[1])
            elif found := re.match(r"(you|other|program|tls) +(.*)", line):
                self.facts[found[1]] = found[2]
            elif found := re.match(r"(.{24})  +(\d+)  (.*?)(  .*)?$", line):
                self.rows[found[1].strip()] = found[3]

    def fit(self, status, basic="fit", tailscale="fit", behaviour="not fit"):
        got = [self.facts[f"for {what}"][0] for what in (
            "basic STUN (WebRTC)", "Tailscale clients",
            "NAT behaviour discovery")]
        assert got == [basic, tailscale, behaviour], self.out
        assert self.status == status and self.err == "", (self.status, self.err)
        return self

    def why(self, kind, text):
        assert text in self.facts["for " + kind][1], self.out
        return self

    def fault(self, text):
        assert any(text in f for f in self.faults), self.out
        return self

    def fact(self, name, text):
        assert text in self.facts[name], self.out
        return self


# ---- real servers ----

def itself():
    with Stund() as d:
        check = Check(f"stun:127.0.0.1:{d.ports[0]}")
    check.fit(0).why("NAT behaviour discovery", "no OTHER-ADDRESS")
    check.fact("you", "no NAT is between")
    assert check.faults == [], check.faults
    assert check.rows["unknown attribute 0x7ABC"] == "error 420, names it"
    assert check.rows["wrong FINGERPRINT"] == "silence", check.out


def two_addresses(*flags):
    """stund with two addresses: what -check says of it."""
    port = free_port()
    uri = f"stun:127.0.0.2:{port}"
    with child([STUND, "-listen", f"127.0.0.2:{port}", "-alternate",
                f"127.0.0.3:{port + 1}", *flags], uri):
        return port, Check(uri)


def itself_whole():
    port, check = two_addresses("-behaviour", "always", "-classic")
    check.fit(0, behaviour="fit").fact("other", f"127.0.0.3:{port + 1}")
    check.fact("program", "campusnet's stund")
    assert [f[:13] for f in check.faults] == ["it amplifies:"], check.faults
    for name, ending in (("CHANGE-REQUEST port", f"2:{port + 1}"),
                         ("CHANGE-REQUEST address", f"3:{port}"),
                         ("CHANGE-REQUEST both", f"3:{port + 1}")):
        assert check.rows[name].endswith("from 127.0.0." + ending), check.out
    for name in ("TCP", "TCP, same connection", "TCP at OTHER-ADDRESS"):
        assert check.rows[name].startswith("address"), check.out


def itself_fit():
    """By default it amplifies nothing, and says so: usual clients of RFC 5780
    do not learn of the other address."""
    _, check = two_addresses()
    check.fit(0).why("NAT behaviour discovery", "told to long requests only")
    check.why("NAT behaviour discovery", "-behaviour always")
    assert check.faults == [], check.faults
    check.fact("program", "campusnet's stund")


def itself_strict():
    _, check = two_addresses("-strict")
    check.fit(1, "not fit").why("basic STUN (WebRTC)",
                                "browsers send gets no answer")
    # What does not fit into 28 bytes.
    check.fault("420 does not list").fault("asks for no change")
    assert len(check.faults) == 2, check.faults


def itself_tls():
    with tempfile.TemporaryDirectory() as folder:
        certificate(folder, "127.0.0.1")
        port = free_tcp_port()
        with Stund("-tls-listen", f"127.0.0.1:{port}", "-certificate",
                   f"{folder}/cert", "-key", f"{folder}/key"):
            check = Check(f"stuns:127.0.0.1:{port}",
                          {"SSL_CERT_FILE": f"{folder}/cert"})
    check.fit(0, tailscale="not fit")
    check.fact("tls", "certificate trusted, ALPN stun.nat-discovery")
    assert check.rows["TLS, same connection"].startswith("address"), check.out


def unvarying(text):
    """The lines without times and the ports that were free."""
    lines = re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text).splitlines()
    return [line[:92].rstrip() if line[26:31].strip().isdigit() else line
            for line in lines]


def readme():
    """What the README shows is what is printed."""
    with Stund() as d:
        check = Check(f"stun:127.0.0.1:{d.ports[0]}")
    shown = re.search(r"```text\n(127\.0\.0\.1 at .*?)```",
                      (TOP / "README.md").read_text(), re.S)
    assert unvarying(shown[1]) == unvarying(check.out), check.out


def itself_v6():
    if not has_ipv6():
        raise Skip("no IPv6 on loopback")
    with Stund(listen=["[::1]:0"]) as d:
        check = Check(f"stun:[::1]:{d.ports[0]}").fit(0)
    assert check.out.startswith(f"::1 at [::1]:{d.ports[0]}\n"), check.out


def both_families():
    """A name with two addresses: both are checked, and both count."""
    if not has_ipv6():
        raise Skip("no IPv6 on loopback")
    if why := netspace.cannot():
        raise Skip(f"cannot have an /etc/hosts of its own: {why}")
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write("127.0.0.1 two.test\n::1 two.test\n")
        hosts.flush()
        own = ["unshare", "--mount", "sh", "-euc",
               f"mount --bind {hosts.name} /etc/hosts; exec \"$@\"", "sh"]
        with Stund(listen=[":0"]) as d:
            check = Check(f"stun:two.test:{d.ports[0]}", before=own).fit(0)
        assert check.out.count("fit       for Tailscale") == 2, check.out
        with Stund(listen=["127.0.0.1:0"]) as d:
            check = Check(f"stun:two.test:{d.ports[0]}", before=own)
    assert check.status == 1, "the other family's address is refused"
    assert check.out.count("fit       for Tailscale") == 1, check.out
    assert "Connection refused" in check.out, check.out


@contextlib.contextmanager
def child(command, uri, cwd=None):
    """A server until the block ends; it answers from the beginning."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=cwd,
                                  stdout=log, stderr=subprocess.STDOUT,
                                  preexec_fn=netspace.die_with_parent)
        try:
            host, _, port = uri.partition(":")[2].rpartition(":")
            deadline = time.monotonic() + LIMIT
            with socket.socket(type=socket.SOCK_DGRAM) as s:
                s.connect((host, int(port)))
                s.settimeout(0.1)
                while True:
                    with contextlib.suppress(OSError):
                        s.send(message(attributes=attribute(
                            0x8022, b"tailnode"), fingerprint=True))
                        if s.recv(2000):
                            break
                    assert server.poll() is None and \
                        time.monotonic() < deadline, "it does not start"
                    time.sleep(0.05)
            yield
        finally:
            server.terminate()
            server.wait(LIMIT)


def free_port():
    """A port with the next one, for TCP and UDP, on two addresses."""
    for _ in range(1000):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            first = free_tcp_port()
            for host in ("127.0.0.2", "127.0.0.3"):
                for port in (first, first + 1):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        s = held.enter_context(socket.socket(type=kind))
                        s.bind((host, port))
            return first
    raise AssertionError("no free ports")


def coturn():
    """Its RFC 5780 is whole; its answers are too long."""
    if not shutil.which("turnserver"):
        raise Skip("Debian's coturn is not installed")
    port = free_port()
    uri = f"stun:127.0.0.2:{port}"
    with child(["turnserver", "-n", "--stun-only", "-L", "127.0.0.2", "-L",
                "127.0.0.3", "-p", str(port), "--alt-listening-port",
                str(port + 1), "--no-cli", "--no-tls", "--no-dtls",
                "--pidfile", "/dev/null", "--log-file", "stdout"], uri):
        check = Check(uri).fit(0, behaviour="fit")
    check.fact("program", 'coturn, says "Coturn-')
    check.fact("other", f"127.0.0.3:{port + 1}")
    check.fault("24 bytes (PADDING of 0) bring 1596")
    for name, ending in (("CHANGE-REQUEST port", f"2:{port + 1}"),
                         ("CHANGE-REQUEST address", f"3:{port}"),
                         ("CHANGE-REQUEST both", f"3:{port + 1}")):
        assert check.rows[name].endswith("from 127.0.0." + ending), check.out
    for name in ("TCP", "TCP, same connection", "TCP at OTHER-ADDRESS"):
        assert check.rows[name].startswith("address"), check.out
    for n in (2, 4):
        assert check.rows[f"RESPONSE-PORT, {n} bytes"].endswith(
            "to that port"), check.out
    assert check.rows["RFC 3489 request"] == \
        "address, not XORed, CHANGED-ADDRESS", check.out


def derper():
    if not os.path.exists(DERPER):
        raise Skip(f"no {DERPER}: make peers")
    port = free_tcp_port()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"stun:127.0.0.1:{port}"
        with child([DERPER, "-dev", "-a", f"127.0.0.1:{free_tcp_port()}",
                    "-stun-port", str(port), "-http-port", "-1", "-c",
                    folder + "/key"], uri, cwd=folder):
            check = Check(uri).fit(1, basic="not fit")
    check.fact("program", "Tailscale's derper or stund")
    check.why("basic STUN (WebRTC)", "browsers send gets no answer")


# ---- servers that lie ----

def xor_mapped(m, address):
    host, port = address
    ip = bytes(a ^ b for a, b in zip(socket.inet_aton(host), m[4:8]))
    return attribute(0x0020, struct.pack(">BBH", 0, 1, port ^ COOKIE >> 16) + ip)


def plain(kind, host, port):
    return attribute(kind, struct.pack(">BBH", 0, 1, port)
                     + socket.inet_aton(host))


class Liar:
    """A server on UDP: `answers` makes of a request (bytes, its address, its
    attributes) the datagrams to send back, or sends them itself."""

    def __init__(self, answers):
        self.answers = answers
        self.times = []
        self.requests = []
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.uri = f"stun:127.0.0.1:{self.port}"

    def serve(self):
        while True:
            m, source = self.socket.recvfrom(2048)
            if m == b"end":
                return
            self.times.append(time.monotonic())
            self.requests.append(m)
            if struct.unpack_from(">I", m, 4)[0] == COOKIE:
                for answer in self.answers(m, source, attributes_of(m)) or ():
                    self.socket.sendto(answer, source)

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join(LIMIT)
        self.socket.close()


def success(m, *values):
    return message(SUCCESS, b"".join(values), txid=m[8:20])


def honest(m, source, found):
    """As a server with one address should."""
    if 0x7ABC in found or 0x0027 in found or 0x0003 in found and any(
            found[0x0003]):
        unknown = next(k for k in (0x7ABC, 0x0027, 0x0003) if k in found)
        return [message(ERROR, attribute(9, b"\0\0\4\x14") + attribute(
            10, struct.pack(">H", unknown)), txid=m[8:20])]
    return [success(m, xor_mapped(m, source))]


def honest_is_fit():
    with Liar(honest) as liar:
        check = Check(liar.uri).fit(0)
        gaps = [b - a for a, b in zip(liar.times, liar.times[1:])]
    # It looks at no FINGERPRINT, and that is its only fault.
    check.fault("does not look at FINGERPRINT")
    assert len(check.faults) == 1, check.faults
    # The pace, measured at the far end: 10 requests a second, but for what a
    # busy machine delays.
    assert sum(gaps) >= 0.1 * len(gaps) * 0.9, gaps


def other_address_lies():
    for host, port, says in (
            ("127.0.0.1", 9, "is the address that was asked"),
            ("0.0.0.0", 0, "is no address that a host can have"),
            ("239.1.1.1", 9, "is no address that a host can have")):
        with Liar(lambda m, source, _: [success(
                m, xor_mapped(m, source), plain(0x802C, host, port))]) as liar:
            check = Check(liar.uri).fit(0)
        check.why("NAT behaviour discovery", f"{host}:{port} {says}")


def mapped_lies():
    for lie, says in ((("0.0.0.0", 5), "no address that a host can have"),
                      (("192.0.2.1", 0), "no address that a host can have")):
        with Liar(lambda m, *_: [success(m, xor_mapped(m, lie))]) as liar:
            check = Check(liar.uri).fit(1, "not fit", "not fit")
        check.why("basic STUN (WebRTC)", says)


def two_addresses_differ():
    with Liar(lambda m, source, _: [success(
            m, xor_mapped(m, source), plain(1, "192.0.2.9", 9))]) as liar:
        Check(liar.uri).fit(0).fault(
            "MAPPED-ADDRESS says 192.0.2.9:9, XOR-MAPPED-ADDRESS 127.0.0.1:")


def answers_twice():
    with Liar(lambda *a: honest(*a) * 2) as liar:
        Check(liar.uri).fit(0).fault("bare request: 2 answers to 1 requests")


def answers_from_elsewhere():
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))

        def elsewhere(m, source, found):
            for answer in honest(m, source, found):
                other.sendto(answer, source)

        with Liar(elsewhere) as liar:
            check = Check(liar.uri).fit(1, "not fit", "not fit")
        check.why("basic STUN (WebRTC)", "it answers from 127.0.0.1:"
                  f"{other.getsockname()[1]}, not from 127.0.0.1:{liar.port}")


def wrong_transaction():
    with Liar(lambda m, source, _: [message(
            SUCCESS, xor_mapped(m, source))]) as liar:
        check = Check(liar.uri).fit(1, "not fit", "not fit")
    check.fault("answers to requests that were never sent")


def says_terrible_things():
    """SOFTWARE with control characters: none reaches the terminal."""
    with Liar(lambda m, source, _: [success(
            m, xor_mapped(m, source),
            attribute(0x8022, b"\x1b[2Jevil\n\"\xff\\"))]) as liar:
        check = Check(liar.uri).fit(0)
    check.fact("program", r'says "\x1b[2Jevil\x0a\x22\xff\x5c"')
    assert set(check.out) <= {chr(c) for c in range(32, 127)} | {"\n"}


def garbage():
    """Bytes of all kinds: it ends in time and is not impressed."""
    def mangle(m, source, found):
        whole = honest(m, source, found)[0]
        return [b"", b"\1", whole[:19], whole[:-1], whole + b"\0\0\0\0",
                whole[:20] + b"\xff" * (len(whole) - 20), bytes(2000)]

    with Liar(mangle) as liar:
        check = Check(liar.uri).fit(1, "not fit", "not fit")
    check.fault("attributes of the answer run past its end")


# ---- not reachable ----

def refused():
    check = Check(f"stun:127.0.0.1:{free_tcp_port()}")
    check.fit(1, "not fit", "not fit")
    check.why("basic STUN (WebRTC)", "Connection refused")


def silent():
    """Each request is sent three times, and the end comes in time."""
    with Liar(lambda *_: []) as liar:
        check = Check(liar.uri).fit(1, "not fit", "not fit")
        assert sorted(map(liar.requests.count, liar.requests)) == [3] * 12, \
            liar.requests
    check.why("basic STUN (WebRTC)", "no answer")


def no_such_name():
    check = Check("stun:no-such-host.invalid")
    assert check.status == 1 and check.out == "", check.out
    assert re.fullmatch(r"stund: -check: cannot find no-such-host\.invalid: "
                        r"[^\n]+\n", check.err), check.err


def wrong_uris():
    for uri, says in (("turn:a", "want stun:HOST"), ("stun:", "host is missing"),
                      ("stun:a?transport=udp", "no query"),
                      ("stun:::1", "goes in brackets"),
                      ("stun:a:70000", "want a port of 1 to 65535"),
                      ("stun:a\n", "no host name")):
        check = Check(uri)
        assert check.status == 2 and check.out == "", check.out
        assert check.err.startswith("stund: -check \"") and \
            check.err.count("\n") == 1 and says in check.err, check.err


# ---- TCP and TLS ----

class Stream:
    """STUN over TCP, or with a context over TLS: `once` ends a connection
    after one answer."""

    def __init__(self, context=None, once=False):
        self.context = context
        self.once = once
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def serve(self):
        while True:
            s, source = self.listener.accept()
            with contextlib.suppress(OSError), s:
                s.settimeout(LIMIT)
                if self.ended:
                    return
                if self.context:
                    s = self.context.wrap_socket(s, server_side=True)
                while len(m := s.recv(20)) == 20:
                    s.sendall(success(m, xor_mapped(m, source)))
                    if self.once:
                        break
                s.close()

    def __enter__(self):
        self.ended = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join(LIMIT)
        self.listener.close()


def certificate(folder, name):
    """A self-signed certificate for an address or a name."""
    kind = "IP" if name[0].isdigit() else "DNS"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=x", "-addext",
                    f"subjectAltName={kind}:{name}",
                    "-keyout", f"{folder}/key", "-out", f"{folder}/cert"],
                   check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{folder}/cert", f"{folder}/key")
    return context


def tls():
    """Trusted by SSL_CERT_FILE, for the right name and another; unknown."""
    with tempfile.TemporaryDirectory() as folder:
        trust = {"SSL_CERT_FILE": f"{folder}/cert"}
        context = certificate(folder, "127.0.0.1")
        with Stream(context) as s:
            check = Check(f"stuns:127.0.0.1:{s.port}", trust).fit(
                0, tailscale="not fit")
            check.fact("tls", "certificate trusted")
            assert "ALPN" not in check.facts["tls"]
            assert check.rows["TLS, same connection"] == "address", check.out
            assert "bare request" not in check.rows, "nothing over UDP"
            context.set_alpn_protocols(["stun.nat-discovery"])
            check = Check(f"stuns:127.0.0.1:{s.port}", trust)
            check.fact("tls", "ALPN stun.nat-discovery")
            check = Check(f"stuns:127.0.0.1:{s.port}").fit(
                1, "not fit", "not fit")
            check.why("basic STUN (WebRTC)", "clients refuse its certificate")
            check = Check(f"stuns:localhost:{s.port}", trust)
            assert check.status == 1, check.out
            check.fact("tls", "refused: hostname mismatch")


def tls_to_plain():
    """A server that does not speak TLS."""
    with Stream() as s:
        check = Check(f"stuns:127.0.0.1:{s.port}").fit(1, "not fit", "not fit")
    check.why("basic STUN (WebRTC)", "TLS: ")


def one_answer_per_connection():
    with Liar(honest) as liar:
        stream = Stream(once=True)
        stream.listener.close()
        stream.listener = socket.create_server(("127.0.0.1", liar.port))
        stream.port = liar.port
        with stream:
            check = Check(liar.uri).fit(0)
    check.fault("a second request in the same connection gets no answer")


class Other(Stream):
    """TCP that answers each request with the same bytes."""

    says = b""

    def serve(self):
        while True:
            s, _ = self.listener.accept()
            with contextlib.suppress(OSError), s:
                s.settimeout(LIMIT)
                while s.recv(20) and not self.ended:
                    s.sendall(self.says)
            if self.ended:
                return


def another_protocol():
    """What TCP brings is no STUN: another protocol, or no magic cookie."""
    with Liar(honest) as liar:
        stream = Other()
        stream.listener.close()
        stream.listener = socket.create_server(("127.0.0.1", liar.port))
        stream.port = liar.port
        with stream:
            for stream.says in (b"HTTP/1.1 400 Bad Request\r\n\r\n",
                                b"\1\1\0\0" + bytes(16)):
                check = Check(liar.uri).fit(0)
                assert re.search("^TCP .* what comes is no STUN$", check.out,
                                 re.M), check.out


TESTS = [itself, readme, itself_whole, itself_fit, itself_strict, itself_tls,
         itself_v6, both_families, coturn, derper, honest_is_fit,
         other_address_lies, mapped_lies, two_addresses_differ, answers_twice,
         answers_from_elsewhere, wrong_transaction, says_terrible_things,
         garbage, refused, silent, no_such_name, wrong_uris, tls,
         tls_to_plain, one_answer_per_connection, another_protocol]


def outcome(test):
    """(the line's end, what went wrong)"""
    try:
        test()
        return "", ""
    except Skip as why:
        return f" # skip {why}", ""
    except Exception:
        return "", traceback.format_exc()


def main():
    failed = 0
    # Most of the time each waits for answers that do not come.
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for n, (test, done) in enumerate(
                [(t, pool.submit(outcome, t)) for t in TESTS], 1):
            ending, failure = done.result()
            failed += bool(failure)
            print(f"{'not ' if failure else ''}ok {n} - {test.__name__}{ending}")
            for line in failure.splitlines():
                print("#", line)
            sys.stdout.flush()
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
