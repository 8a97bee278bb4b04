#!/usr/bin/python3
# tests/run: limit=300 one-thread
"""coordd_admin_test: who may call coordd's API, its socket and listener, its
metrics and backups; and strange callers. Prints TAP.

The program is $COORDD (default build/release/coordd).
"""

import contextlib
import json
import os
import pathlib
import re
import resource
import socket
import sqlite3
import stat
import sys
import tempfile
import time

from coordapi import Api, holding, seeded
from coordc import LIMIT
from ctlfake import main


# ---- who may ask ----

def tokens():
    with Api() as d:
        file = pathlib.Path(d.state, "admin.token")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert re.fullmatch("[0-9a-f]{64}\n", file.read_text())
        token = d.token()
        good = {"Authorization": f"Bearer {token}"}
        answer = d.raw("GET", "/healthz", remote=True)
        assert (answer.status, answer.body) == (200, b"ok\n")
        for path in ("/api/v1/status", "/api/v1/backup", "/metrics",
                     "/api/v1/metrics", "/api/v1/nope", "/nope"):
            answer = d.raw("GET", path, remote=True)
            assert answer.status == 401, (path, answer.status)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.json["error"].startswith("no token: want ")
        for path in ("/api/v1/status", "/metrics", "/api/v1/metrics"):
            assert d.raw("GET", path, None, good, True).status == 200, path
        for wrong in (token[:-1], token + "0", "x" + token, "0" * 64):
            answer = d.raw("GET", "/api/v1/status", None,
                           {"Authorization": f"Bearer {wrong}"}, True)
            assert answer.status == 401, wrong
            assert answer.json["error"].startswith("wrong token: want ")
        answer = d.raw("GET", "/api/v1/status", None,
                       {"Authorization": f"Basic {token}"}, True)
        assert answer.status == 401
        assert d.raw("GET", "/api/v1/status", None,
                     {"Authorization": "Bearer"}, True).status == 401
        answer = d.raw("POST", "/api/v1/users", '{"name": "a"}', good, True)
        assert answer.status == 201
        assert d.api("GET", "/audit")["audit"][0]["who"] == \
            "token from 127.0.0.1"
        # Nothing of it is in the log.
        assert not [l for l in d.lines if token in l]


def wrong_tokens_are_limited():
    with Api() as d:
        wrong = {"Authorization": "Bearer " + "0" * 64}
        seen = [d.raw("GET", "/api/v1/status", None, wrong, True)
                for _ in range(30)]
        codes = [a.status for a in seen]
        assert codes[:10] == [401] * 10, codes
        assert set(codes[10:]) <= {401, 429} and codes.count(429) >= 5, codes
        limited = next(a for a in seen if a.status == 429)
        assert limited.headers["Retry-After"].isdigit()
        assert "error" in limited.json
        # Whose token is right is not kept out by others from there.
        assert d.far("GET", "/api/v1/status").status == 200


def token_stays():
    with Api() as d:
        token = d.token()
        d.stop()
        d.start()
        assert d.token() == token
        d.stop()
        file = pathlib.Path(d.state, "admin.token")
        for bad in ("", "short\n", "g" * 64, token + "\n\n", "x" * 5000):
            file.write_text(bad)
            line = d.refused()
            assert line == f"coordd: {file}: want one line of 64 hex digits;" \
                " remove the file to have a new token made", line
        file.unlink()
        file.mkdir()
        line = d.refused()
        assert line == f"coordd: {file}: Is a directory", line
        file.rmdir()
        d.start()
        assert d.token() != token


def cookies():
    """A cookie serves for reading; what changes must come from our page."""
    with Api() as d:
        cookie = {"Cookie": f"a=b; coordd_token={d.token()}; c=d"}
        own = f"http://127.0.0.1:{d.admin}"

        def create(name, **headers):
            return d.raw("POST", "/api/v1/users", json.dumps({"name": name}),
                         {**cookie, **headers}, True).status

        assert d.raw("GET", "/api/v1/users", None, cookie, True).status == 200
        assert create("a") == 403
        for origin in ("null", "http://evil.example", own + "0", "",
                       f"http://127.0.0.1:{d.admin}.evil.example",
                       f"ftp://127.0.0.1:{d.admin}"):
            assert create("a", Origin=origin) == 403, origin
        assert create("a", Origin=own) == 201
        assert d.api("GET", "/audit")["audit"][0]["who"] == \
            "page from 127.0.0.1"
        for bad in ("coordd_token=", "xcoordd_token=" + d.token(),
                    "coordd_token", "coordd_token=" + "0" * 64):
            answer = d.raw("GET", "/api/v1/users", None, {"Cookie": bad}, True)
            assert answer.status == 401, bad
        # A page elsewhere does not use somebody's token either.
        answer = d.raw("POST", "/api/v1/users", '{"name": "b"}', {
            "Authorization": f"Bearer {d.token()}",
            "Origin": "http://evil.example"}, True)
        assert answer.status == 403


