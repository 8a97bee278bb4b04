#!/usr/bin/python3
# tests/run: one-thread
"""natprobe_tcp_test: natprobe and TCP servers that are dead, silent, mad or
lie. Each has its named finding; none makes a verdict wrong or holds up the
others. Prints TAP."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

import stundc
import taprun
from derpc import until
from stundc import LIMIT, Stund

NATPROBE = os.environ.get(
    "NATPROBE",
    str(stundc.TOP / "build/release/natprobe"))


def answer_to(request, port, ip="127.0.0.1", kind=0x0101):
    value = struct.pack(">HHI", 1, port ^ 0x2112, struct.unpack(
        ">I", socket.inet_aton(ip))[0] ^ 0x2112A442)
    return stundc.message(kind, stundc.attribute(0x20, value),
                          request[8:20])


class Server:
    """Calls serve(self, connection, source) for each connection."""

    def __init__(self, serve, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.name = f"[{host}]:{self.port}" if ":" in host \
            else f"{host}:{self.port}"
        self.serve = serve
        self.count = 0
        self.held = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, source = self.listener.accept()
                self.held.append(s)
                threading.Thread(target=self.run, args=(s, source),
                                 daemon=True).start()

    def run(self, s, source):
        with contextlib.suppress(OSError):
            self.serve(self, s, source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in [self.listener, *self.held]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


def requests(s):
    while head := s.recv(20, socket.MSG_WAITALL):
        body = s.recv(struct.unpack_from(">H", head, 2)[0], socket.MSG_WAITALL)
        yield head + body


# ---- what servers do ----

def mute(server, s, source):
    for _ in requests(s):
        pass


def resets(server, s, source):
    next(requests(s))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def closes(server, s, source):
    for _ in range(2):
        next(requests(s))
    s.shutdown(socket.SHUT_RDWR)


def babbles(server, s, source):
    s.sendall(b"220 mail.example ESMTP\r\n")


def too_long(server, s, source):
    """A message of 64 KiB, which has the right form."""
    for q in requests(s):
        s.sendall(q[:2].replace(b"\0\1", b"\1\1") + b"\xff\xfc" + q[4:20]
                  + bytes(65532))


def floods(server, s, source):
    while True:
        s.sendall(stundc.message(0x0101) * 1000)


def refuses(server, s, source):
    for q in requests(s):
        s.sendall(stundc.message(0x0111, stundc.attribute(
            9, struct.pack(">I", 0x0500)), q[8:20]))


def lies(server, s, source):
    """Another address each time it is asked."""
    for q in requests(s):
        server.count += 1
        s.sendall(answer_to(q, 20000 + server.count))


def one_for_all(server, s, source):
    for q in requests(s):
        s.sendall(answer_to(q, 20000))


def good(server, s, source):
    for q in requests(s):
        s.sendall(answer_to(q, source[1], source[0]))


def twice(server, s, source):
    for q in requests(s):
        s.sendall(2 * answer_to(q, source[1], source[0]))


def byte_by_byte(server, s, source):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for q in requests(s):
        for b in stundc.message(0x0101) + answer_to(q, source[1], source[0]):
            s.sendall(bytes([b]))


# ---- natprobe ----

def natprobe(*servers, flags=(), status=3, family="ipv4"):
    words = [w for server in servers for w in ("-stun", server)]
    done = subprocess.run([NATPROBE, "-json", "-", *words, *flags], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=LIMIT)
    assert done.returncode == status, (done.returncode, done.stderr)
    return json.loads(done.stdout)[family]["tcp"], done.stderr


def hostile():
    """Eight at once: each has its own finding."""
    kinds = {mute: "tcp-no-answer", resets: "tcp-reset", closes: "tcp-closed",
             babbles: "tcp-not-stun", too_long: "tcp-not-stun",
             floods: "tcp-no-answer", refuses: "server-refuses"}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(kind)).name for kind in kinds]
        servers.append(f"127.0.0.1:{stundc.free_tcp_port()}")
        said, words = natprobe(*servers)
        whys = [s["why"] for s in said["servers"]]
        assert whys == [*kinds.values(), "tcp-refused"], whys
        assert said["works"] == "no" and said["mapping"]["verdict"] == \
            "unknown", said
        assert "TCP                no server answers" in words, words


def among_hostile():
    """Good ones among them: the verdict is theirs alone."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(kind)).name for kind in (
            mute, babbles, floods, lies, twice, byte_by_byte, good)]
        said, _ = natprobe(*servers)
        assert [s["answers"] for s in said["servers"]] == [
            False, False, False, True, True, True, True], said["servers"]
        assert [s["contradicts_itself"] for s in said["servers"]] == [
            False, False, False, True, False, False, False], said["servers"]
        assert said["works"] == "yes" and said["why"] is None, said
        assert said["mapping"]["verdict"] == "none", said
        assert [d["address"] for d in said["mapping"]["destinations"]] == \
            servers[4:], said


