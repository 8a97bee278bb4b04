#!/usr/bin/python3
"""stund_test: the real stund on loopback, from outside. Prints TAP.

The program is $STUND (default build/release/stund).
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

from stundc import ERROR, INDICATION, LIMIT, SUCCESS, TOP, UNLIMITED
from stundc import Skip, Stund, ask, attribute, attributes_of, free_tcp_port
from stundc import has_ipv6, http_get, main, mapped, message, outcome, refused
from stundc import run, samples, tailnode, udp, wait_for

# ---- answers ----

def answers_v4():
    with Stund() as d, udp() as s:
        to = ("127.0.0.1", d.ports[0])
        for request, length in ((message(), 32), (tailnode(), 32)):
            answer, source = ask(s, to, request)
            assert mapped(answer) == s.getsockname() and source == to
            assert len(answer) == length, len(answer)


def answers_v6():
    if not has_ipv6():
        raise Skip("no IPv6 on loopback")
    with Stund(listen=["[::1]:0"]) as d, udp(socket.AF_INET6) as s:
        for request in (message(), tailnode()):
            answer, source = ask(s, ("::1", d.ports[0]), request)
            assert mapped(answer) == s.getsockname()[:2]
            assert source[:2] == ("::1", d.ports[0]) and len(answer) == 44


def wildcard_both_families():
    """One socket for all addresses: each answer comes from the one asked."""
    with Stund(listen=[":0"]) as d:
        for host in ("127.0.0.1", "127.0.0.2"):
            with udp() as s:
                to = (host, d.ports[0])
                answer, source = ask(s, to, message())
                assert source == to, f"asked {to}, answered by {source}"
                assert mapped(answer) == s.getsockname()
                assert len(answer) == 32, "v4-mapped is IPv4"
        if not has_ipv6():
            raise Skip("no IPv6 on loopback")
        with udp(socket.AF_INET6) as s:
            answer, source = ask(s, ("::1", d.ports[0]), message())
            assert source[0] == "::1" and mapped(answer)[0] == "::1"


def wildcard_v4_only():
    with Stund(listen=["0.0.0.0:0"]) as d:
        for host in ("127.0.0.1", "127.0.0.2"):
            with udp() as s:
                to = (host, d.ports[0])
                assert ask(s, to, message())[1] == to


def several_addresses():
    with Stund(listen=["127.0.0.1:0", "127.0.0.2:0"]) as d, udp() as s:
        for host, port in zip(("127.0.0.1", "127.0.0.2"), d.ports):
            assert ask(s, (host, port), message())[1] == (host, port)


def errors():
    unknown = attribute(0x7ABC, b"abcd")
    change = attribute(0x0003, struct.pack(">I", 6))
    with Stund() as d, udp() as s:
        to = ("127.0.0.1", d.ports[0])
        for attributes, code, listed in (
                (unknown, 420, 0x7ABC), (change, 420, 0x0003),
                (attribute(0x0003, bytes(8)), 400, None)):
            answer, _ = ask(s, to, message(attributes=attributes))
            found = attributes_of(answer)
            assert struct.unpack_from(">H", answer)[0] == ERROR
            assert found[0x0009][2] * 100 + found[0x0009][3] == code
            assert found.get(0x000A) == (
                struct.pack(">H", listed) if listed else None)


SILENT = {
    "nothing": b"",
    "one byte": b"\0",
    "19 bytes": message()[:19],
    "trailing bytes": message() + bytes(4),
    "length too long": message()[:2] + b"\0\4" + message()[4:],
    "classic": message(cookie=0x31323334),
    "indication": message(INDICATION),
    "success": message(SUCCESS),
    "error": message(ERROR),
    "Allocate": message(0x0003),
    "wrong FINGERPRINT": message(
        attributes=attribute(0x8028, b"\1\2\3\4")),
    "attribute runs out": message(attributes=b"\x80\x22\0\1"),
    "all-zero id": message(txid=bytes(12)),
    "too long for the buffer": message(
        attributes=attribute(0xC000, bytes(5000))),
    "cut where it says it ends": (message(
        attributes=attribute(0xC000, bytes(4584))) + bytes(500)),
}


def silent():
    """None of these is answered: the answer to a request sent after each is
    the first that comes."""
    with Stund() as d, udp() as s:
        to = ("127.0.0.1", d.ports[0])
        for name, datagram in SILENT.items():
            s.sendto(datagram, to)
            request = message()
            s.sendto(request, to)
            answer = s.recvfrom(4096)[0]
            assert answer[8:20] == request[8:20], f"{name} was answered"


def garbage():
    """A flood of random and half-right bytes; it still answers."""
    draw = random.Random(5389)
    with Stund() as d, udp() as s, udp() as flood:
        to = ("127.0.0.1", d.ports[0])
        for i in range(20000):
            if i % 2:
                datagram = draw.randbytes(draw.randrange(0, 1500))
            else:
                datagram = bytearray(tailnode() + draw.randbytes(40))
                datagram[draw.randrange(4)] ^= 1 << draw.randrange(8)
            flood.sendto(datagram, to)
        # The server may have no room while it works these off.
        s.settimeout(0.5)
        deadline = time.monotonic() + LIMIT
        while True:
            request = message()
            s.sendto(request, to)
            with contextlib.suppress(TimeoutError):
                assert s.recvfrom(4096)[0][8:20] == request[8:20]
                break
            assert time.monotonic() < deadline, "no answer after the flood"


def vanished_clients():
    """Answers that nobody takes any more do not hinder those of others."""
    with Stund() as d, udp() as s:
        to = ("127.0.0.1", d.ports[0])
        for _ in range(200):
            with udp() as gone:
                gone.sendto(message(), to)
        answer, _ = ask(s, to, message())
        assert mapped(answer) == s.getsockname()


def many_in_flight():
    """5000 requests before the first answer is read: none is lost."""
    with contextlib.ExitStack() as stack:
        d = stack.enter_context(Stund(*UNLIMITED))
        to = ("127.0.0.1", d.ports[0])
        sockets = [stack.enter_context(udp()) for _ in range(50)]
        waiting = {s: {} for s in sockets}
        for _ in range(100):
            for s in sockets:
                request = tailnode()
                waiting[s][request[8:20]] = True
                s.sendto(request, to)
        deadline = time.monotonic() + LIMIT
        while left := [s for s in sockets if waiting[s]]:
            lost = sum(len(w) for w in waiting.values())
            assert time.monotonic() < deadline, f"{lost} of 5000 lost"
            for s in select.select(left, [], [], 1)[0]:
                answer = s.recv(4096)
                del waiting[s][answer[8:20]]
                assert mapped(answer) == s.getsockname()


def receive_buffer():
    """1 MB or more, past the kernel's limit where that is allowed; else one
    line says so."""
    if os.geteuid() != 0:
        raise Skip("needs root to set more than the kernel's limit")
    with Stund() as d:
        shown = subprocess.run(
            ["ss", "-ulnmH", f"sport = :{d.ports[0]}"], check=True,
            capture_output=True, text=True).stdout
        sizes = [int(n) // 2 for n in re.findall(r"\brb(\d+)", shown)]
        assert sizes and min(sizes) >= 1 << 20, shown
        assert not [line for line in d.lines if "requests only" in line]
    if int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text()) >= 1 << 20:
        return
    drop = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    with Stund(before=drop) as d:
        told = [line for line in d.lines if "net.core.rmem_max" in line]
        assert len(told) == 1, d.lines


# ---- operation ----

def metrics():
    port = free_tcp_port()
    with Stund("-metrics", f"127.0.0.1:{port}", listen=[":0"]) as d, udp() as s:
        to = ("127.0.0.1", d.ports[0])
        v6 = has_ipv6()
        before = samples(http_get(port, "/metrics")[2])
        for _ in range(3):
            ask(s, to, message())
        ask(s, to, message(attributes=attribute(0x7ABC, b"")))
        s.sendto(b"garbage", to)
        s.sendto(message(SUCCESS), to)
        ask(s, to, tailnode())
        if v6:
            with udp(socket.AF_INET6) as six:
                ask(six, ("::1", d.ports[0]), message())
        # The last answer may be here before it is counted as sent.
        sent = "campusnet_udp_sent_total"
        page = wait_for(lambda: http_get(port, "/metrics"),
                        lambda p: samples(p[2])[sent] >= 5 + v6)
        status, kind, page = page
        assert status == 200 and kind.startswith("text/plain; version=0.0.4")
        got = samples(page)
        for name, want in {
                'stun_requests{disposition="success"}': 4 + v6,
                'stun_requests{disposition="not_stun"}': 3,
                'stun_requests{disposition="read_error"}': 0,
                'stun_requests{disposition="write_error"}': 0,
                'stun_addrfamily{family="ipv4"}': 4,
                'stun_addrfamily{family="ipv6"}': int(v6),
                outcome("success"): 4,
                outcome("success", family="ipv6"): int(v6),
                outcome("unknown_attribute"): 1,
                outcome("not_stun"): 1,
                outcome("not_request"): 1,
                outcome("limited"): 0,
                "campusnet_udp_received_total": 7 + v6,
                sent: 5 + v6,
        }.items():
            assert before[name] == 0, name
            assert got[name] == want, f"{name}: {got[name]}, not {want}"
        assert got["process_open_fds"] > 3 and got["process_max_fds"] > 3
        assert abs(got["process_start_time_seconds"] - time.time()) < 300
        assert re.search(r'^campusnet_build_info\{program="stund",'
                         r'version="[^"]+"\} 1$', page, re.M)
        families = re.findall(r"^# TYPE (\S+)", page, re.M)
        assert len(families) == len(set(families)), "each family once"


def healthz():
    port = free_tcp_port()
    with Stund("-metrics", f"127.0.0.1:{port}"):
        assert http_get(port, "/healthz")[::2] == (200, "ok\n")
        assert http_get(port, "/healthz", "HEAD")[0] == 200
        assert http_get(port, "/other")[0] == 404
        assert http_get(port, "/healthz", "POST")[0] >= 400
        with socket.create_connection(("127.0.0.1", port), LIMIT) as c:
            c.sendall(b"\0garbage\r\n" * 2000)
        assert http_get(port, "/healthz")[0] == 200


def metrics_port():
    """Of port 0 the log names the one that it is."""
    with Stund("-metrics", "127.0.0.1:0") as d:
        port = int(d.line(r"listening metrics http://127\.0\.0\.1:(\d+)/")[1])
        assert http_get(port, "/healthz")[0] == 200


def fd_limit():
    """Out of descriptors the page pauses; stund goes on, and so does it."""
    port = free_tcp_port()
    with Stund("-metrics", f"127.0.0.1:{port}",
               before=["prlimit", "--nofile=32:32"]) as d, udp() as s, \
            contextlib.ExitStack() as held:
        for _ in range(40):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        d.line("http: accept: Too many open files")
        ask(s, ("127.0.0.1", d.ports[0]), message())
        held.close()
        assert http_get(port, "/healthz")[2] == "ok\n"


def not_root():
    """Started as root it is somebody else, without any capability."""
    with Stund() as d:
        status = pathlib.Path(f"/proc/{d.child.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines()
                      if ":\t" in line)
        assert "0" not in fields["Uid"].split(), fields["Uid"]
        assert "0" not in fields["Gid"].split(), fields["Gid"]
        assert "0" not in fields["Groups"].split(), fields["Groups"]
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(fields[kind], 16) == 0, kind
        assert fields["NoNewPrivs"] == "1"


def notifies():
    """READY=1 and STOPPING=1 go to the service manager's socket."""
    name = f"campusnet-stund-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        manager.settimeout(LIMIT)
        with Stund(env={"NOTIFY_SOCKET": "@" + name}):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


