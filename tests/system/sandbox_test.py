#!/usr/bin/python3
# tests/run: release
"""sandbox_test: each thread of the daemons is under seccomp, whatever they do
goes on there, and -sandbox=false is a way out. Prints TAP.

The programs are $RELAYD, $STUND and $COORDD (default build/release/...). Other builds
have no sandbox; what it forbids is tested by tests/unit/sandbox_test.c.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

import coordc
import derpc
from coordc import Coordd
from derpc import Client, Relayd, Skip, check_healthy, exchange
from derpc import LIMIT, TOP

STUND = os.path.abspath(os.environ.get("STUND", TOP / "build/release/stund"))

# Where this test itself is under seccomp, its children begin with that.
OWN = pathlib.Path("/proc/self/status").read_text()


def seccomp(status):
    """(mode, number of filters) of a text of /proc/PID/status."""
    mode = re.search(r"^Seccomp:\s(\d+)$", status, re.M)
    if not mode:
        raise Skip("this kernel has no seccomp")
    filters = re.search(r"^Seccomp_filters:\s(\d+)$", status, re.M)
    return int(mode[1]), int(filters[1]) if filters else 0


def threads(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [seccomp((task / "status").read_text()) for task in tasks]


def check_inside(pid, count):
    mode, filters = seccomp(OWN)
    found = threads(pid)
    assert len(found) == count, found
    assert set(found) == {(2, filters + (filters or mode == 0))}, found


def check_outside(pid):
    assert set(threads(pid)) == {seccomp(OWN)}, threads(pid)


# ---- relayd ----

PAGES = ["/", "/derp", "/healthz", "/metrics", "/generate_204",
         "/robots.txt", "/derp/probe", "/bootstrap-dns", "/none",
         "/debug/", "/debug/varz", "/debug/check", "/debug/traffic"]


def relay_some(relay):
    """Packets within a worker and between workers, by TLS."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(relay)) for _ in range(6)]
        for x in clients[1:]:
            exchange(clients[0], x)


def relayd_inside():
    with Relayd("-workers", "3", "-log", "debug", "-stun=true",
                "-stun-port", "0") as relay:
        check_inside(relay.pid, 4)
        relay_some(relay)
        for page in PAGES:
            assert relay.get(page)[0] < 500, page
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(LIMIT)
            s.sendto(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(range(12)),
                     ("127.0.0.1", relay.port_of("stun-port", "udp")))
            assert s.recv(2000)[:2] == b"\1\1"
        # For whoever it has become.
        for path in (relay.state, relay.state / "certs",
                     *(relay.state / "certs").iterdir()):
            path.chmod(0o755)
        at = len(relay.lines)
        relay.child.send_signal(signal.SIGHUP)
        relay.line(r"SIGHUP: new connections get", at)
        relay_some(relay)
        check_healthy(relay)
        check_inside(relay.pid, 4)


def relayd_plain():
    """Without TLS nothing of OpenSSL was used before."""
    with Relayd(tls=False) as relay:
        check_inside(relay.pid, relay.workers + 1)
        relay_some(relay)
        check_healthy(relay)


def relayd_outside():
    with Relayd("-sandbox=false") as relay:
        check_outside(relay.pid)
        check_healthy(relay)


def link_local():
    """Of a link-local client the log names the interface, which costs calls
    that no other client needs. In a network of its own."""
    if os.geteuid() != 0:
        raise Skip("needs root for a network namespace")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, __file__, "link-local"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=3 * LIMIT)
    if done.returncode == 77:
        raise Skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def link_local_inside():
    for command in ("ip link set lo up", "ip addr add fe80::1/64 dev lo nodad"):
        if subprocess.run(command.split(), capture_output=True).returncode:
            print("no IPv6 on loopback")
            return 77
    with Relayd("-a", "[::]:0", "-log", "debug", "-stun=true",
                "-stun-port", "0") as relay:
        check_inside(relay.pid, relay.workers + 1)
        with Client(relay, host="fe80::1%lo"):
            relay.line(r"\[fe80::1%lo\]:\d+")
        check_healthy(relay)
    return 0


# ---- stund ----

@contextlib.contextmanager
def stund(*flags):
    """Gives the process and its ports: (UDP, TCP)."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        page = s.getsockname()[1]
    with subprocess.Popen(
            [STUND, "-listen", "127.0.0.1:0", "-metrics", f"127.0.0.1:{page}",
             *flags], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True) as child:
        try:
            lines = iter(child.stderr.readline, "")
            udp = next(filter(None, (
                re.search(r"listening udp \S+:(\d+)$", x) for x in lines)))
            next(line for line in lines if "listening metrics" in line)
            yield child, (int(udp[1]), page)
        finally:
            child.terminate()
            status = child.wait(LIMIT)
    assert status == 0, status


def check_stund(ports):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(LIMIT)
        s.sendto(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(range(12)),
                 ("127.0.0.1", ports[0]))
        assert s.recv(2000)[:2] == b"\1\1"
    for path in ("/metrics", "/healthz", "/none"):
        with socket.create_connection(("127.0.0.1", ports[1]), LIMIT) as s:
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert s.recv(4096).startswith(b"HTTP/1."), path


def stund_inside():
    with stund("-log", "debug", "-workers", "2") as (child, ports):
        check_stund(ports)
        child.send_signal(signal.SIGHUP)
        check_stund(ports)
        # main's, and of each worker one for UDP and one for TCP.
        check_inside(child.pid, 5)


def stund_outside():
    with stund("-sandbox=false") as (child, ports):
        check_stund(ports)
        check_outside(child.pid)


# ---- coordd ----

def coordd_inside():
    """A client joins, an administrator makes changes and a backup, files are
    read again; then it stops, and starts with what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        policy = pathlib.Path(folder) / "policy.hujson"
        policy.write_text("{}")
        coordd_works(Coordd("-log", "debug", "-policy", str(policy)))


def coordd_works(started):
    with started as coordd:
        check_inside(coordd.child.pid, 1)
        coordd.works("users", "create", "robots")
        with coordc.Client(coordd) as client:
            client.join(coordd.authkey())
            client.map()
            coordd.works("nodes", "rename", "robot", "rover")
            coordd.works("backup", os.path.join(coordd.state, "copy.db"))
        coordd.child.send_signal(signal.SIGHUP)
        coordd.line("SIGHUP: .*policy")
        check_inside(coordd.child.pid, 1)
        coordd.stop()
        coordd.start()
        assert "rover" in str(coordd.json("nodes", "list"))


def coordd_outside():
    with Coordd("-sandbox=false") as coordd:
        check_outside(coordd.child.pid)
        coordd.works("users", "create", "robots")


TESTS = [relayd_inside, relayd_plain, relayd_outside, link_local,
         stund_inside, stund_outside, coordd_inside, coordd_outside]

if __name__ == "__main__":
    if sys.argv[1:] == ["link-local"]:
        sys.exit(link_local_inside())
    sys.exit(derpc.main([(test.__name__, test) for test in TESTS]))
