"""ctlfake: coordctl with a server of our own behind its socket. For the tests
of coordctl.

The program is $COORDCTL (default build/release/coordctl).
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

from taprun import Skip, main  # for those who import this, too

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
COORDCTL = os.environ.get("COORDCTL", str(TOP / "build/release/coordctl"))

# No condition takes longer than this, on a busy machine and with sanitizers.
LIMIT = 60.0

# What a database begins with.
MAGIC = b"SQLite format 3\0"


def reply(status, value=None, raw=None):
    """An answer as coordd would send it."""
    body = raw if raw is not None else \
        b"" if value is None else json.dumps(value).encode()
    return (b"HTTP/1.1 %d Word\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n" %
            (status, len(body))) + body


class Fake:
    """Serves `answer`: bytes, a list of bytes (one per request) or of lists
    (pieces), or a function of method and path. Requests are kept as (method,
    path, body)."""

    def __init__(self, answer):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "s")
        self.answer = answer
        self.requests = []
        self.heads = []
        self.held = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.held.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(LIMIT)
        self.folder.cleanup()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._one(connection)

    def _one(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65536)):
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        length = int(length[1]) if length else 0
        while len(body) < length:
            if not (more := connection.recv(65536)):
                return
            body += more
        method, path, version = head.split(b"\r\n")[0].decode().split(" ")
        assert version == "HTTP/1.1" and len(body) == length
        assert path.startswith("/api/v1"), path
        path = path.removeprefix("/api/v1")
        self.heads.append(head.decode())
        self.requests.append((method, path, json.loads(body) if body else None))
        answer = self.answer
        if callable(answer):
            answer = answer(method, path)
        elif isinstance(answer, list):
            answer = answer[min(len(self.requests), len(answer)) - 1]
        for piece in answer if isinstance(answer, list) else [answer]:
            if piece is None:  # says no more until the test is over
                self.held.wait(LIMIT)
            else:
                connection.sendall(piece)


def environment(**more):
    drop = ("COORDD_SOCKET", "NO_COLOR")
    env = {k: v for k, v in os.environ.items() if k not in drop}
    return {**env, "COORDD_SOCKET": "/nonexistent/socket", **more}


def ctl(*arguments, socket=None, program=None, env=None, stdin=b"", **options):
    """Runs coordctl. Returns its status, standard output and error."""
    if socket is not None:
        arguments = ("--socket", socket, *arguments)
    done = subprocess.run([program or COORDCTL, *arguments], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=env or environment(), timeout=LIMIT, **options)
    return (done.returncode, done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "surrogateescape"))


def told(error, *words):
    """The error is one clean line that holds the words."""
    assert re.fullmatch(r"coordctl: [^\x00-\x1f\x7f-\x9f]+\n", error), [error]
    for word in words:
        assert word in error, (word, error)


def fails(status, *arguments, says=(), **options):
    code, out, error = ctl(*arguments, **options)
    assert code == status, (arguments, code, out, error)
    assert out == "", out
    told(error, *says)
    return error


def works(*arguments, **options):
    code, out, error = ctl(*arguments, **options)
    assert (code, error) == (0, ""), (arguments, code, error)
    return out


def ask(answer, *arguments, stdin=b""):
    """Runs a command on one answer. Returns what it printed and asked."""
    with Fake(answer) as fake:
        out = works(*arguments, socket=fake.path, stdin=stdin)
        return out, fake.requests


NODE = {"id": 3, "name": "arm-1", "fqdn": "arm-1.robots.example",
        "hostname": "Arm 1", "user": "alice", "tags": ["tag:arm", "tag:lab"],
        "addresses": ["100.64.0.1", "fd7a:115c:a1e0::1"],
        "machine_key": "mkey:aa", "node_key": "nodekey:bb",
        "disco_key": "discokey:cc", "online": True,
        "last_seen": "2026-11-22T21:50:06Z", "created": "2026-11-01T00:00:00Z",
        "expiry": None, "expired": False, "approved": True, "ephemeral": False,
        "version": "1.102.5", "os": "linux", "endpoints": ["192.0.2.1:41641"],
        "relay": 900, "relay_name": "campus",
        "routes": {"advertised": ["10.0.0.0/8", "10.1.0.0/16"],
                   "approved": ["10.0.0.0/8", "10.9.0.0/16"],
                   "serving": ["10.0.0.0/8"]}, "preauthkey": 7}
USER = {"id": 1, "name": "alice", "display_name": "Alice", "nodes": 2,
        "created": "2026-11-01T00:00:00Z"}
KEY = {"id": 7, "user": "alice", "prefix": "ck-abc", "reusable": True,
       "ephemeral": False, "used": False, "created": "2026-11-01T00:00:00Z",
       "expiration": "2027-01-01T00:00:00Z", "tags": [], "usable": True}


def wait_for(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
