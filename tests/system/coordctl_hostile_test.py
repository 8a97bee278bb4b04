#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordctl_hostile_test: coordctl with no server, a strange one, a full disk,
a closed pipe. Prints TAP.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

from ctlfake import (COORDCTL, LIMIT, MAGIC, NODE, USER, Fake, ask, ctl,
                     environment, fails, main, reply, told, wait_for, works)


# ---- what goes wrong ----

def refused():
    """coordd's own words, one line, status 1."""
    for status in (400, 404, 409, 500, 503):
        with Fake(reply(status, {"error": "no such node: x"})) as fake:
            for line in ("nodes show x", "nodes rename x y", "users delete x",
                         "backup /nonexistent/file", "nodes list --json"):
                if status == 400 or line != "backup /nonexistent/file":
                    code, out, error = ctl(*line.split(), socket=fake.path)
                    assert (code, out) == (1, ""), (line, code, out)
                    told(error)
    with Fake(reply(409, {"error": "user alice still owns 2 nodes"})) as fake:
        assert fails(1, "users", "delete", "alice", socket=fake.path) == \
            "coordctl: user alice still owns 2 nodes\n"
    for answer in (reply(500), reply(500, raw=b"<html>"), reply(404, []),
                   reply(500, {"error": ""}), reply(503, {"error": 5})):
        with Fake(answer) as fake:
            fails(1, "status", socket=fake.path,
                  says=["HTTP status", "did not say why"])