def signals():
    for stop in (signal.SIGTERM, signal.SIGINT):
        with Stund() as d, udp() as s:
            to = ("127.0.0.1", d.ports[0])
            d.child.send_signal(signal.SIGHUP)
            d.line("SIGHUP")
            ask(s, to, message())
            d.child.send_signal(stop)
            assert d.child.wait(LIMIT) == 0
        # The port is free again.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(to)


def port_taken():
    with udp() as s, socket.create_server(("127.0.0.1", 0)) as t:
        taken = f"127.0.0.1:{s.getsockname()[1]}"
        refused("-listen", taken,
                says=[f"stund: listen {taken}: Address already in use"])
        taken = f"127.0.0.1:{t.getsockname()[1]}"
        refused("-listen", "127.0.0.1:0", "-metrics", taken,
                says=[f"stund: metrics {taken}: Address already in use"])


def bad_flag():
    refused("-nonsense", says=["-nonsense"])
    refused("-listen", says=["-listen", "value"])
    refused("extra", says=["extra"])
    refused("-log", "loud", says=["-log", "loud", "quiet|error|info|debug"])
    refused("-listen", "nonsense", says=["listen", '"nonsense"', "ADDR:PORT",
                                          "192.0.2.1:3478"])
    refused("-listen", "127.0.0.1:65536", says=["127.0.0.1:65536"])
    refused("-metrics", "127.0.0.1", says=["metrics", '"127.0.0.1"'])
    refused("-listen", "192.0.2.1:0", says=["listen 192.0.2.1:0: ", "address"])
    if os.geteuid() == 0:
        refused("-listen", "127.0.0.1:0", "-user", "no-such-user",
                says=["no-such-user"])