def hosts():
    with Api() as d:
        good = {"Authorization": f"Bearer {d.token()}"}

        def get(host):
            return d.raw("GET", "/api/v1/status", None,
                         {**good, "Host": host}, True).status

        for host in ("127.0.0.1", f"127.0.0.1:{d.admin}", "localhost",
                     "LocalHost:80", "[::1]:1", "[::1]", "192.0.2.1"):
            assert get(host) == 200, host
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.x",
                     "", "[::1", "[]", "[::1]x", "localhosts", "::1", "127.1"):
            assert get(host) == 403, host
        with socket.create_connection(("127.0.0.1", d.admin), LIMIT) as s:
            s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert b" 403 " in s.makefile("rb").readline()


def headers():
    with Api() as d:
        good = {"Authorization": f"Bearer {d.token()}"}
        for path, status, more in (
                ("/api/v1/status", 200, good), ("/api/v1/status", 401, {}),
                ("/api/v1/nope", 404, good), ("/metrics", 200, good),
                ("/healthz", 200, {}), ("/api/v1/backup", 200, good)):
            answer = d.raw("GET", path, None, more, True)
            assert answer.status == status, (path, answer.status)
            for name, value in (
                    ("Cache-Control", "no-store"),
                    ("Content-Security-Policy",
                     "default-src 'none'; frame-ancestors 'none'"),
                    ("Cross-Origin-Resource-Policy", "same-origin"),
                    ("Referrer-Policy", "no-referrer"),
                    ("X-Content-Type-Options", "nosniff"),
                    ("X-Frame-Options", "DENY")):
                assert answer.headers.get_all(name) == [value], (path, name)
            assert answer.headers["Access-Control-Allow-Origin"] is None


# ---- the socket ----

def socket_file():
    with Api() as d, Api(start=False) as other:
        file = pathlib.Path(d.socket)
        assert stat.S_IMODE(file.lstat().st_mode) == 0o600
        d.api("POST", "/users", {"name": "a"}, status=201)
        assert d.api("GET", "/audit")["audit"][0]["who"] == \
            f"uid {os.geteuid()}"
        # One that is in use is left alone.
        other.flags += ["-socket", d.socket]
        line = other.refused()
        assert line == f"coordd: socket {file}: another coordd answers " \
            "there; end it, or choose another path", line
        assert d.api("GET", "/users")["users"]
        d.stop()
        assert not file.exists(), "it is removed at the end"
        other.start()


def socket_stale():
    with Api() as d:
        d.api("POST", "/users", {"name": "a"}, status=201)
        d.kill()
        assert stat.S_ISSOCK(os.lstat(d.socket).st_mode)
        d.start()
        assert d.api("GET", "/users")["users"][0]["name"] == "a"


def socket_others():
    """What is no socket stays, and so does another's at the end."""
    with Api(start=False) as d:
        file = pathlib.Path(d.socket)
        file.write_text("precious")
        line = d.refused()
        assert line == f"coordd: socket {file}: there is a file which is no " \
            "socket; choose another path", line
        assert file.read_text() == "precious"
        file.unlink()
        file.symlink_to("precious")
        line = d.refused()
        assert "no socket" in line and file.is_symlink(), line
        file.unlink()
        d.start()
        file.unlink()
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.bind(str(file))
        assert d.far("GET", "/api/v1/status").status == 200
        d.stop()
        assert file.exists()
        long = os.path.join(d.folder.name, "x" * 120)
        d.flags += ["-socket", long]
        line = d.refused()
        assert line == f"coordd: socket {long}: {len(long)} bytes; a socket's" \
            " path has at most 107", line


def no_socket():
    with Api("-socket", "") as d:
        assert d.far("GET", "/api/v1/status").status == 200
        assert not os.path.exists(d.socket)


# ---- coordd itself ----

def metrics():
    with seeded() as d:
        d.api("POST", "/preauthkeys", {"user": "alpha"}, status=201)
        answer = d.raw("GET", "/metrics")
        assert answer.headers["Content-Type"] == \
            "text/plain; version=0.0.4; charset=utf-8"
        text = answer.body.decode()
        kinds, helps, values = {}, set(), {}
        for line in text.splitlines():
            if found := re.fullmatch(r"# HELP (\S+) \S.*\.", line):
                assert found[1] not in helps, line
                helps.add(found[1])
            elif found := re.fullmatch(r"# TYPE (\S+) (counter|gauge)", line):
                assert found[1] not in kinds, line
                kinds[found[1]] = found[2]
            else:
                found = re.fullmatch(
                    r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? '
                    r"(-?[0-9.e+]+)", line)
                assert found and found[1] in kinds, line
                assert found[1] + (found[2] or "") not in values, line
                values[found[1] + (found[2] or "")] = float(found[4])
        ours = [k for k in kinds if k.startswith("campusnet_")]
        assert len(ours) >= 24 and set(ours) <= helps, set(ours) - helps
        for name in ours:
            assert (kinds[name] == "counter") == name.endswith("_total"), name
        p = "campusnet_coordd_"
        assert values[p + 'nodes{online="false"}'] == 2
        assert values[p + 'nodes{online="true"}'] == 0
        assert values[p + "users"] == 2 and values[p + "preauthkeys"] == 1
        assert values[p + "pending_logins"] == 0
        assert values[p + "policy_loads_total"] == 1
        assert abs(values[p + "policy_loaded_timestamp_seconds"] -
                   time.time()) < 3600
        assert values[p + "database_bytes"] > 4096
        assert values["process_resident_memory_bytes"] > 0
        assert re.search(r'^campusnet_build_info\{program="coordd",version="'
                         r'[^"]+"\} 1$', text, re.M)


