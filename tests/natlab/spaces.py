#!/usr/bin/python3
"""spaces: network namespaces with names, and what becomes of them.

They are called natlab-PID-N-NODE, after the process that made them. A helper
process removes them if that one is killed, and clean() what dead ones have
left should that helper be killed, too; never what has another name.
"""

import contextlib
import ctypes
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

NETNS = pathlib.Path("/run/netns")
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class CannotBuild(Exception):
    """Why a topology cannot be built here."""


class Failed(Exception):
    """A command that should have worked."""


# ---- commands ----

def call(command, text=None):
    """Runs a command; returns its output."""
    done = subprocess.run(command, input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Failed(f"{shlex.join(command)}: {done.stderr.strip()}"
                     + (f"\n{text}" if text else ""))
    return done.stdout


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "")
                        + ":/usr/sbin:/sbin")


# ---- namespaces ----

class Space:
    """A network namespace with a name."""

    def __init__(self, name, make=True):
        self.name = name
        if make:
            call(["ip", "netns", "add", name])
        self.fd = os.open(NETNS / name, os.O_RDONLY | os.O_CLOEXEC)
        if make:
            self.set_up()

    def set_up(self):
        self.links("link set dev lo up")
        self.sysctl({
            "net/ipv4/conf/all/rp_filter": 0,
            "net/ipv4/conf/default/rp_filter": 0,
            "net/ipv4/conf/all/send_redirects": 0,
            "net/ipv4/conf/default/send_redirects": 0,
            "net/ipv4/icmp_ratelimit": 0,
            "net/ipv6/icmp/ratelimit": 0,
            "net/ipv6/conf/default/accept_dad": 0,
            "net/ipv6/conf/default/accept_ra": 0})

    def links(self, *lines):
        """ip(8) commands, without "ip"."""
        call(["ip", "-n", self.name, "-batch", "-"], "\n".join(lines) + "\n")

    @contextlib.contextmanager
    def inside(self):
        """This thread is inside; sockets that it makes stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(self.fd)
            try:
                yield
            finally:
                enter(home)
        finally:
            os.close(home)

    def sysctl(self, values):
        with self.inside():
            for path, value in values.items():
                pathlib.Path("/proc/sys", path).write_text(str(value))

    def command(self, words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def nft(self, rules):
        if rules.strip():
            call(self.command([find("nft"), "-f", "-"]), rules)

    def remove(self):
        os.close(self.fd)
        call(["ip", "netns", "del", self.name])


def enter(fd):
    if libc.setns(fd, CLONE_NEWNET) == -1:
        raise OSError(ctypes.get_errno(), "setns")


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# ---- what is left behind ----

watcher = None
lock = threading.Lock()


def watch_over():
    """A process that removes our namespaces should we be killed: it notices
    by the end of its standard input."""
    global watcher
    with lock:
        if watcher is None or watcher.poll() is not None:
            watcher = subprocess.Popen(
                [sys.executable, __file__, str(os.getpid())],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                start_new_session=True)


def leftovers():
    """Namespaces and folders by the process that made them."""
    found = {}
    for path in [*NETNS.glob("natlab-*-*-*"),
                 *pathlib.Path(tempfile.gettempdir()).glob("natlab-*-*-*")]:
        pid = path.name.split("-")[1]
        if pid.isdigit():
            found.setdefault(int(pid), []).append(path)
    return found


def remove(paths):
    for path in paths:
        if path.parent == NETNS:
            inside = subprocess.run(["ip", "netns", "pids", path.name],
                                    capture_output=True, text=True)
            for pid in inside.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", path.name],
                           stderr=subprocess.DEVNULL)
        else:
            shutil.rmtree(path, ignore_errors=True)


def clean():
    """Removes what processes have left that are dead; returns how much."""
    dead = [path for pid, paths in leftovers().items()
            if not pathlib.Path(f"/proc/{pid}").exists() for path in paths]
    remove(dead)
    return len(dead)


def reap(pid):
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(leftovers().get(pid, []))


if __name__ == "__main__":
    reap(int(sys.argv[1]))