def no_server():
    """It says what to do."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "s")
        fails(1, "status", socket=path,
              says=[path, "no such socket", "start coordd", "--socket"])
        fails(1, "status", says=["/nonexistent/socket: there is no such"])
        fails(1, "status", env=environment(COORDD_SOCKET=""),
              says=["/run/campusnet/coordd.sock"])
        pathlib.Path(path).touch()
        fails(1, "status", socket=path, says=["it is not a socket"])
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            fails(1, "status", socket=path, says=["nobody listens"])
            if os.getuid() == 0:
                s.listen()
                os.chmod(path, 0o600)
                # The build may lie where only root can look.
                program = shutil.copy(COORDCTL, folder)
                fails(1, "status", socket=path, program=program, user=65534,
                      group=65534, says=["permission denied", "as root"])


def strange_answers():
    """Cut, wrong, huge or senseless answers end with one line."""
    nodes = reply(200, {"nodes": [NODE]})
    head, body = nodes.split(b"\r\n\r\n", 1)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for answer, *says in [
            [b"", "without an answer"],
            [b"HTTP/1.1 200 OK", "without an answer"],
            [nodes[:40], "cut off"],
            [nodes[:-1], "cut off"],
            [head + b"\r\n\r\n", "cut off"],
            [chunked + b"5\r\n{\"a\"", "cut off"],
            [chunked + b"2\r\n{}\r\n", "cut off"],
            [chunked + b"2\r\n{}\r\n0\r\n", "cut off"],
            [chunked + b"x\r\n{}\r\n0\r\n\r\n", "not understood"],
            [chunked + b"1\r\n{}\r\n0\r\n\r\n", "not understood"],
            [chunked + b"ffffffffffffffffffff\r\n", "not understood"],
            [b"SSH-2.0-OpenSSH\r\n", "it is no HTTP"],
            [b"HTTP/2.0 200 OK\r\n\r\n", "it is no HTTP"],
            [b"HTTP/1.1 999999 OK\r\n\r\n", "it is no HTTP"],
            [b"HTTP/1.1 100 Continue\r\n\r\n", "status is unknown"],
            [b"HTTP/1.1 200 OK\r\n\r\n" + body, "does not tell its length"],
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\n", "no number"],
            [b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n", "no number"],
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n"
             b"\r\n{}", "no number"],
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: "
             b"chunked\r\n\r\n{}", "length"],
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "coding"],
            [b"HTTP/1.1 200 OK\r\nX\r\n\r\n", "it is no HTTP"],
            [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000, "too long"],
            [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000, "too long"],
            [b"\x00" * 100, "it is no HTTP"],
            [reply(204), "it is empty"],
            [reply(200, raw=b""), "it is no JSON"],
            [reply(200, raw=b"{"), "it is no JSON"],
            [reply(200, raw=b'{"nodes":[]} x'), "it is no JSON"],
            [reply(200, raw=b'{"nodes":["\xff"]}'), "it is no JSON"],
            [reply(200, raw=b"[" * 100000), "it is no JSON"],
            [reply(200, []), "it is no JSON object"],
            [reply(200, {}), "it has no list"],
            [reply(200, {"nodes": {}}), "it has no list"]]:
        with Fake(answer) as fake:
            fails(1, "nodes", "list", socket=fake.path, says=says)
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    with Fake([[huge, *[b" " * (1 << 20)] * 300]]) as fake:
        fails(1, "nodes", "list", socket=fake.path, says=["it is too long"])


def strange_members():
    """Members that are missing or of another kind do no harm."""
    for node in ({}, [], 5, None, "x", {k: 5 for k in NODE},
                 {k: {} for k in NODE}, {k: [[], {}, None] for k in NODE},
                 {k: 1.5 for k in NODE}, {k: "" for k in NODE},
                 {**NODE, "last_seen": "yesterday", "id": -5}):
        for line in ("nodes list", "nodes routes"):
            out, _ = ask(reply(200, {"nodes": [node, NODE]}), *line.split())
            assert out.splitlines()[-1].startswith("3 "), out
        if isinstance(node, dict):
            for line in ("nodes show x", "nodes routes x", "nodes expire x",
                         "nodes approve x", "nodes tag x -t y", "status",
                         "policy explain a b:1", "policy reload"):
                ask(reply(200, node), *line.split())
    with Fake(reply(200, {"policy": 5})) as fake:
        fails(1, "policy", "show", socket=fake.path, says=["no policy"])


def pieces():
    """An answer may come byte by byte, or in chunks, or with lines that end
    in LF alone."""
    nodes = reply(200, {"nodes": [NODE]})
    want = ask(nodes, "nodes", "list")[0]
    body = nodes.split(b"\r\n\r\n", 1)[1]
    assert ask([[bytes([b]) for b in nodes]], "nodes", "list")[0] == want
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + \
        b"".join(b"%x;a=b\r\n%c\r\n" % (1, b) for b in body) + \
        b"0\r\nX: y\r\n\r\n"
    assert ask(chunked, "nodes", "list")[0] == want
    assert ask(b"HTTP/1.0 200\ncontent-length: \t%d \n\n" % len(body) + body +
               b"beyond", "nodes", "list")[0] == want


def silent_server():
    with Fake([[None]]) as fake:
        fails(1, "status", "--timeout", "1s", socket=fake.path,
              says=["said nothing for 1 s", "--timeout"])
    with Fake([[reply(200, {"nodes": []})[:-3], None]]) as fake:
        fails(1, "nodes", "list", "--timeout", "1s", socket=fake.path,
              says=["said nothing for 1 s"])


def early_answer():
    """A request that coordd refuses before it has read it all."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        policy = pathlib.Path(folder) / "policy"
        policy.write_text("x" * 900_000)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            child = subprocess.Popen(
                [COORDCTL, "--socket", path, "policy", "check", policy],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            connection, _ = s.accept()
            connection.sendall(reply(413, {"error": "over 1 MiB"}))
            connection.close()
            out, error = child.communicate(timeout=LIMIT)
        assert child.returncode == 1 and out == "", (out, error)
        told(error)


def lost_output():
    """What could not be printed is an error, not a success."""
    with Fake(reply(200, {"nodes": [NODE] * 2000})) as fake:
        for arguments in (["nodes", "list"], ["--help"], ["--version"],
                          ["nodes", "list", "--json"], ["completion", "bash"]):
            command = [COORDCTL, "--socket", fake.path, *arguments]
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command, stdout=full, timeout=LIMIT,
                                      stderr=subprocess.PIPE, text=True)
            assert done.returncode == 1, done
            told(done.stderr, "standard output: No space left on device")
            read, write = os.pipe()
            os.close(read)
            done = subprocess.run(command, stdout=write, timeout=LIMIT,
                                  stderr=subprocess.PIPE, text=True)
            os.close(write)
            assert done.returncode == 1, done
            told(done.stderr, "standard output: Broken pipe")
            done = subprocess.run(
                ["sh", "-c", 'exec "$@" >&-', "sh", *command], timeout=LIMIT,
                stderr=subprocess.PIPE, text=True)
            assert done.returncode == 1, done
            told(done.stderr, "standard output: ")
    with Fake(reply(200, USER)) as fake:
        # All three closed: the socket must not become standard output.
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", COORDCTL, "--socket",
             fake.path, "users", "create", "alice"], timeout=LIMIT)
        assert done.returncode == 1
        assert fake.requests == [("POST", "/users", {"name": "alice"})]