def is_database(body, nodes, without=None):
    """A sound one, with so many nodes, and without this user."""
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(body)
        copy.flush()
        with contextlib.closing(sqlite3.connect(copy.name)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute(
                "SELECT count(*) FROM nodes").fetchone() == (nodes,)
            assert db.execute("SELECT count(*) FROM users WHERE name = ?",
                              [without]).fetchone() == (0,)


def backup():
    with seeded(nodes=500) as d:
        answer = d.raw("GET", "/api/v1/backup")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/vnd.sqlite3"
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert not [n for n in os.listdir(d.state) if "backup" in n]
        is_database(answer.body, 500)
        assert d.api("POST", "/verify") == {"ok": True}
        # Left by a coordd that was killed while it made one.
        pathlib.Path(d.state, "backup.part").write_text("half")
        is_database(d.far("GET", "/api/v1/backup").body, 500)
        assert not [n for n in os.listdir(d.state) if "backup" in n]


def backup_slow_reader():
    """Who reads slowly holds nobody up; two at once do not mix."""
    with seeded(nodes=2000) as d, contextlib.ExitStack() as held:
        slow = []
        for _ in range(2):
            s = held.enter_context(
                contextlib.closing(socket.socket(socket.AF_UNIX)))
            s.settimeout(LIMIT)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(d.socket)
            s.sendall(b"GET /api/v1/backup HTTP/1.1\r\nHost: x\r\n"
                      b"Connection: close\r\n\r\n")
            slow.append(s.makefile("rb"))
            assert slow[-1].readline().split()[1] == b"200"
        d.api("POST", "/users", {"name": "meanwhile"}, status=201)
        for f in slow:
            is_database(f.read().partition(b"\r\n\r\n")[2], 2000, "meanwhile")


def verify_damaged():
    with seeded() as d:
        assert d.api("POST", "/verify") == {"ok": True}
        with d.sql() as db:
            db.execute("UPDATE nodes SET ip4 = 'nowhere' WHERE id = 2")
        d.refuses(500, holding("coordd.db"), "POST", "/verify")


# ---- hostile ----

NONSENSE = [
    b"\0" * 100, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00" * 9,
    b"GET / HTTP/1.1\r\n" + b"x" * 20000,
    b"GET / HTTP/1.1\r\nA: " + b"x" * 100000 + b"\r\n\r\n",
    b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"GET http://[::/ HTTP/1.1\r\nHost: ::\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET //x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: -1\r\n\r\n",
    b"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    b"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 10\r\n\r\n{",
]


def nonsense():
    with Api() as d:
        for piece in NONSENSE:
            for remote in (False, True):
                family = socket.AF_INET if remote else socket.AF_UNIX
                where = ("127.0.0.1", d.admin) if remote else d.socket
                with contextlib.closing(socket.socket(family)) as s, \
                        contextlib.suppress(OSError):
                    s.settimeout(LIMIT)
                    s.connect(where)
                    s.sendall(piece)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
        assert d.api("GET", "/users") == {"users": []}
        assert d.raw("GET", "/healthz", remote=True).status == 200


def vanished():
    """Callers that go before their answer comes hurt nobody."""
    with seeded(nodes=2000) as d:
        for _ in range(50):
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
                s.connect(d.socket)
                s.sendall(b"GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(d.api("GET", "/nodes")["nodes"]) == 2000


def descriptors_run_out():
    """When no connection can be accepted it waits, and goes on later."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    with Api(preexec_fn=few) as d, contextlib.ExitStack() as held:
        for _ in range(60):
            held.enter_context(socket.create_connection(
                ("127.0.0.1", d.admin), LIMIT))
        d.line("http: accept: Too many open files")
        held.close()
        assert d.raw("GET", "/healthz", remote=True).status == 200


def address_taken():
    with Api() as d, Api(start=False) as other:
        other.flags += ["-admin", f"127.0.0.1:{d.admin}"]
        line = other.refused()
        assert line == f"coordd: admin 127.0.0.1:{d.admin}: Address already " \
            "in use", line


if __name__ == "__main__":
    sys.exit(main([
        tokens, wrong_tokens_are_limited, token_stays, cookies, hosts, headers,
        socket_file, socket_stale, socket_others, no_socket, metrics, backup,
        backup_slow_reader, verify_damaged, nonsense, vanished,
        descriptors_run_out, address_taken]))
