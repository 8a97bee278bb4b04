"""coordapi: what the tests of coordd's API share: calls by the socket and by
-admin, and databases with nodes in them.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import sqlite3

from coordc import LIMIT, Coordd

MIB = 1 << 20
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

RELAYS = {"Regions": {"900": {
    "RegionID": 900, "RegionCode": "campus", "RegionName": "The \"campus\"",
    "Nodes": [{"Name": "900a", "RegionID": 900, "HostName": "127.0.0.1",
               "IPv4": "127.0.0.1", "DERPPort": 8443}]}}}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=LIMIT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.headers
        return json.loads(self.body.decode())


class Api(Coordd):
    """A coordd, and calls of its API."""

    def __init__(self, *flags, start=True, **options):
        super().__init__(start=False, **options)
        relays = os.path.join(self.folder.name, "relays.json")
        pathlib.Path(relays).write_text(json.dumps(RELAYS))
        # As root it stays root, so that the folder may stay root's, too.
        self.flags = ["-admin", "127.0.0.1:0", "-user", "root", "-derp-map",
                      relays, "-domain", "campus.test", *flags]
        if start:
            self.start()

    def start(self):
        super().start()
        self.admin = int(self.line(
            r"listening admin http://127\.0\.0\.1:(\d+)/$")[1])

    def refused(self):
        """The one line of a coordd that does not start."""
        status, lines = self.run()
        assert status == 2, (status, lines)
        lines = [l for l in lines if l.startswith("coordd: ")]
        assert len(lines) == 1, lines
        return lines[0]

    def token(self):
        return pathlib.Path(self.state, "admin.token").read_text().strip()

    def raw(self, method, path, body=None, headers=None, remote=False):
        """One request on a connection of its own."""
        c = (http.client.HTTPConnection("127.0.0.1", self.admin, timeout=LIMIT)
             if remote else UnixConnection(self.socket))
        with contextlib.closing(c):
            c.request(method, path, body, headers or {})
            return Answer(c.getresponse())

    def far(self, method, path, body=None, **headers):
        """The same by -admin, with the token."""
        token = {"Authorization": f"Bearer {self.token()}"}
        return self.raw(method, path, body, {**token, **headers}, True)

    def api(self, method, path, body=None, status=200):
        """A call by the socket; the answer as JSON, or None for 204."""
        answer = self.raw(method, "/api/v1" + path,
                          None if body is None else json.dumps(body))
        assert answer.status == status, \
            (method, path, answer.status, answer.body)
        if status == 204:
            assert answer.body == b"", answer.body
            return None
        return answer.json

    def refuses(self, status, says, method, path, body=None):
        """A call that is refused with this error: a text, or a pattern."""
        answer = self.api(method, path, body, status=status)
        assert list(answer) == ["error"], answer
        error = answer["error"]
        assert error == says if isinstance(says, str) \
            else says.search(error), error
        assert "\n" not in error, error

    def seed(self, users=("alpha", "beta"), nodes=2):
        """Users, and so many nodes of the first; while it does not run."""
        self.start()
        for name in users:
            self.api("POST", "/users", {"name": name}, status=201)
        self.stop()
        with self.sql() as db:
            for i in range(1, nodes + 1):
                row = node_row(i)
                db.execute(f"INSERT INTO nodes ({', '.join(row)}) VALUES "
                           f"({', '.join('?' * len(row))})",
                           list(row.values()))

    @contextlib.contextmanager
    def sql(self):
        """The database, as sqlite3 has it; commits."""
        path = os.path.join(self.state, "coordd.db")
        with contextlib.closing(sqlite3.connect(path, timeout=LIMIT)) as db, \
                db:
            yield db


def node_row(i):
    """The i-th node; the second has not told anything of itself yet."""
    silent = i == 2
    return {
        "user": 1, "machine": bytes([1]) + i.to_bytes(31, "big"),
        "node_key": bytes([2]) + i.to_bytes(31, "big"),
        "disco": bytes(32) if silent else bytes([3]) * 32,
        "hostname": f"Robot {i}", "label": f"robot-{i}", "label_set": 0,
        "ip4": f"100.64.{i >> 8}.{i & 255}", "ip6": f"fd7a:115c:a1e0::{i:x}",
        "created": 1700000000, "expiry": 0, "last_seen": 1700000001,
        "ephemeral": 0, "authorized": 1, "authkey": 0, "tags": "",
        "hostinfo": None if silent else
        json.dumps({"OS": "linux", "IPNVersion": "1.102.5"}),
        "endpoints": None if silent else '["10.0.0.1:41641"]',
        "home_derp": 0 if silent else 900, "capver": 142,
        "advertised": "10.1.0.0/16 0.0.0.0/0 ::/0", "approved": ""}


@contextlib.contextmanager
def seeded(*flags, **wish):
    """A running coordd with users alpha and beta, and two nodes of alpha."""
    with Api(*flags, start=False) as d:
        d.seed(**wish)
        d.start()
        yield d


def holding(text):
    return re.compile(re.escape(text))
