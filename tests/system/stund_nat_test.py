#!/usr/bin/python3
"""stund_nat_test: RFC 5780, campusnet's own attributes, RFC 3489 and SIGHUP,
with the real stund on two addresses of loopback. Prints TAP.
"""

import contextlib
import os
import pathlib
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from stundc import ERROR, LIMIT, SUCCESS, TOP
from stundc import Skip, Stund, ask, attribute, attributes_of, free_tcp_port
from stundc import http_get, main, mapped, message, outcome, refused, run
from stundc import samples, tailnode, udp

P1, P2 = 3478, 3479
CHANGE_PORT, CHANGE_IP = 2, 4


# ---- two addresses, and what is said of them ----

def some_address():
    """One of loopback that nobody else uses."""
    return "127." + ".".join(str(random.randrange(1, 255)) for _ in range(3))


class Two(Stund):
    """stund with A1:P1 and A2:P2, and what is needed to ask it."""

    def __init__(self, *flags, a1=None, a2=None, **options):
        self.a1, self.a2 = a1 or some_address(), a2 or some_address()
        v6 = ":" in self.a1
        at = [f"[{a}]" if v6 else a for a in (self.a1, self.a2)]
        super().__init__("-alternate", f"{at[1]}:{P2}", *flags,
                         listen=[f"{at[0]}:{P1}"], **options)
        for _ in range(3):
            self._port()

    def role(self, n):
        """Bit 0 is the port, bit 1 the address, as in RFC 5780's flags."""
        return (self.a2 if n & 2 else self.a1, P2 if n & 1 else P1)


def address(value):
    port = struct.unpack_from(">H", value, 2)[0]
    family = {1: socket.AF_INET, 2: socket.AF_INET6}[value[1]]
    return socket.inet_ntop(family, value[4:]), port


def change(flags):
    return attribute(0x0003, struct.pack(">I", flags))


def filled(attributes=b"", room=48):
    """A request with room for more in its answer."""
    return message(attributes=attributes + attribute(0xC000, bytes(room)))


def error_code(answer):
    found = attributes_of(answer)
    assert struct.unpack_from(">H", answer)[0] == ERROR, answer.hex()
    return found[0x0009][2] * 100 + found[0x0009][3]


# ---- the request forms of tests/stun_forms.txt ----

