#!/usr/bin/python3
# tests/run: limit=240 one-thread
"""coordd_start_test: how coordd starts, is told things while it runs, runs out
of something, and ends. Prints TAP.

The program is $COORDD (default build/release/coordd).
"""

import contextlib
import hashlib
import json
import os
import pathlib
import pwd
import re
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile

from coordapi import RELAYS, Api
from coordc import COORDD, LIMIT, Client, Coordd
from coordwire import Target, Tunnel, Wire, ask, certificate, joined
from ctlfake import Skip, main, wait_for

KEY = b"GET /key?v=142 HTTP/1.1\r\nHost: c\r\n\r\n"
OPEN = {"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}
SHUT = {"acls": []}


def run(*flags):
    done = subprocess.run([COORDD, *flags], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


# ---- the start ----

def wrong_flags():
    """Each has its one line, which names the option and the value."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)

        def file(name, text):
            path = os.path.join(folder, name)
            pathlib.Path(path).write_text(text)
            return path

        crt, key = certificate(folder, "one")
        _, other = certificate(folder, "two")
        text = file("text", "hello\n")
        missing = os.path.join(folder, "missing")
        tls = ("-tls-listen", "127.0.0.1:0")
        cases = [
            (["-nosuch"], "nosuch"),
            (["word"], "word"),
            (["-listen"], "listen"),
            (["-listen", "x"], "listen.*x"),
            (["-listen", "127.0.0.1:99999"], "listen.*99999"),
            (["-listen", "192.0.2.77:1"], r"listen 192\.0\.2\.77:1: .*assign"),
            (["-admin", "x"], "admin.*x"),
            (["-metrics", "x"], "metrics.*x"),
            (["-key-expiry", "5"], "key-expiry.*5"),
            (["-key-expiry", "-1h"], "key-expiry.*-1h"),
            (["-offline-grace", "soon"], "offline-grace.*soon"),
            (["-ephemeral-timeout", "0s"], "ephemeral-timeout.*0s"),
            (["-approve-devices=maybe"], "approve-devices.*maybe"),
            (["-domain", ""], "domain"),
            (["-domain", "a..b"], r"domain.*a\.\.b"),
            (["-domain", "A"], "domain.*A"),
            (["-url", "ftp://c"], "url.*ftp"),
            (["-url", 'http://c"x'], "url"),
            (["-log", "loud"], "log.*loud"),
            (["-user", "nosuchuser"], "nosuchuser"),
            (["-relay", "http://c"], "relay.*http://c"),
            (["-dns-resolver", "c"], "dns-resolver.*c"),
            (["-dns-split", "c"], "dns-split.*c"),
            (["-dns-search", "c c"], "dns-search.*c c"),
            (["-dns-record", "c"], "dns-record.*c"),
            (["-derp-map", missing], "derp-map.*missing: No such file"),
            (["-derp-map", text], "derp-map.*text:1:"),
            (["-derp-map", folder], "derp-map.*: "),
            (["-policy", missing], "policy.*missing: No such file"),
            (["-policy", text], "policy.*text: line 1, column 1: "),
            (["-policy", file("acl", '{\n"acls": [{"action": "deny"}]}')],
             "policy.*acl: line 2, column .*"),
            (["-state", text], "state.*text"),
            (["-state", text + "/state"], "state.*text/state: Not a dir"),
            (["-state", "/proc/nosuch/state"], "state.*/proc/nosuch/state: "),
            (["-socket", "/" + "x" * 200], "socket"),
            (["-socket", text + "/s"], "socket.*text/s: Not a dir"),
            (["-config", missing], "missing: No such file"),
            (["-config", file("conf", "domain a.example\nnosuch 1\n")],
             "conf:2:.*nosuch"),
            (["-config", file("conf2", "key-expiry 5\n")],
             "conf2:1:.*key-expiry"),
            ([*tls], "tls-cert.*tls-key"),
            (["-tls-cert", crt], "tls-cert.*tls-key"),
            ([*tls, "-tls-cert", missing, "-tls-key", key], "tls-cert.*missing"),
            ([*tls, "-tls-cert", crt, "-tls-key", missing], "missing"),
            ([*tls, "-tls-cert", crt, "-tls-key", other], "tls-cert"),
            ([*tls, "-tls-cert", text, "-tls-key", key], "tls-cert.*text"),
            (["-verify", missing], "missing"),
            (["-verify", text], "text"),
            (["-restore", missing], "missing"),
        ]
        for flags, pattern in cases:
            with Coordd(*flags, start=False) as d:
                status, lines = d.run()
            # Beside what is logged, with its time.
            lines = [l for l in lines if l.startswith("coordd: ")]
            offline = flags[0] in ("-verify", "-restore")
            assert status == (1 if offline else 2), (flags, status, lines)
            assert len(lines) == 1, (flags, lines)
            assert re.search("^coordd: .*" + pattern, lines[0]), (flags, lines)


def folders_made():
    """The folders that are missing are made: those above for all to pass, the
    state and all in it for coordd alone."""
    def mode(path):
        return stat.S_IMODE(os.lstat(path).st_mode)

    with Target(start=False) as d:
        top = os.path.join(d.folder.name, "var")
        d.state = os.path.join(top, "lib", "campusnet")
        d.socket = os.path.join(top, "run", "campusnet", "s")
        mask = os.umask(0)
        try:
            d.start()
        finally:
            os.umask(mask)
        d.authkey()
        assert mode(top) == mode(os.path.dirname(d.state)) == 0o755
        assert mode(d.state) == 0o700
        inside = sorted(os.listdir(d.state))
        assert {"admin.token", "coordd.db", "coordd.db-wal"} <= set(inside)
        for name in inside:
            assert mode(os.path.join(d.state, name)) == 0o600, name
        assert mode(d.socket) == 0o600


def not_root():
    """Started as root it becomes another for good, and owns its state, with
    which it starts again."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    nobody = pwd.getpwnam("nobody")
    with Target("-user", "nobody") as d, Client(d) as client:
        client.join(d.authkey())
        for _ in range(2):
            fields = dict(
                line.split(":\t", 1) for line in pathlib.Path(
                    f"/proc/{d.child.pid}/status").read_text().splitlines()
                if ":\t" in line)
            for name, want in (("Uid", nobody.pw_uid), ("Gid", nobody.pw_gid)):
                assert fields[name].split() == [str(want)] * 4, fields[name]
            assert "0" not in fields["Groups"].split(), fields["Groups"]
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(fields[kind], 16) == 0, (kind, fields[kind])
            assert fields["NoNewPrivs"] == "1"
            for name in (".", *os.listdir(d.state)):
                owner = os.stat(os.path.join(d.state, name)).st_uid
                assert owner == nobody.pw_uid, (name, owner)
            d.stop()
            d.start()
        with Client(d, client.machine, client.node) as again:
            assert again.map()["Node"]["Key"] == client.node_key


def secrets():
    """No key that lets somebody in stands in the log, in the audit log or, as
    it was given out, in the state folder."""
    with Target() as d, Client(d) as client, Tunnel(d) as t:
        given = [d.authkey("--reusable"), d.authkey(), d.authkey("--ephemeral")]
        wrong = "cnkey-" + os.urandom(32).hex()
        client.join(given[1])
        with Client(d, t.machine, t.node) as joins:
            joins.join(given[2], "gone")
        t.open_map()
        for bad in (wrong, given[1]):
            with Client(d) as other, contextlib.suppress(PermissionError):
                other.join(bad)
                raise AssertionError("a wrong key lets in")
        assert d.far("GET", "/api/v1/users").status == 200
        d.works("preauthkeys", "expire", "1")
        with d.sql() as db:
            noise = db.execute(
                "SELECT value FROM settings WHERE name = 'noise-key'"
            ).fetchone()[0]
        audit = json.dumps(d.api("GET", "/audit"))
        token = d.token()
        d.stop()
        told = "\n".join(d.lines) + audit
        assert given[0][:10] in audit and "node join" in told
        for secret in (*given, wrong, token):
            tail = secret.removeprefix("cnkey-")
            assert tail not in told and tail[8:] not in told, secret
        assert noise.hex() not in told
        for path in pathlib.Path(d.state).iterdir():
            data = path.read_bytes()
            for key in given:
                tail = key.removeprefix("cnkey-")
                assert tail.encode() not in data, path
                assert bytes.fromhex(tail) not in data, path


def told():
    """-n prints a configuration that is one; -version and -h say their part."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["-listen", "127.0.0.1:7", "-domain", "a.example",
                 "-relay", "https://192.0.2.1?stun=7", "-key-expiry", "48h",
                 "-dns-record", "c=192.0.2.1", "-state", "/nonexistent/s"]
        status, first, error = run("-n", *flags)
        assert (status, error) == (0, ""), (status, error)
        path = os.path.join(folder, "conf")
        pathlib.Path(path).write_text(first)
        status, second, error = run("-n", "-config", path)
        assert (status, error, second) == (0, "", first), (error, second)
    status, out, error = run("-version")
    assert status == 0 and re.fullmatch(r"coordd \S+\n", out) and not error
    status, out, error = run("-h")
    assert status == 0 and "-offline-grace" in out + error


def port_taken():
    """One line names the listener, and the first coordd does not notice."""
    with Target() as d:
        for option, port in (("listen", d.port), ("tls-listen", d.tls_port)):
            where = f"127.0.0.1:{port}"
            flags = ["-" + option, where]
            if option == "tls-listen":
                flags += ["-tls-cert", d.crt, "-tls-key", d.key_file]
            with Api(*flags, start=False) as other:
                line = other.refused()
            assert line == f"coordd: {option} {where}: Address already in " \
                "use", line
        assert ask(d, KEY)[0] == ask(d, KEY, tls=True)[0] == 200


def many_listeners():
    """All of them serve, of both kinds and both families."""
    def ports(d):
        return re.findall(r"listening on (\S+):(\d+)/tcp \((tls-)?listen\)",
                          "\n".join(d.lines))

    with Target("-listen", "127.0.0.2:0", "-listen", "[::1]:0") as d:
        found = ports(d)
        assert [(a, t) for a, _, t in found] == [
            ("127.0.0.1", ""), ("127.0.0.2", ""), ("[::1]", ""),
            ("127.0.0.1", "tls-")], found
        for address, port, tls in found:
            if not tls:
                with socket.create_connection(
                        (address.strip("[]"), int(port)), LIMIT) as tcp:
                    tcp.sendall(KEY)
                    assert tcp.recv(12) == b"HTTP/1.1 200"


# ---- the end ----

def stream_ends(t):
    """Reads to the end of the stream of maps, and of the connection. True if
    the client was told to come again."""
    while t.message() is not None:
        pass
    t.frames()
    return t.goaway == 0


def terminated():
    """At SIGTERM every stream ends, and the client is told to come again; who
    does not read delays nothing."""
    with Target() as d, contextlib.ExitStack() as stack:
        key = d.authkey("--reusable")
        listeners = []
        for number in range(6):
            t = stack.enter_context(Tunnel(d, tls=number % 2 == 1))
            with Client(d, t.machine, t.node) as joins:
                joins.join(key, f"robot{number}")
            t.open_map()
            listeners.append(t)
        deaf = stack.enter_context(Tunnel(d))
        deaf.frame(4, 0, 0, struct.pack(">HI", 4, 0))
        waiting = stack.enter_context(Tunnel(d))
        status, body = waiting.post("/machine/register", {
            "Version": 142, "NodeKey": waiting.node_key})
        url = json.loads(body)["AuthURL"]
        held = waiting.begin("/machine/register", {
            "Version": 142, "NodeKey": waiting.node_key, "Followup": url})
        half = stack.enter_context(Wire(d))
        half.send(KEY[:10])
        wait_for(lambda: d.metric("open_streams") == 6)
        d.child.send_signal(signal.SIGTERM)
        for t in listeners:
            assert stream_ends(t)
        status, _ = waiting.answer(held)
        assert status == 503, status
        assert half.rest() == b""
        deaf.frames()
        assert d.child.wait(LIMIT) == 0


def interrupted():
    """SIGINT does the same; more signals on the way change nothing."""
    with Target() as d:
        with Tunnel(d) as t:
            with Client(d, t.machine, t.node) as joins:
                joins.join(d.authkey(), "robot")
            t.open_map()
            for _ in range(3):
                d.child.send_signal(signal.SIGHUP)
            d.child.send_signal(signal.SIGINT)
            with contextlib.suppress(ProcessLookupError):
                for _ in range(3):
                    d.child.send_signal(signal.SIGTERM)
                    d.child.send_signal(signal.SIGHUP)
            assert stream_ends(t)
        assert d.child.wait(LIMIT) == 0


def killed():
    """After kill -9 with open streams clients come back to what they had."""
    with Target() as d, contextlib.ExitStack() as stack:
        key = d.authkey("--reusable")
        were = {}
        for number in range(8):
            t = stack.enter_context(Tunnel(d))
            with Client(d, t.machine, t.node) as joins:
                joins.join(key, f"robot{number}")
                joins.post("/machine/map", {
                    "Version": 142, "NodeKey": t.node_key, "OmitPeers": True,
                    "Endpoints": [f"192.0.2.1:{number + 1}"]})
            were[number] = (t, t.open_map()["Node"])
        told = {p["ID"]: p for p in were[7][0].open_map()["Peers"]}
        public = d.public
        d.kill()
        for t, _ in were.values():
            t.frames()
        d.start()
        assert d.public == public
        for t, node in were.values():
            with Tunnel(d, t.machine, t.node) as again:
                now = again.open_map()["Node"]
                for name in ("ID", "Key", "Addresses", "Name", "Created"):
                    assert now[name] == node[name], (name, now, node)
        with Client(d, were[7][0].machine, were[7][0].node) as client:
            for peer in client.map()["Peers"]:
                assert peer["Endpoints"] == told[peer["ID"]]["Endpoints"]


# ---- SIGHUP ----

def presented(d):
    """The hash of the certificate that is shown."""
    with Wire(d, tls=True) as wire:
        return hashlib.sha256(wire.tcp.getpeercert(True)).hexdigest()


def reread():
    """What is wrong in a file is told, and the old stays; then the new comes,
    on streams that are open."""
    with tempfile.TemporaryDirectory() as folder:
        policy, relays = (os.path.join(folder, n) for n in ("p", "r"))
        pathlib.Path(policy).write_text(json.dumps(OPEN))
        pathlib.Path(relays).write_text(json.dumps(RELAYS))
        with Target("-policy", policy, "-derp-map", relays) as d, \
                Tunnel(d, tls=True) as t:
            with Client(d, t.machine, t.node) as joins:
                joins.join(d.authkey(), "robot")
            first = t.open_map()
            shown = presented(d)
            filters = first["PacketFilters"]["base"]
            assert len(filters) == 1

            def hangup(*patterns):
                del d.lines[:]
                d.child.send_signal(signal.SIGHUP)
                for pattern in patterns:
                    d.line(pattern)

            for wrong, where in (
                    ("{", "line 1, column"), ('{"acls": 7}', "acls"),
                    ('{"nosuch": 1}', "nosuch"), ("", None),
                    ('{"acls":[{"action":"accept","src":["group:x"],'
                     '"dst":["*:*"]}]}', "group:x")):
                if where is None:
                    os.unlink(policy)
                    where = "No such file"
                else:
                    pathlib.Path(policy).write_text(wrong)
                hangup(r"SIGHUP: the old policy stays: policy .*/p: .*" + where)
            for wrong in ("{", '{"Regions": 7}', ""):
                pathlib.Path(relays).write_text(wrong)
                hangup("SIGHUP: the old relay map stays: .*/r")
            certificate = pathlib.Path(d.crt).read_bytes()
            for wrong in (b"", certificate[:100], b"junk\n"):
                pathlib.Path(d.crt).write_bytes(wrong)
                hangup("SIGHUP: the old certificate stays: tls-cert: ")
            assert presented(d) == shown
            # Nothing of that was told. Then all is right again, and other.
            pathlib.Path(policy).write_text(json.dumps(SHUT))
            other = {"Regions": {"901": {
                **RELAYS["Regions"]["900"], "RegionID": 901}}}
            pathlib.Path(relays).write_text(json.dumps(other))
            renew(d)
            hangup("a new relay map")
            news = {}
            while not {"PacketFilters", "DERPMap"} <= set(news):
                news.update(t.message())
            assert news["PacketFilters"]["base"] == []
            assert set(news["DERPMap"]["Regions"]) == {"901"}
            assert presented(d) != shown
            assert t.post("/machine/none", {})[0] == 404


def renew(d):
    """Another certificate under the same names."""
    with tempfile.TemporaryDirectory() as folder:
        crt, key = certificate(folder)
        os.replace(key, d.key_file)
        os.replace(crt, d.crt)


def policy_of_database():
    """Without -policy SIGHUP reads what coordctl put into the database."""
    with Target() as d, Tunnel(d) as t:
        with Client(d, t.machine, t.node) as joins:
            joins.join(d.authkey(), "robot")
        t.open_map()
        with tempfile.NamedTemporaryFile("w") as file:
            json.dump(SHUT, file)
            file.flush()
            d.works("policy", "set", file.name)
        while t.message().get("PacketFilters") != {"base": []}:
            pass
        loads = d.metric("policy_loads_total")
        d.child.send_signal(signal.SIGHUP)
        wait_for(lambda: d.metric("policy_loads_total") == loads + 1)
        assert t.post("/machine/none", {})[0] == 404
        with Client(d, t.machine, t.node) as again:
            assert again.map()["PacketFilters"]["base"] == []


# ---- the clock ----

HOUR, DAY = 3600, 86400


def clock_jumps():
    """A clock that is set forward or back is told in the log. Keys expire by
    it; nothing else that a client was told changes."""
    with Target("-key-expiry", "1h", "-ephemeral-timeout", "1h") as d, \
            contextlib.ExitStack() as stack:
        def about(seconds, found):
            """Of two clocks whose seconds begin at different times."""
            assert abs(int(found[1]) - seconds) <= 1, found[0]

        def nodes():
            return {n["name"]: (n["id"], n["node_key"], n["addresses"])
                    for n in d.json("nodes", "list")}

        def expired():
            return {n["name"] for n in d.json("nodes", "list") if n["expired"]}

        def told(t, name, want):
            """Waits until its client hears that this one is expired, or not."""
            while True:
                message = t.message()
                for p in message.get("PeersChanged") or []:
                    if p["Name"].startswith(name + ".") and \
                            bool(p.get("Expired")) == want:
                        return

        def comes(name, key):
            client = stack.enter_context(Client(d))
            client.join(key, name)
            return client

        keys = {"reusable": d.authkey("--reusable"), "once": d.authkey(),
                "long": d.authkey("--reusable", "--expiration", "90d")}
        short = d.authkey("--ephemeral")
        comes("other", keys["reusable"])
        with comes("gone", short) as gone:
            assert gone.map()
        t = stack.enter_context(Tunnel(d))
        with Client(d, t.machine, t.node) as joins:
            joins.join(keys["long"], "listens")
        d.works("nodes", "expire", "listens", "--disable")
        t.open_map()
        were = nodes()
        assert expired() == set() and len(were) == 3

        d.clocks.move(wall=2 * DAY)
        about(2 * DAY, d.line(r"the clock was set forward by (\d+) s"))
        told(t, "other", True)
        assert expired() == {"other", "gone"} and nodes() == were
        # A key whose time is over is no key any more.
        with contextlib.suppress(PermissionError):
            comes("late", keys["once"])
            raise AssertionError("a key is good after its time")
        comes("later", keys["long"])

        d.clocks.move(wall=-2 * DAY - HOUR)
        about(2 * DAY + HOUR, d.line(
            r"the clock stands (\d+) s before where it stood \(20\d\d-.*Z\): "
            "what had expired may be good"))
        told(t, "other", False)
        assert expired() == set()
        comes("new", keys["once"])
        were = nodes()
        assert len(were) == 5
        # Newest first, whatever their times say.
        log = [e["detail"] for e in d.api("GET", "/audit")["audit"]]
        assert log[0].startswith("new (") and log[1].startswith("later ("), log

        # While it does not run.
        d.stop()
        d.clocks.move(wall=-DAY)
        d.start()
        d.line(r"the clock stands \d+ s before the last entry in the audit log "
               r"\(20.*Z\): what had expired may be good")
        assert nodes() == were and d.works("verify")
        with Tunnel(d, t.machine, t.node) as again:
            again.open_map()
            comes("newest", keys["reusable"])
            assert len(nodes()) == 6
            # How long somebody is away has nothing to do with it.
            assert "gone" in nodes()
            d.clocks.move(mono=HOUR + 60)
            wait_for(lambda: "gone" not in nodes())
        d.stop()
        d.start()
        time_told = [line for line in d.lines if "the clock" in line]
        assert not time_told, time_told


# ---- bounds ----

def descriptors():
    """When they run out accepting pauses, and goes on when there are some."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))

    with Target(preexec_fn=few) as d, contextlib.ExitStack() as held:
        x, y = joined(d, 2)
        for _ in range(80):
            held.enter_context(socket.create_connection(
                ("127.0.0.1", d.port), LIMIT))
        d.line("accepting pauses: Too many open files")
        # Who is there is served meanwhile.
        assert x.map()["Node"] and y.map()["Node"]
        held.close()
        assert ask(d, KEY)[0] == 200
        with Client(d) as z:
            assert z.register(hostname="z")["AuthURL"]


def strangers():
    """There may be 2,000 from one source that are no node's, and live; nobody
    else feels them."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] < 5000:
        raise Skip(f"needs 5000 descriptors, has {limit[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    with Target() as d, contextlib.ExitStack() as held:
        def come():
            """A Tunnel, or None: coordd did not want it."""
            try:
                return held.enter_context(Tunnel(d, source="127.0.0.9"))
            except (EOFError, ConnectionError):
                return None

        x, y = joined(d, 2)
        first = [come() for _ in range(2000)]
        assert None not in first and come() is None and come() is None
        assert d.metric("refused_sources_total") == 2
        d.line(r"127\.0\.0\.9: too many connections")
        assert ask(d, KEY)[0] == 200
        assert x.map()["Node"] and y.map()["Node"]
        for t in (first[0], first[-1]):
            assert t.post("/machine/none", {})[0] == 404
        # Who turns out to be a node's makes room, and who goes.
        with Client(d, first[0].machine, first[0].node) as joins:
            joins.join(d.authkey(), "no-stranger")
        wait_for(come)
        assert come() is None
        first[1].close()
        wait_for(come)


def logins():
    """There may be 1,000 that wait; for another the oldest goes that nobody
    holds a request for."""
    with Target(tls=False) as d, contextlib.ExitStack() as stack:
        d.works("users", "create", "robots")

        def ask_in(t, node_key, **more):
            status, body = t.post("/machine/register", {
                "Version": 142, "NodeKey": node_key, **more})
            assert status == 200, (status, body)
            return json.loads(body)["AuthURL"]

        def tunnel():
            return stack.enter_context(Tunnel(d))

        waits, left, last = tunnel(), tunnel(), tunnel()
        first = ask_in(waits, waits.node_key)
        held = waits.begin("/machine/register", {
            "Version": 142, "NodeKey": waits.node_key, "Followup": first})
        second = ask_in(left, left.node_key)
        assert ask_in(left, left.node_key) == second
        count = 2
        while count < 1000:
            # A machine may begin a few.
            with Tunnel(d) as t:
                for _ in range(min(4, 1000 - count)):
                    ask_in(t, "nodekey:" + os.urandom(32).hex())
                    count += 1
        assert d.json("status")["pending_logins"] == 1000
        new = ask_in(last, last.node_key)
        assert d.json("status")["pending_logins"] == 1000
        # Who is not known any more begins anew.
        assert ask_in(left, left.node_key, Followup=second) != second
        for url in (new, first):
            d.works("nodes", "register", "--user", "robots",
                    url.rpartition("/")[2])
        status, body = waits.answer(held)
        assert status == 200 and json.loads(body)["MachineAuthorized"], body
        assert len(d.json("nodes", "list")) == 2


def one_thread():
    """What tests/run believes where it leaves out the thread sanitizer."""
    with Coordd() as d:
        with Client(d) as client:
            client.join(d.authkey())
            client.map()
            tasks = os.listdir(f"/proc/{d.child.pid}/task")
            assert len(tasks) == 1, tasks


TESTS = [wrong_flags, folders_made, not_root, secrets, told, port_taken,
         many_listeners, terminated, interrupted, killed, reread, policy_of_database,
         clock_jumps, descriptors, strangers, logins,
         one_thread]

if __name__ == "__main__":
    sys.exit(main(TESTS))