def liars():
    with Server(lies) as server:
        said, words = natprobe(server.name)
        assert (said["works"], said["why"]) == (
            "unknown", "server-contradicts-itself"), said
        assert said["mapping"]["verdict"] == "unknown", said
        assert "the server contradicts itself" in words, words
    with Server(one_for_all) as server:
        said, _ = natprobe(server.name)
        assert said["works"] == "yes", said
        assert (said["mapping"]["verdict"], said["mapping"]["why"]) == (
            "unknown", "server-contradicts-itself"), said


def six():
    if not stundc.has_ipv6():
        raise taprun.Skip("no IPv6 on loopback")
    with Stund(listen=["[::1]:0"]) as d:
        said, _ = natprobe(f"[::1]:{d.ports[0]}", family="ipv6", status=1)
        assert said["works"] == "yes", said
        assert said["mapping"]["verdict"] == "none", said


def dry():
    """-n says how many connections there would be, and makes none."""
    with Server(good) as server:
        done = subprocess.run(
            [NATPROBE, "-n", "-stun", server.name, "-tcp-lifetime",
             "-refresh", "-ttl-max", "10s"], text=True, capture_output=True)
        assert done.returncode == 0, done
        assert "TCP, within" in done.stdout
        for name, n in (("which servers answer", 2), ("mapping", 25),
                        ("idle lifetime", 9), ("keepalive", 2)):
            assert f"{name:22} {n:5} connections" in done.stdout, done.stdout
        done = subprocess.run([NATPROBE, "-n", "-stun", server.name,
                               "-tcp=false"], text=True, capture_output=True)
        assert "TCP" not in done.stdout, done.stdout
        assert not server.held


def ends_idle(server, s, source):
    s.settimeout(3.4)
    try:
        good(server, s, source)
    except TimeoutError:
        s.shutdown(socket.SHUT_RDWR)


def keeps_alive(server, s, source):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        s.setsockopt(socket.IPPROTO_TCP, option, 3)
    good(server, s, source)


def idle():
    """Servers that end idle connections, or keep them alive: no verdict about
    the NAT, but what is known."""
    def run(serve, why, words):
        with Server(serve) as server:
            said, text = natprobe(server.name, flags=(
                "-tcp-lifetime", "-ttl-max", "6s", "-ttl-resolution", "1s"))
            life = said["lifetime"]
            assert life["why"] == why and life["dead"] is None, life
            assert 2 < life["alive"] < 4.5, life
            assert life["first_after_pause"] == "host", life
            assert words in text, text

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for job in (
                pool.submit(run, ends_idle, "server-closed",
                            "the server ends idle connections"),
                pool.submit(run, keeps_alive, "server-keeps-alive",
                            "the server's own keepalives come before")):
            job.result()


def interrupted():
    with Stund() as d:
        child = subprocess.Popen(
            [NATPROBE, "-json", "-", "-quiet", "-stun",
             f"127.0.0.1:{d.ports[0]}", "-tcp-lifetime", "-ttl-max", "600s"],
            stdout=subprocess.PIPE, text=True)

        def waits():
            port = f":{d.ports[0]:04X}"
            with open("/proc/net/tcp") as table:
                return sum(port in line for line in table) > 100

        until(waits, "a ladder of connections")
        child.send_signal(signal.SIGINT)
        said = json.loads(child.communicate(timeout=LIMIT)[0])
        assert child.returncode == 4, child.returncode
        tcp = said["ipv4"]["tcp"]
        assert tcp["mapping"]["verdict"] == "none", tcp
        assert tcp["lifetime"]["dead"] is None, tcp


def bad_flags():
    for flags, says in ((["-tcp=perhaps"], "tcp"),
                        (["-tcp-lifetime=9"], "tcp-lifetime")):
        done = subprocess.run([NATPROBE, "-stun", "127.0.0.1", *flags],
                              text=True, capture_output=True)
        assert done.returncode == 2 and says in done.stderr, done
        assert done.stderr.count("\n") == 1, done.stderr


if __name__ == "__main__":
    sys.exit(taprun.main([hostile, among_hostile, liars, six, dry, idle,
                          interrupted, bad_flags]))