def read_forms():
    for line in (TOP / "tests/stun_forms.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            what, request, *answers = line.split(" | ")
            text, _, zeros = request.partition("*")
            yield what, bytes.fromhex(text) + bytes(int(zeros or 0)), answers


def describe(answer, source, d, port):
    """An answer in the words of the file."""
    kind = struct.unpack_from(">H", answer)[0]
    words = ["success" if kind == SUCCESS else str(error_code(answer)),
             str(len(answer))]
    roles = {d.role(n): name for n, name in
             enumerate(("A1P1", "A1P2", "A2P1", "A2P2"))}
    if port or roles[source] != "A1P1":
        words.append(roles[source])
    return ":".join(words + [str(port)] * bool(port))


def ask_form(d, s, other, request):
    """What becomes of a request, before that of one that is answered."""
    s.sendto(request, d.role(0))
    last = message()
    s.sendto(last, d.role(0))
    got = "silence"
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        for ready in select.select([s, other], [], [], LIMIT)[0]:
            answer, source = ready.recvfrom(8192)
            if answer[8:20] == last[8:20] and ready is s:
                # An answer from another socket is sent before this one.
                if select.select([other], [], [], 0)[0]:
                    answer, source = other.recvfrom(8192)
                    got = describe(answer, source, d, other.getsockname()[1])
                return got
            assert answer[4:20] == request[4:20], "the id comes back"
            got = describe(answer, source, d, ready is other and
                           other.getsockname()[1])
    raise AssertionError("no answer")


def forms():
    """All 29, under three policies."""
    for column, flags in enumerate(([], ["-behaviour", "always"],
                                    ["-classic"])):
        with Two(*flags) as d:
            host = some_address()
            with udp(host=host) as s, \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind((host, 12345))
                count = 0
                for what, request, answers in read_forms():
                    got = ask_form(d, s, other, request)
                    assert got == answers[column], \
                        f"{flags} {what}: {got}, not {answers[column]}"
                    count += 1
                assert count == 29


# ---- RFC 5780 ----

def check_roles(d, host):
    """Each of the four sockets, each CHANGE-REQUEST: from the right one."""
    with udp(socket.AF_INET6 if ":" in host else socket.AF_INET, host) as s:
        for asked in range(4):
            for flags in (0, CHANGE_PORT, CHANGE_IP, CHANGE_PORT | CHANGE_IP):
                request = filled(change(flags), 96)
                answer, source = ask(s, d.role(asked), request)
                want = d.role(asked ^ flags >> 1)
                assert source[:2] == want, f"{source}, not {want}"
                found = attributes_of(answer)
                assert mapped(answer) == s.getsockname()[:2]
                assert address(found[0x0001]) == s.getsockname()[:2]
                assert address(found[0x802B]) == want
                assert address(found[0x802C]) == d.role(asked ^ 3)
                assert len(answer) <= len(request)


def change_request():
    # One worker or several: an answer leaves from its worker's socket.
    for workers in ("1", "3"):
        with Two("-workers", workers, "-gated-rate", "0") as d:
            for _ in range(4):
                check_roles(d, some_address())


IPV6 = ("fd00:5780::1", "fd00:5780::2", "fd00:5780::3")


def in_namespace():
    """The part of change_request_ipv6 that runs where these addresses are."""
    with Two("-gated-rate", "0", a1=IPV6[0], a2=IPV6[1]) as d:
        check_roles(d, IPV6[2])
    with Two("-behaviour", "always", a1=IPV6[0], a2=IPV6[1]) as d, \
            udp(socket.AF_INET6, IPV6[2]) as s:
        assert len(ask(s, d.role(0), message())[0]) == 116
        assert len(ask(s, d.role(0), tailnode())[0]) == 44
    with Stund("-alternate", f"[{IPV6[1]}]:{P2}", "-alternate",
               f"127.0.0.3:{P2}", listen=[f"127.0.0.2:{P1}",
                                         f"[{IPV6[0]}]:{P1}"]) as d:
        with udp() as four, udp(socket.AF_INET6, IPV6[2]) as six:
            both = change(CHANGE_IP | CHANGE_PORT)
            assert ask(four, ("127.0.0.2", P1), message(attributes=both))[1] \
                == ("127.0.0.3", P2)
            assert ask(six, (IPV6[0], P1), message(attributes=both))[1][:2] \
                == (IPV6[1], P2)


def change_request_ipv6():
    """Loopback has one address of IPv6: in a network namespace it gets more."""
    setup = "ip link set lo up && " + " && ".join(
        f"ip address add {a}/128 dev lo nodad" for a in IPV6)
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", "--net", *own, "sh", "-c"]
    if subprocess.run([*unshare, setup], capture_output=True,
                      check=False).returncode:
        raise Skip("no network namespace with IPv6 to be had")
    done = subprocess.run(
        [*unshare, f"{setup} && exec {sys.executable} {__file__} ipv6"],
        capture_output=True, text=True, check=False, timeout=5 * LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr


def response_port():
    with Two() as d:
        host = some_address()
        with udp(host=host) as s, udp(host=host) as other:
            port = other.getsockname()[1]
            for value in (struct.pack(">H", port),
                          struct.pack(">HH", port, 0)):
                request = message(attributes=attribute(0x0027, value))
                s.sendto(request, d.role(0))
                answer, source = other.recvfrom(4096)
                assert answer[8:20] == request[8:20] and source == d.role(0)
                assert mapped(answer) == s.getsockname(), \
                    "what is told is where the request came from"


def padding():
    """The answer is as long as the request, whatever that is."""
    with Two("-behaviour", "always", "-gated-rate", "0") as d, udp() as s:
        for n in (8, 12, 16, 40, 100, 500, 1001, 1452, 1472, 2000):
            request = message(attributes=attribute(0x0026, bytes(n)))
            answer, _ = ask(s, d.role(0), request)
            assert len(answer) == max(32, len(request)), (n, len(answer))
            assert mapped(answer) == s.getsockname()


def one_address():
    """No OTHER-ADDRESS; a change of address is unknown."""
    with Stund("-behaviour", "always") as d, udp() as s:
        to = ("127.0.0.1", d.ports[0])
        found = attributes_of(ask(s, to, message())[0])
        assert 0x802C not in found and address(found[0x802B]) == to
        for flags in (CHANGE_PORT, CHANGE_IP, CHANGE_PORT | CHANGE_IP):
            answer, _ = ask(s, to, message(attributes=change(flags)))
            assert error_code(answer) == 420
            assert attributes_of(answer)[0x000A] == b"\0\3"


def advertise():
    a1, a2 = some_address(), some_address()
    with Two("-advertise", f"{a1}=192.0.2.7", "-advertise", f"{a2}=192.0.2.8",
             a1=a1, a2=a2) as d, udp() as s:
        found = attributes_of(ask(s, d.role(0), filled())[0])
        assert address(found[0x802B]) == ("192.0.2.7", P1)
        assert address(found[0x802C]) == ("192.0.2.8", P2)
        found = attributes_of(ask(s, d.role(3), filled())[0])
        assert address(found[0x802B]) == ("192.0.2.8", P2)
        assert address(found[0x802C]) == ("192.0.2.7", P1)
    with Stund("-advertise", "127.0.0.2=192.0.2.9", listen=[":0"]) as d, \
            udp() as s:
        port = d.ports[0]
        for host, told in (("127.0.0.2", "192.0.2.9"),
                           ("127.0.0.3", "127.0.0.3")):
            answer, source = ask(s, (host, port), filled())
            assert source == (host, port)
            assert address(attributes_of(answer)[0x802B]) == (told, port)


def tailscale_always():
    """32 bytes for Tailscale's 40, whatever else is on."""
    for flags in ([], ["-behaviour", "always"], ["-classic"], ["-strict"]):
        with Two(*flags) as d, udp() as s:
            for role in range(4):
                answer, source = ask(s, d.role(role), tailnode())
                assert len(answer) == 32 and source == d.role(role)
                assert mapped(answer) == s.getsockname()


def strict():
    """A bare request gets nothing; one of 32 bytes all that it wants."""
    with Two("-strict", "-behaviour", "always") as d, udp() as s:
        s.sendto(message(), d.role(0))
        request = message(attributes=attribute(0x8022, bytes(8)))
        answer, _ = ask(s, d.role(0), request)
        assert len(answer) == 32


def classic():
    """RFC 3489: all 16 bytes of the id, the old names, no cookie."""
    with Two("-classic") as d, udp() as s:
        request = message(attributes=change(6), cookie=0x61626364)
        s.sendto(request, d.role(0))
        answer, source = s.recvfrom(4096)
        assert answer[4:20] == request[4:20] and source == d.role(3)
        found = attributes_of(answer)
        assert address(found[0x0001]) == s.getsockname()
        assert address(found[0x0004]) == d.role(3)
        assert address(found[0x0005]) == d.role(3)
        assert set(found) == {1, 4, 5}


def denied():
    with Stund("-deny", "127.9.0.0/16", "-deny", "2001:db8::/32") as d, \
            udp(host="127.9.1.1") as s, udp(host="127.8.1.1") as other:
        to = ("127.0.0.1", d.ports[0])
        s.sendto(message(), to)
        ask(other, to, message())
        assert not select.select([s], [], [], 0)[0]


# ---- campusnet's attributes: docs/stun-attributes.md ----

def cookie_of(answer):
    return attributes_of(answer)[0xCA50]


def get_cookie(s, to):
    request = message(attributes=attribute(0xCA50, bytes(8)) +
                      attribute(0xC000, bytes(8)))
    answer, _ = ask(s, to, request)
    assert len(answer) == 44 == len(request)
    return attribute(0xCA50, cookie_of(answer))


def cookies():
    """Without one a source has few gated requests at once; with one, as many
    as others."""
    port = free_tcp_port()
    with Two("-gated-rate", "1", "-workers", "2",
             "-metrics", f"127.0.0.1:{port}") as d, \
            udp(host=some_address()) as s:
        cookie = get_cookie(s, d.role(0))
        gated = message(attributes=change(CHANGE_PORT))
        for _ in range(50):
            s.sendto(gated, d.role(0))
        ask_until(s, d.role(0))
        page = samples(http_get(port, "/metrics")[2])
        # Four at once, and one in a second, however slow this host is.
        limited = page['campusnet_stun_limited_total{bucket="gated"}']
        assert 20 < limited <= 46 and page[outcome("limited")] == limited, page
        assert page['campusnet_stun_gated_total{cookie="no"}'] == 50
        for _ in range(100):
            request = message(attributes=cookie + change(CHANGE_PORT))
            answer, source = ask_until(s, d.role(0), request)
            assert source == d.role(1) and mapped(answer) == s.getsockname()
        # Another address has no use for it.
        with udp(host=some_address()) as thief:
            delay = attribute(0xCA51, struct.pack(">I", 10))
            request = message(attributes=cookie + delay)
            assert error_code(ask(thief, d.role(0), request)[0]) == 400


def ask_until(s, to, request=None):
    """The answer to this request, behind those to others."""
    request = request or message()
    s.sendto(request, to)
    while True:
        answer, source = s.recvfrom(4096)
        if answer[8:20] == request[8:20]:
            return answer, source


def delays():
    """Answers come when they are due, whatever comes in between."""
    port = free_tcp_port()
    with Two("-metrics", f"127.0.0.1:{port}") as d, \
            udp(host=some_address()) as s:
        cookie = get_cookie(s, d.role(0))
        waiting = {}
        began = time.monotonic()
        for ms, flags in ((900, 0), (300, 0), (600, CHANGE_IP | CHANGE_PORT)):
            delay = attribute(0xCA51, struct.pack(">I", ms))
            request = message(attributes=cookie + delay + change(flags))
            waiting[request[8:20]] = (ms, d.role(flags >> 1))
            s.sendto(request, d.role(0))
        ask_until(s, d.role(0))
        page = samples(http_get(port, "/metrics")[2])
        assert page["campusnet_stun_delayed_total"] == 3
        order = []
        while waiting:
            answer, source = s.recvfrom(4096)
            ms, role = waiting.pop(answer[8:20])
            assert time.monotonic() - began >= ms / 1000, "too early"
            assert mapped(answer) == s.getsockname() and source == role
            order.append(ms)
        assert order == [300, 600, 900]
        page = samples(http_get(port, "/metrics")[2])
        assert page["campusnet_stun_waiting"] == 0


def delays_are_bounded():
    """256 answers wait for a source; then 500, at once. What waits is dropped
    at the end."""
    port = free_tcp_port()
    with Two("-metrics", f"127.0.0.1:{port}", "-source-rate", "0",
             "-workers", "2") as d, \
            udp(host=some_address()) as s, udp(host=some_address()) as other:
        delay = attribute(0xCA51, struct.pack(">I", 600000))
        request = get_cookie(s, d.role(0)) + delay
        for _ in range(256):
            s.sendto(message(attributes=request), d.role(0))
        answer, _ = ask(s, d.role(0), message(attributes=request))
        assert error_code(answer) == 500 and len(answer) == 28
        page = samples(http_get(port, "/metrics")[2])
        assert page["campusnet_stun_waiting"] == 256
        assert page[outcome("busy")] == 1
        # Another source has its own.
        cookie = get_cookie(other, d.role(0))
        short = attribute(0xCA51, struct.pack(">I", 1))
        answer, _ = ask(other, d.role(0), message(attributes=cookie + short))
        assert mapped(answer) == other.getsockname()


def silence():
    port = free_tcp_port()
    with Two("-metrics", f"127.0.0.1:{port}") as d, udp() as s:
        s.sendto(message(attributes=attribute(0xCA52, b"")), d.role(0))
        ask(s, d.role(0), message())
        page = samples(http_get(port, "/metrics")[2])
        assert page[outcome("silence_asked")] == 1


# ---- SIGHUP ----

def reload():
    """Rules and rates change; what cannot is named; a mistake changes
    nothing."""
    name = f"campusnet-stund-reload-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
            udp() as s:
        os.chmod(folder, 0o755)
        manager.bind("\0" + name)
        manager.settimeout(LIMIT)
        file = pathlib.Path(folder) / "stund.conf"
        file.write_text("behaviour fit\n")
        with Two("-config", str(file), env={"NOTIFY_SOCKET": "@" + name}) as d:
            assert manager.recv(200) == b"READY=1"

            def hang_up(text, says):
                file.write_text(text)
                d.child.send_signal(signal.SIGHUP)
                d.line(says)
                assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+",
                                    manager.recv(200))
                assert manager.recv(200) == b"READY=1"

            def length():
                return len(ask(s, d.role(0), message())[0])

            assert length() == 32
            hang_up("behaviour always\nsource-rate 40\n",
                    "SIGHUP: the new rules and rates hold$")
            assert length() == 68
            hang_up("behaviour always\nuser root\nworkers 5\ndeny 10.0.0.0/8\n",
                    "SIGHUP: .*; these need a restart: deny workers user$")
            hang_up("behaviour sometimes\n",
                    'SIGHUP: all stays as it was: .*:1: behaviour: "sometimes"')
            assert length() == 68
            hang_up("classic\n", "SIGHUP: the new rules and rates hold$")
            assert length() == 32
            s.sendto(message(cookie=1), d.role(0))
            assert len(s.recv(4096)) == 56
        assert manager.recv(200) == b"STOPPING=1"


# ---- what contradicts itself ----

def contradictions():
    a = ["-listen", "127.0.0.2:3478"]
    for flags, says in (
            (["-alternate", "127.0.0.3:3479"],
             ["alternate 127.0.0.3:3479", "-listen [::]:3478", "one address"]),
            ([*a, "-alternate", "127.0.0.3"], ["alternate", '"127.0.0.3"']),
            ([*a, "-alternate", "127.0.0.2:3479"],
             ["alternate 127.0.0.2:3479", "another address"]),
            ([*a, "-alternate", "127.0.0.3:3478"],
             ["alternate 127.0.0.3:3478", "another port"]),
            ([*a, "-alternate", "0.0.0.0:3479"], ["0.0.0.0:3479", "one address"]),
            ([*a, "-alternate", "127.0.0.3:0"], ["127.0.0.3:0", "one port"]),
            ([*a, "-alternate", "[::1]:3479"],
             ["[::1]:3479", "exactly one -listen of IPv6", "there are 0"]),
            ([*a, "-listen", "127.0.0.4:3478", "-alternate", "127.0.0.3:3479"],
             ["127.0.0.3:3479", "exactly one -listen of IPv4", "there are 2"]),
            ([*a, "-alternate", "127.0.0.3:3479", "-alternate",
              "127.0.0.4:3479"], ["127.0.0.4:3479", "same family"]),
            (["-listen", "127.0.0.2:0", "-alternate", "127.0.0.3:3479"],
             ["-listen 127.0.0.2:0", "one port"]),
            ([*a, "-advertise", "127.0.0.2"], ['"127.0.0.2"', "LOCAL=PUBLIC"]),
            ([*a, "-advertise", "127.0.0.2=2001:db8::1"], ["one family"]),
            ([*a, "-advertise", "127.0.0.2:3478=192.0.2.1:3478"],
             ["without ports"]),
            ([*a, "-advertise", "127.0.0.9=192.0.2.1"],
             ["127.0.0.9=192.0.2.1", "no -listen or -alternate"]),
            ([*a, "-advertise", "127.0.0.2=192.0.2.1", "-advertise",
              "127.0.0.2=192.0.2.2"], ["127.0.0.2=192.0.2.2", "same address"]),
            ([*a, *a], ["listen 127.0.0.2:3478", "given twice"]),
            ([*a, "-deny", "10.0.0.1/8"], ['"10.0.0.1/8"', "prefix"]),
            ([*a, "-deny", "nonsense"], ['"nonsense"', "prefix"]),
            ([*a, "-behaviour", "often"], ['"often"', "fit|always"]),
            ([*a, "-source-rate", "-1"], ['"-1"', "0 to 1000000"]),
            ([*a, "-source-burst", "0"], ['"0"', "1 to 1000000"]),
            ([*a, "-workers", "65"], ['"65"', "0 to 64"]),
            ([*a, "-total-rate", "fast"], ['"fast"', "whole number"])):
        refused(*flags, says=says)


def alternate_taken():
    """Each of the four sockets is its own line if somebody has it."""
    a1, a2 = some_address(), some_address()
    for host, port, word in ((a1, P1, "listen"), (a1, P2, "alternate"),
                             (a2, P1, "alternate"), (a2, P2, "alternate")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            # Not even with somebody who would share it.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind((host, port))
            refused("-listen", f"{a1}:{P1}", "-alternate", f"{a2}:{P2}",
                    "-user", "root",
                    says=[f"stund: {word} {host}:{port}: Address already in use"])


def effective_configuration():
    """What -n prints is a file that means the same."""
    flags = ["-listen", "127.0.0.2:3478", "-alternate", "127.0.0.3:3479",
             "-advertise", "127.0.0.2=192.0.2.1", "-deny", "10.0.0.0/8",
             "-behaviour", "always", "-classic", "-gated-rate", "7"]
    status, out, err = run(*flags, "-n")
    assert (status, err) == (0, "")
    for line in ("alternate 127.0.0.3:3479", "deny 10.0.0.0/8", "classic true",
                 "advertise 127.0.0.2=192.0.2.1", "gated-rate 7"):
        assert line in out.splitlines(), out
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(out)
        file.flush()
        assert run("-config", file.name, "-n") == (0, out, "")


TESTS = [forms, change_request, change_request_ipv6, response_port, padding,
         one_address, advertise, tailscale_always, strict, classic, denied,
         cookies, delays, delays_are_bounded, silence, reload, contradictions,
         alternate_taken, effective_configuration]

if __name__ == "__main__":
    if sys.argv[1:] == ["ipv6"]:
        in_namespace()
    else:
        sys.exit(main(TESTS))