def bad_config():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "stund.conf"
        for text, says in (
                ("listen :0\nnonsense 1\n", [":2: ", '"nonsense"']),
                ("\nuser a\n\nuser b\n", [":4: ", '"user"']),
                ("# comment\nlog loud\n", [":2: ", '"loud"']),
                ("listen :0\nlisten 3478\n", [":2: ", '"3478"', "ADDR:PORT"]),
                ("metrics 192.0.2\n", [":1: ", '"192.0.2"', "ADDR:PORT"]),
                ('listen ":0\n', [":1: "])):
            file.write_text(text)
            refused("-config", str(file), says=[str(file), *says])
        file.unlink()
        refused("-config", str(file), says=[str(file), "No such file"])


def config_file():
    """The file counts, a flag wins over it, -n prints what holds."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "stund.conf"
        file.write_text("listen 127.0.0.1:0  # comment\n"
                        "listen 127.0.0.2:0\nlog debug\n")
        status, out, err = run("-config", str(file), "-n", "-log=error")
        assert (status, err) == (0, ""), (status, err)
        assert out == ("listen 127.0.0.1:0\nlisten 127.0.0.2:0\n"
                       'partner ""\npartner-listen ""\npartner-key ""\n'
                       "partner-alternate-port 0\ntcp true\n"
                       'certificate ""\nkey ""\ntcp-connections 4096\n'
                       "tcp-source-connections 256\ntcp-idle 10m\n"
                       "behaviour fit\nclassic false\nstrict false\n"
                       "source-rate 50\nsource-burst 500\n"
                       "prefix-rate 500\nprefix-burst 5000\n"
                       "gated-rate 5\ntotal-rate 100000\n"
                       f"workers {os.cpu_count()}\n"
                       'metrics ""\nuser nobody\nsandbox true\nlog error\n'
                       'check ""\nn false\nversion false\n'), out
        with Stund("-config", str(file), listen=["127.0.0.3:0"]) as d, \
                udp() as s:
            ask(s, ("127.0.0.3", d.ports[0]), message())


def information():
    status, out, err = run("-version")
    assert status == 0 and re.fullmatch(r"stund \S+\n", out) and err == ""
    status, out, err = run("-h")
    assert status == 0 and "-listen ADDR:PORT" in out and err == ""


def manual_page():
    """Each flag has its line in stund.8, and each line its flag."""
    known = set(re.findall(r"^  -(\S+)", run("-h")[1], re.M)) | {"config"}
    page = (TOP / "stund/stund.8").read_text()
    told = set(re.findall(r"^\.It Fl (\S+)", page, re.M))
    named = set(re.findall(r"^\.(?:Op )?Fl (\S+) ?",
                           page.partition(".Sh DESCRIPTION")[0], re.M))
    assert known == told == named, (known ^ told, known ^ named)
    seen = subprocess.run(["mandoc", "-Tutf8", TOP / "stund/stund.8"],
                          capture_output=True, text=True, check=True).stdout
    assert not (twice := re.findall("‘[^’]*‘[^’]*", seen)), twice


TESTS = [answers_v4, answers_v6, wildcard_both_families, wildcard_v4_only,
         several_addresses, errors, silent, garbage, vanished_clients,
         many_in_flight, receive_buffer, metrics, healthz, metrics_port,
         fd_limit, not_root, notifies, signals, port_taken, bad_flag,
         bad_config, config_file, information, manual_page]


if __name__ == "__main__":
    sys.exit(main(TESTS))