# ---- copies ----

def copy_answer(size=100_000):
    return reply(200, raw=MAGIC + bytes(size))


def backup_file():
    with tempfile.TemporaryDirectory() as folder, \
            Fake(copy_answer()) as fake:
        file = pathlib.Path(folder) / "copy.db"
        for arguments in ([], ["--force"]):
            out = works("backup", file, *arguments, socket=fake.path)
            assert out == f"{file} written, 0.1 MB.\n", out
            assert file.read_bytes() == MAGIC + bytes(100_000)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        asked = len(fake.requests)
        file.write_text("mine")
        fails(1, "backup", file, socket=fake.path,
              says=[str(file), "there already", "--force"])
        assert len(fake.requests) == asked, "asked in vain"
        assert file.read_text() == "mine"
        os.unlink(file)
        out = json.loads(works("backup", file, "--json", socket=fake.path,
                               cwd=folder))
        assert out == {"file": str(file), "bytes": 100_016}, out
        assert works("backup", "here.db", socket=fake.path, cwd=folder)
        fails(1, "backup", folder, "--force", socket=fake.path,
              says=["it is not a file"])
        fails(1, "backup", "/dev/null", "--force", socket=fake.path,
              says=["it is not a file"])
        fails(1, "backup", os.path.join(folder, "no/copy"), socket=fake.path,
              says=["No such file or directory"])
        assert sorted(os.listdir(folder)) == ["copy.db", "here.db"]


def backup_stdout():
    with Fake(copy_answer()) as fake:
        assert works("backup", "-", socket=fake.path).encode() == \
            MAGIC + bytes(100_000)
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [COORDCTL, "--socket", fake.path, "backup", "-"], stdout=full,
                stderr=subprocess.PIPE, text=True, timeout=LIMIT)
        assert done.returncode == 1
        told(done.stderr, "standard output: No space left on device")


def backup_whole_or_not():
    """Cut, refused, no database, interrupted: no file, and the old one is as
    it was."""
    whole = copy_answer()
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "copy.db"
        file.write_text("old")
        for answer, says in (
                (whole[:-1], "cut off"), (whole[:90], "cut off"),
                (reply(500, {"error": "disk on fire"}), "disk on fire"),
                (reply(200, raw=b""), "no database"),
                (reply(200, raw=b"SQLite form"), "no database"),
                (reply(200, raw=b"<html>" * 100), "no database"),
                (reply(204), "it is empty")):
            with Fake(answer) as fake:
                fails(1, "backup", file, "--force", socket=fake.path,
                      says=[says])
            assert file.read_text() == "old"
            assert os.listdir(folder) == ["copy.db"]
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with Fake([[whole[:-1], None]]) as fake:
                child = subprocess.Popen(
                    [COORDCTL, "--socket", fake.path, "backup", file,
                     "--force"], stderr=subprocess.PIPE, text=True)
                wait_for(lambda: len(os.listdir(folder)) == 2)
                child.send_signal(signo)
                _, error = child.communicate(timeout=LIMIT)
                assert child.returncode == -signo, child.returncode
                told(error, "interrupted")
            assert os.listdir(folder) == ["copy.db"]
        # Two at once: one wins, neither breaks the other.
        os.unlink(file)
        with Fake([[whole[:-1], None]]) as slow, Fake(whole) as quick:
            child = subprocess.Popen(
                [COORDCTL, "--socket", slow.path, "backup", file],
                stderr=subprocess.PIPE, text=True)
            wait_for(lambda: os.listdir(folder))
            works("backup", file, socket=quick.path)
            slow.answer = None
            child.terminate()
            child.communicate(timeout=LIMIT)
        assert file.read_bytes() == MAGIC + bytes(100_000)
        assert os.listdir(folder) == ["copy.db"]


TESTS = [refused, no_server, strange_answers, strange_members, pieces,
         silent_server, early_answer, lost_output, backup_file, backup_stdout,
         backup_whole_or_not]


if __name__ == "__main__":
    sys.exit(main(TESTS))
