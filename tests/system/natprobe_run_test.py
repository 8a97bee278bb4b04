#!/usr/bin/python3
"""natprobe_run_test: how a run of natprobe goes and ends: names that nobody
answers for, its longest time, signals in each phase, outputs that cannot be
written to, and what it shows of itself meanwhile. Prints TAP."""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios

import derpc
from derpc import Skip, until

NATPROBE = os.environ.get(
    "NATPROBE", str(derpc.TOP / "build/release/natprobe"))
STUND = os.environ.get("STUND", str(derpc.TOP / "build/release/stund"))
A1, A2 = "127.0.0.1", "127.0.0.2"


def free_ports(n):
    with contextlib.ExitStack() as held:
        found = []
        for _ in range(n):
            s = held.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            s.bind((A1, 0))
            found.append(s.getsockname()[1])
        return found


def answers(ip, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        s.sendto(struct.pack("!HHI", 1, 0, 0x2112A442) + b"x" * 12,
                 (ip, port))
        with contextlib.suppress(OSError):
            return s.recv(1000)


def start_stund():
    """Again, should somebody else have taken a port meanwhile."""
    while True:
        p1, p2 = free_ports(2)
        child = subprocess.Popen(
            [STUND, "-listen", f"{A1}:{p1}", "-alternate", f"{A2}:{p2}",
             "-log", "error"], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        if until(lambda: child.poll() is not None or answers(A2, p2),
                 "stund to answer") is not True:
            return child, f"{A1}:{p1}"
        why = child.stderr.read()
        child.stderr.close()
        assert b"already in use" in why, why


@contextlib.contextmanager
def stund():
    """With two addresses; gives what to ask."""
    child, at = start_stund()
    try:
        yield at
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


@contextlib.contextmanager
def silent_server():
    """A socket that gets questions and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((A1, 0))
        yield s


def run(*flags, **more):
    options = {"text": True, "stdin": subprocess.DEVNULL,
               "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               "timeout": derpc.LIMIT, **more}
    return subprocess.run([NATPROBE, *flags], **options)


def seconds_of(text):
    return int(re.search(r"all of it: .* within (\d+) s\n", text)[1])


# ---- names ----

def unknown_names():
    """A name that nobody knows is a finding; others are asked."""
    with stund() as at:
        done = run("-json", "-", "-stun", "no.such.name.invalid", "-stun", at)
        said = json.loads(done.stdout)
        assert done.returncode == 0, (done.returncode, done.stderr)
        assert [n["name"] for n in said["names"]] == ["no.such.name.invalid"]
        assert said["names"][0]["why"] and not said["names"][0]["addresses"]
        assert said["ipv4"]["udp"] == "yes" and said["complete"] is True
        assert "no.such.name.invalid: " in done.stderr, done.stderr
        host, port = at.split(":")
        done = run("-json", "-", "-quiet", "-family", "4", "-stun",
                   f"LOCALHOST:{port}")
        said = json.loads(done.stdout)
        assert done.returncode == 0 and said["names"][0]["why"] is None, said
        assert said["names"][0]["addresses"] >= 1, said
        assert said["ipv4"]["servers"][0]["name"] == f"LOCALHOST:{port}"
    done = run("-json", "-", "-quiet", "-stun", "no.such.name.invalid")
    assert done.returncode == 3, done
    assert done.stderr.startswith("natprobe: stun no.such.name.invalid: ")
    assert json.loads(done.stdout)["complete"] is True


# In a network of its own, where the DNS server never answers.
DEAF = """
import os, signal, socket, subprocess, sys, time
dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
dns.bind(("127.0.0.1", 53))
child = subprocess.Popen(sys.argv[2:])
if sys.argv[1] == "stop":
    dns.recv(2000)
    child.send_signal(signal.SIGINT)
sys.exit(child.wait())
"""


def deaf(how, *flags):
    with tempfile.NamedTemporaryFile("w") as conf:
        conf.write("nameserver 127.0.0.1\n")
        conf.flush()
        words = ["unshare", "-mn", "sh", "-c",
                 f"ip link set lo up && mount --bind {conf.name} "
                 '/etc/resolv.conf && exec "$@"', "sh", sys.executable, "-c",
                 DEAF, how, NATPROBE, *flags]
        return subprocess.run(words, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=derpc.LIMIT)


def deaf_resolver():
    """A resolver without an answer holds up nothing for long, and a signal
    ends the wait."""
    if os.geteuid() != 0:
        raise Skip("needs root, for a network of its own")
    done = deaf("wait", "-json", "-", "-quiet", "-stun", "stun.example.org")
    assert done.returncode == 3, (done.returncode, done.stderr)
    said = json.loads(done.stdout)
    assert said["names"][0]["why"] == "no answer in 3 s", said
    done = deaf("wait", "-json", "-", "-quiet", "-stun", "127.0.0.1:9",
                "-stun", "stun.example.org")
    said = json.loads(done.stdout)
    assert said["names"][0]["why"] == "no answer in time", said
    assert said["ipv4"]["udp"] == "no", said
    done = deaf("stop", "-json", "-", "-quiet", "-stun", "stun.example.org")
    assert done.returncode == 4, (done.returncode, done.stderr)
    said = json.loads(done.stdout)
    assert (said["complete"], said["stopped"]) == (False, "interrupted"), said
    assert said["names"][0]["ms"] is None, said


# ---- the longest time ----

def longest_time():
    with stund() as at, silent_server() as silent:
        dead = "%s:%d" % silent.getsockname()
        for flags in ([], ["-lifetime"], ["-lifetime", "-refresh"]):
            stated = seconds_of(run("-n", "-stun", at, *flags).stdout)
            assert (stated < 60) == (not flags), stated
        assert seconds_of(
            run("-n", "-stun", at, "-max-time", "7s").stdout) == 7
        for flags in (["-stun", dead, "-relay", "https://127.0.0.1:1"],
                      ["-stun", at, "-lifetime"]):
            done = run("-json", "-", "-max-time", "500ms", *flags)
            said = json.loads(done.stdout)
            assert done.returncode == 5, (done.returncode, done.stderr)
            assert said["complete"] is False, said
            assert said["stopped"] == "out-of-time", said
            assert "(out-of-time)" in done.stderr, done.stderr
        done = run("-stun", at, "-max-time", "-3s")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done


# ---- signals ----

def stop_at(when, *flags, signo=signal.SIGINT):
    """Runs it, and sends the signal when the live view shows those words.
    Returns the result."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "out.json"
        with Terminal("-json", str(path), *flags) as t:
            t.wait_for(when)
            t.child_signal(signo)
            status = t.end()
        said = json.loads(path.read_text())
        assert not list(pathlib.Path(folder).glob("*.part"))
    assert status == 4, (status, t.text)
    assert said["complete"] is False and said["stopped"] == "interrupted"
    assert t.text.endswith("ended before (interrupted)\r\n"), t.text
    check_restored(t.text)
    return said


def interrupted():
    """In each phase: what is known is written, and is not wrong."""
    with stund() as at, silent_server() as silent, \
            contextlib.closing(socket.create_server((A1, 0))) as relay:
        dead = "%s:%d" % silent.getsockname()
        life = ["-lifetime", "-ttl-max", "4s", "-ttl-resolution", "1s"]
        said = stop_at("0 of 1 servers answer", "-stun", dead)
        assert said["ipv4"]["udp"] == "unknown", said
        assert said["ipv4"]["mapping"]["why"] == "run-ended-before", said
        said = stop_at("ports asking", "-stun", at, "-rate", "20",
                       signo=signal.SIGTERM)
        assert said["ipv4"]["udp"] == "yes", said
        assert said["ipv4"]["mapping"]["verdict"] in ("none", "unknown")
        said = stop_at("lifetimes, ", "-stun", at, *life,
                       signo=signal.SIGHUP)
        assert said["ipv4"]["mapping"]["verdict"] == "none", said
        assert said["ipv4"]["lifetime"]["exchange"]["why"], said
        said = stop_at(
            "0 of 1 done", "-relay",
            "https://127.0.0.1:%d" % relay.getsockname()[1])
        assert len(said["relays"]) == 1, said
        assert said["relays"][0]["complete"] is False, said


def hangup():
    """nohup keeps a run alive when its terminal is gone."""
    with silent_server() as silent:
        child = subprocess.Popen(
            ["nohup", NATPROBE, "-stun", "%s:%d" % silent.getsockname(),
             "-quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        silent.recv(2000)
        child.send_signal(signal.SIGHUP)
        child.communicate(timeout=derpc.LIMIT)
        assert child.returncode == 3, child.returncode


def names():
    """What can be no name of a building, and a map without a server."""
    for name in (b"\xff", b"a\nb", b"\x1b[31m", b"\x7f", b"x" * 256):
        done = run("-stun", A1, "-building", name)
        assert done.returncode == 2, done
        assert done.stderr.startswith("natprobe: building: want "), done
        assert done.stderr.count("\n") == 1, done
    done = run("-stun", A1, "-n", "-building", "Gebäude 3")
    assert done.returncode == 0, done
    with tempfile.NamedTemporaryFile("w") as map_file:
        map_file.write('{"Regions": {}}')
        map_file.flush()
        done = run("-map", map_file.name)
    assert done.returncode == 2, done
    assert f"no server in {map_file.name}: " in done.stderr, done


def twice():
    """The second signal ends a program that cannot get rid of its words."""
    with silent_server() as silent:
        at = "%s:%d" % silent.getsockname()
        r, w = os.pipe()
        fcntl.fcntl(w, fcntl.F_SETFL, os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(w, b"x" * 65536)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(w, b"x")
        fcntl.fcntl(w, fcntl.F_SETFL, 0)
        child = subprocess.Popen([NATPROBE, "-stun", at], stdout=w,
                                 stdin=subprocess.DEVNULL)
        silent.recv(2000)
        child.send_signal(signal.SIGINT)
        # It blocks in write when the signal's mask is empty again.
        until(lambda: "SigBlk:\t0000000000000000\n" in pathlib.Path(
            f"/proc/{child.pid}/status").read_text(), "the first to be heard")
        child.send_signal(signal.SIGINT)
        assert child.wait(derpc.LIMIT) == -signal.SIGINT, child.returncode
        os.close(r)
        os.close(w)


# ---- outputs ----

def outputs():
    with stund() as at, tempfile.TemporaryDirectory() as folder:
        # Found out before anything is sent.
        with silent_server() as silent:
            dead = "%s:%d" % silent.getsockname()
            os.mkfifo(f"{folder}/fifo")
            for path in (f"{folder}/no/x", folder, f"{folder}/fifo",
                         "/proc/x.json"):
                done = run("-stun", dead, "-json", path)
                assert done.returncode == 2, (path, done)
                assert done.stderr.startswith(f"natprobe: json {path}: ")
                assert done.stderr.count("\n") == 1, done.stderr
            assert not select.select([silent], [], [], 0)[0], "it was asked"
        # A device is written to, and not replaced; what it refuses is told.
        done = run("-stun", at, "-json", "/dev/full", "-quiet")
        assert done.returncode == 2 and "No space left" in done.stderr, done
        assert json.loads(done.stdout)["complete"] is True
        assert pathlib.Path("/dev/full").is_char_device()
        done = run("-stun", at, "-json", "/dev/null", "-quiet")
        assert done.returncode == 0 and done.stdout == "", done
        # Standard output that is full, closed, or that nobody reads.
        with open("/dev/full", "w") as full:
            done = run("-stun", at, stdout=full)
            assert done.returncode == 2, done
            assert "standard output: No space" in done.stderr, done.stderr
        done = run("-stun", at, "-json", f"{folder}/x", stdout=None,
                   preexec_fn=lambda: os.close(1))
        assert done.returncode == 2 and "standard output" in done.stderr, done
        assert json.loads(pathlib.Path(f"{folder}/x").read_text())["complete"]
        r, w = os.pipe()
        os.close(r)
        done = run("-stun", at, stdout=w)
        os.close(w)
        assert done.returncode == 2 and "Broken pipe" in done.stderr, done


def full_disk():
    """The old result stays, and the new one is not lost."""
    if os.geteuid() != 0:
        raise Skip("needs root, for a small disk")
    with stund() as at, tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c",
             'mount -t tmpfs -o size=4k none "$1" && echo old >"$1/x" && '
             '"$2" -stun "$3" -quiet -json "$1/x"; r=$?; cat "$1/x" >&2; '
             'ls "$1" >&2; exit $r', "sh", folder, NATPROBE, at],
            text=True, capture_output=True, timeout=derpc.LIMIT)
        assert done.returncode == 2, done
        assert "No space left" in done.stderr, done.stderr
        assert done.stderr.endswith("old\nx\n"), done.stderr


def sheet():
    """-rfc4787: each requirement, met or not, or why that is not known."""
    with stund() as at:
        done = run("-stun", at, "-rfc4787", "-tcp=false")
        assert done.returncode == 0, done
        rows = re.findall(
            r"^  (REQ-\d+) +(met|NOT MET|partly|unknown|not tried)  +(.+)",
            done.stdout, re.M)
        assert [name for name, *_ in rows] == [
            f"REQ-{n}" for n in range(1, 15)], rows
        found = {name: rest for name, *rest in rows}
        for name in ("REQ-1", "REQ-8", "REQ-12"):
            assert found[name][0] == "met", rows
        assert found["REQ-5"][0] == "not tried" and \
            "natprobe -lifetime" in found["REQ-5"][1], rows
        assert found["REQ-10"][0] == "partly", rows
        assert "1500 bytes pass" in found["REQ-13"][1], rows
        assert "RFC 5382" not in done.stdout and \
            "REQ-" not in run("-stun", at).stdout
        tcp = run("-stun", at, "-rfc4787").stdout
        rows = re.findall(r"^  (REQ-\d+) +(\w+)",
                          tcp.partition("RFC 5382 over IPv4\n")[2], re.M)
        assert [name for name, _ in rows] == [
            f"REQ-{n}" for n in range(1, 11)], rows
        assert dict(rows)["REQ-1"] == "met", rows
        wide = [line for line in (done.stdout + tcp).splitlines()
                if len(line) > 100]
        assert not wide and tcp.startswith("IPv4\n  direct way "), (wide, tcp)


# ---- what is shown meanwhile ----

HIDE, SHOW = "\033[?25l", "\033[?25h"


def check_restored(text):
    assert text.count(HIDE) == text.count(SHOW) == 1, repr(text)
    assert text.index(HIDE) < text.index(SHOW), repr(text)


class Terminal:
    """natprobe on a terminal of its own."""

    def __init__(self, *flags, size=(24, 80), env=None, stdout=True):
        self.text, self.status = "", None
        self.master, slave = pty.openpty()
        self.resize(*size)
        self.child = subprocess.Popen(
            [NATPROBE, *flags], stdin=slave, stderr=slave,
            stdout=slave if stdout else subprocess.DEVNULL,
            env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"},
                 "TERM": "xterm", **(env or {})}, start_new_session=True)
        os.close(slave)

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ,
                    struct.pack("HHHH", lines, columns, 0, 0))

    def child_signal(self, signo):
        self.child.send_signal(signo)

    def read(self):
        """False at the end."""
        if not select.select([self.master], [], [], derpc.LIMIT)[0]:
            raise AssertionError(f"says no more: {self.text!r}")
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += data.decode()
        return bool(data)

    def wait_for(self, pattern, start=0):
        while not re.search(pattern, self.text[start:]):
            assert self.read(), f"no {pattern}: {self.text!r}"

    def end(self):
        while self.read():
            pass
        return self.child.wait(derpc.LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        os.close(self.master)


LIFE = ["-lifetime", "-ttl-max", "4s", "-ttl-resolution", "1s"]


def on_terminal():
    with stund() as at:
        with Terminal("-stun", at, *LIFE) as t:
            t.wait_for(r"IPv4 time .*\[#*\.*\] lifetimes, \d s more at most")
            begin = len(t.text)
            t.resize(24, 30)
            t.child_signal(signal.SIGWINCH)
            t.wait_for(r"\033\[J\033\[\dA", begin)
            narrow = t.text[begin:]
            t.wait_for(r"\033\[J\033\[\dA", len(t.text))
            assert t.end() == 0, t.text
        check_restored(t.text)
        assert "\033[1m" in t.text
        assert "mapping none" in t.text and "lives, exchange" in t.text
        plain = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", t.text)
        for row in ("IPv4 TCP   mapping none", "IPv4 way   no router",
                    "IPv4 path  MTU 1500; "):
            assert row in plain, (row, plain)
        # Never so many lines that the terminal would scroll.
        assert max(int(n) for n in re.findall(r"\033\[(\d+)A", t.text)) < 12
        # Nothing of the view is left below the cursor, then come the words.
        assert re.search(r"\r\033\[J\033\[\?25hIPv4\r\n", t.text), t.text
        drawn = narrow.split("\033[J")[-2 if narrow.count("\033[J") > 1 else 0]
        for line in re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", drawn).split("\n"):
            assert len(line.strip("\r")) < 30, (line, narrow)


def suspended():
    """Control-Z: the shell gets its cursor back."""
    with stund() as at, Terminal("-stun", at, *LIFE) as t:
        t.wait_for("lifetimes, ")
        t.child_signal(signal.SIGTSTP)
        t.wait_for(re.escape(SHOW))
        until(lambda: "\nState:\tT" in pathlib.Path(
            f"/proc/{t.child.pid}/status").read_text(), "it to stop")
        begin = len(t.text)
        t.child_signal(signal.SIGCONT)
        t.wait_for(re.escape(HIDE), begin)
        t.child_signal(signal.SIGINT)
        assert t.end() == 4, t.text
        assert t.text.count(HIDE) == t.text.count(SHOW) == 2, t.text


def no_view():
    """-quiet, TERM=dumb, no terminal; NO_COLOR has no colour."""
    with stund() as at:
        with Terminal("-stun", at, "-quiet") as t:
            assert t.end() == 0 and t.text == "", t.text
        with Terminal("-stun", at, env={"TERM": "dumb"}) as t:
            assert t.end() == 0 and "\033" not in t.text, t.text
            assert t.text.startswith("IPv4\r\n"), t.text
        with Terminal("-stun", at, env={"NO_COLOR": "1"}) as t:
            assert t.end() == 0 and "\033[1m" not in t.text, t.text
            check_restored(t.text)
        done = run("-stun", at)
        assert done.returncode == 0 and done.stderr == "", done
        assert "\033" not in done.stdout, done.stdout


def lines():
    """Without a terminal, a run that takes long says so in lines."""
    with stund() as at:
        done = run("-stun", at, *LIFE)
        assert re.search(r"^natprobe: \d+ s: IPv4: 1 of 1 servers answer$",
                         done.stderr, re.M), done.stderr
        assert re.search(r"IPv4 time: lifetimes, \d s more", done.stderr)
        for part, text in (("TCP", "mapping none"), ("way", "no router"),
                           ("path", r"MTU 1500; \d of \d ports pass")):
            found = re.findall(rf"^natprobe: \d+ s: IPv4 {part}: (.*)$",
                               done.stderr, re.M)
            assert len(found) == 1 and re.match(text, found[0]), (part, found)
        assert "\033" not in done.stderr + done.stdout


def quiet():
    with stund() as at:
        done = run("-stun", at, "-quiet", *LIFE)
        assert (done.stdout, done.stderr) == ("", ""), done


def few_sockets():
    """An error of this host's, not a verdict on the network."""
    with stund() as at:
        for files in (10, 14, 40):
            done = run("-stun", at, "-quiet", "-json", "-", "-trace=false",
                       preexec_fn=lambda n=files: resource.setrlimit(
                           resource.RLIMIT_NOFILE, (n, n)))
            said = json.loads(done.stdout)["ipv4"]
            # What 40 are enough for is known.
            assert done.returncode in ((1,) if files < 40 else (0, 1)), done
            assert said["udp"] == ("unknown" if files == 10 else "yes"), said
            assert said["ports"]["why"] == "no-socket", (files, said)
            assert said["not_opened"]["error"] == "Too many open files", said
            assert done.stderr.count("could not be opened") == 1, done.stderr
            if files == 10:
                assert {said[name]["why"] for name in (
                    "mapping", "filtering")} == {"no-socket"}, said
                assert "does-not-answer" not in \
                    said["servers"][0]["findings"], said
                assert said.get("udp_blocked", {}).get("verdict") in (
                    None, "unknown"), said
        done = run("-stun", at, "-json", "-", "-quiet")
        assert json.loads(done.stdout)["ipv4"]["not_opened"] is None, done


CASES = [
    ("names that nobody knows", unknown_names),
    ("a resolver that never answers", deaf_resolver),
    ("the longest time, stated and kept", longest_time),
    ("a signal in each phase", interrupted),
    ("a second signal", twice),
    ("a terminal that goes away", hangup),
    ("names that are none", names),
    ("outputs that cannot be written to", outputs),
    ("a full disk", full_disk),
    ("too few sockets", few_sockets),
    ("RFC 4787's requirements", sheet),
    ("a live view on a terminal", on_terminal),
    ("suspended", suspended),
    ("no view where none is wanted", no_view),
    ("lines of a long run", lines),
    ("a long run that is quiet", quiet),
]


def main():
    # They wait for most of their time.
    with concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
        return derpc.main([(name, pool.submit(case).result)
                           for name, case in CASES])


if __name__ == "__main__":
    sys.exit(main())
