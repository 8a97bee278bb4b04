#!/usr/bin/python3
# tests/run: peers
"""natprobe_relay_test: natprobe's relays: relayd and Tailscale's derper, with
certificates of every kind, and servers that are dead, silent or lie. Each has
its named finding, none holds up the others. Prints TAP."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import derpc
from derpc import Relayd, Skip, until

NATPROBE = os.environ.get(
    "NATPROBE", str(derpc.TOP / "build/release/natprobe"))
DERPER = os.environ.get("DERPER", str(derpc.TOP / "build/peers/derper"))
LOOPBACK = "127.0.0.1"


def natprobe(*flags, status=0, env=None):
    done = subprocess.run(
        [NATPROBE, "-json", "-", *flags], text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=derpc.LIMIT,
        env={**os.environ, **(env or {})})
    assert done.returncode == status, (done.returncode, done.stderr)
    return json.loads(done.stdout)["relays"], done.stderr


def pin_of(state, name=LOOPBACK):
    """The pin of a relay's certificate, computed anew."""
    pem = (pathlib.Path(state) / "certs" / f"{name}.crt").read_text()
    first = re.search(r"-+BEGIN.*?END CERTIFICATE-+", pem, re.S)[0]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


def url(port, pin=None, host=LOOPBACK, **parameters):
    if pin:
        parameters["pin"] = f"sha256-raw:{pin}"
    query = "&".join(f"{k}={v}" for k, v in parameters.items())
    return f"https://{host}:{port}" + (f"?{query}" if query else "")


def check_works(relay, family="ipv4"):
    assert relay["works"], relay
    leg = relay[family]
    for step in ("connect_ms", "tls_ms", "http_ms", "derp_ms"):
        assert leg[step] >= 0, leg
    assert leg["failed"] is None, leg
    latency, ping = relay["latency"], relay["ping"]
    assert (latency["sent"], latency["lost"]) == (20, 0), latency
    assert (ping["sent"], ping["lost"]) == (5, 0), ping
    for row in (latency, ping):
        assert 0 < row["p50_ms"] <= row["p95_ms"] and row["jitter_ms"] >= 0, row


def check_failed(relay, step, why):
    assert not relay["works"], relay
    assert relay["ipv4"]["failed"]["step"] == step, relay["ipv4"]
    assert re.search(why, relay["ipv4"]["failed"]["why"]), relay["ipv4"]
    assert relay["latency"] is None and not relay["nearest"], relay


# ---- relays that work ----

def pinned():
    with Relayd() as relay:
        relays, words = natprobe("-relay", url(
            relay.port, pin_of(relay.state), http=relay.pages, name="home"))
        check_works(relays[0])
        assert relays[0]["region"] == "home" and relays[0]["nearest"]
        assert relays[0]["ipv4"]["certificate"]["checked_by"] == "pin"
        assert relays[0]["ipv4"]["certificate"]["days_left"] > 300
        assert relays[0]["ipv6"] is None and relays[0]["dns"] is None
        assert relays[0]["port_443"] is False
        assert relays[0]["captive_portal"] == {"verdict": "no", "why": None}
        assert "works, the nearest" in words, words
        assert "0 of 20 packets lost" in words, words
        derpc.check_settled(relay)


@contextlib.contextmanager
def running_derper(folder):
    ports = []
    with contextlib.ExitStack() as held:
        for _ in range(2):
            s = held.enter_context(socket.socket())
            s.bind((LOOPBACK, 0))
            ports.append(s.getsockname()[1])
    child = subprocess.Popen(
        [DERPER, "-a", f"{LOOPBACK}:{ports[0]}", "-http-port", str(ports[1]),
         "-stun=false", "-hostname", LOOPBACK, "-certmode", "manual",
         "-certdir", f"{folder}/certs", "-c", f"{folder}/derper.key"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)

    def listens(port):
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port)).close()
            return True

    try:
        for port in ports:
            until(lambda port=port: listens(port), "derper to listen")
        yield ports
    finally:
        child.kill()
        child.wait()


def derper():
    if not os.path.exists(DERPER):
        raise Skip(f"no {DERPER}: make peers")
    with tempfile.TemporaryDirectory() as folder, \
            running_derper(folder) as (port, http):
        relays, _ = natprobe(
            "-relay", url(port, pin_of(folder), http=http))
        check_works(relays[0])
        assert relays[0]["captive_portal"]["verdict"] == "no", relays


def derp_map():
    """Names, both families, STUNOnly, no address, InsecureForTests."""
    with Relayd("-a", "[::]:0") as relay:
        pin = f"sha256-raw:{pin_of(relay.state)}"
        base = {"HostName": LOOPBACK, "DERPPort": relay.port, "STUNPort": -1}
        nodes = [
            {**base, "Name": "both", "CertName": pin, "IPv6": "::1"},
            {**base, "Name": "six", "CertName": pin, "IPv4": "none",
             "IPv6": "::1"},
            {**base, "Name": "none", "IPv4": "none"},
            {**base, "Name": "insecure", "InsecureForTests": True},
            {**base, "Name": "stun", "STUNOnly": True}]
        path = relay.state / "map.json"
        path.write_text(json.dumps({"Regions": {"900": {
            "RegionID": 900, "RegionCode": "lab", "Nodes": nodes}}}))
        relays, words = natprobe("-map", str(path), "-relay", url(
            relay.port, pin_of(relay.state)), status=1)
        found = {r["name"]: r for r in relays}
        assert set(found) == {"", "both", "six", "none", "insecure"}, found
        check_works(found["both"])
        assert found["both"]["ipv6"]["works"], found["both"]
        assert found["both"]["region"] == "lab"
        check_works(found["six"], "ipv6")
        assert found["six"]["ipv4"] is None
        assert found["six"]["latency"]["over"] == "ipv6"
        assert not found["none"]["works"] and found["none"]["ipv4"] is None
        check_works(found["insecure"])
        assert found["insecure"]["ipv4"]["certificate"]["checked_by"] == \
            "nothing"
        assert "InsecureForTests" in words, words
        assert sum(r["nearest"] for r in relays) == 1, relays
        # No STUN server in it: relays alone, without a URL too.
        relays, _ = natprobe("-map", str(path), status=1)
        assert [r["name"] for r in relays] == [
            "both", "six", "none", "insecure"], relays
        relays, _ = natprobe("-map", str(path), "-relays=false", "-relay", url(
            relay.port, pin_of(relay.state)))
        assert [r["name"] for r in relays] == [""], relays
        relays, _ = natprobe("-family", "6", "-map", str(path), "-relay", url(
            relay.port, pin_of(relay.state)), status=1)
        assert all(r["ipv4"] is None for r in relays), relays


# ---- certificates ----

def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_chain(folder, name):
    """A CA, and a relay's certificate of that name from it."""
    ca, key = f"{folder}/ca.crt", f"{folder}/ca.key"
    certs = folder / "certs"
    certs.mkdir(mode=0o700)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
            "/CN=Campus CA", "-keyout", key, "-out", ca)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", f"/CN={name}", "-keyout", f"{certs}/{name}.key",
            "-out", f"{folder}/csr")
    (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("x509", "-req", "-in", f"{folder}/csr", "-CA", ca, "-CAkey", key,
            "-CAcreateserial", "-days", "7", "-extfile", f"{folder}/ext",
            "-out", f"{certs}/{name}.crt")
    os.chmod(f"{certs}/{name}.key", 0o600)
    return ca


def system_cas():
    with tempfile.TemporaryDirectory() as folder:
        ca = make_chain(pathlib.Path(folder), "localhost")
        with Relayd("-hostname", "localhost", state=folder) as relay:
            trust = {"SSL_CERT_FILE": ca}
            named = url(relay.port, host="localhost")
            relays, words = natprobe(
                "-family", "4", "-relay", named, env=trust)
            check_works(relays[0])
            assert relays[0]["dns"]["ms"] >= 0, relays
            assert relays[0]["ipv4"]["certificate"]["checked_by"] == "system"
            assert re.search("its certificate ends in [67] days", words), words
            relays, _ = natprobe("-family", "4", "-relay", named, status=1)
            check_failed(relays[0], "certificate", "issuer certificate")
            # Fronting: asks for localhost, looks for another name.
            path = pathlib.Path(folder) / "map.json"
            path.write_text(json.dumps({"Regions": {"1": {"Nodes": [
                {"Name": "1a", "HostName": "localhost", "IPv4": LOOPBACK,
                 "IPv6": "none", "DERPPort": relay.port, "STUNPort": -1,
                 "CertName": "other.example"}]}}}))
            relays, _ = natprobe("-family", "4", "-map", str(path), "-relay",
                                 named, env=trust, status=1)
            check_failed(relays[1], "certificate", "mismatch")


def wrong_pin():
    with Relayd() as relay:
        right = pin_of(relay.state)
        relays, words = natprobe(
            "-relay", url(relay.port, "0" * 64), "-relay", url(relay.port),
            "-relay", url(relay.port, right), status=1)
        check_failed(relays[0], "certificate", right)
        check_failed(relays[1], "certificate", "self-signed")
        check_works(relays[2])
        assert "cannot be used" in words and right in words, words


# ---- servers that are none ----

class Server:
    """Accepts, and does with each connection what talk says; holds it open
    until the end."""

    def __init__(self, talk, context=None):
        self.talk, self.context, self.held = talk, context, []
        self.socket = socket.create_server((LOOPBACK, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                if self.context:
                    s = self.context.wrap_socket(s, server_side=True)
                self.held.append(s)
                self.talk(s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        for s in self.held:
            s.close()


def answers(data):
    def talk(s):
        s.recv(4096)
        s.sendall(data)
    return talk


def flood(s):
    """KeepAlive without end, where ServerInfo is due."""
    answers(UPGRADED + derpc.frame(1, derpc.MAGIC + b"\x09" * 32))(s)
    while True:
        s.sendall(derpc.frame(6) * 3000)


def silent(_):
    pass


UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n"
# On TCP, and within TLS: talk, step, why.
PLAIN = [(silent, "tls", r"no answer in \d s"),
         (lambda s: s.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "tls", "no TLS"),
         (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls", "no TLS"),
         (lambda s: s.shutdown(socket.SHUT_RDWR), "tls",
          "closes|reset")]
INSIDE = [(silent, "http", r"no answer in \d s"),
          (answers(b"HTTP/1.1 404 Not Found\r\n\r\n"), "http", "404"),
          (answers(os.urandom(3000)), "http", "no HTTP"),
          (answers(UPGRADED), "derp", r"no answer in \d s"),
          (answers(UPGRADED + b"\x06\0\0\0\0"), "derp", "too early"),
          (answers(UPGRADED + derpc.frame(1, derpc.MAGIC + b"\x09" * 32)
                   + derpc.frame(3, bytes(60))), "derp", "another key"),
          (answers(UPGRADED + b"\x01\xff\xff\xff\xff"), "derp",
           "4294967295 bytes"),
          (flood, "derp", r"no answer in \d s"),
          (answers(b"HTTP/1.1 101 " + b"x" * 40000), "http", "endless")]


def broken():
    """All in one run, with a good one last, which they do not harm."""
    with Relayd() as relay, contextlib.ExitStack() as stack:
        pin = pin_of(relay.state)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            relay.state / f"certs/{LOOPBACK}.crt",
            relay.state / f"certs/{LOOPBACK}.key")
        with socket.socket() as s:
            s.bind((LOOPBACK, 0))
            dead = s.getsockname()[1]
        wanted = [(dead, "connect", "refused")]
        for cases, inside in ((PLAIN, None), (INSIDE, context)):
            for talk, step, why in cases:
                server = stack.enter_context(Server(talk, inside))
                wanted.append((server.port, step, why))
        wanted.append((relay.pages, "tls", "no TLS"))
        flags = [f for port, _, _ in wanted
                 for f in ("-relay", url(port, pin))]
        relays, words = natprobe(
            *flags, "-relay", "https://no.such.name.invalid", "-relay",
            url(relay.port, pin), status=1)
        for (_, step, why), found in zip(wanted, relays):
            check_failed(found, step, why)
        assert relays[-2]["dns"]["why"] and not relays[-2]["works"], relays
        # Its packets may be late beside a flood on a busy machine.
        assert relays[-1]["works"] and relays[-1]["latency"]["p50_ms"] > 0
        assert words.count("cannot be used") == len(wanted) + 1, words


def portals():
    with Relayd() as relay, contextlib.ExitStack() as stack:
        pin = pin_of(relay.state)
        cases = [(answers(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"),
                  "yes", "302"),
                 (answers(b"HTTP/1.1 204 No Content\r\n\r\n"), "yes",
                  "not from a relay"),
                 (answers(b"<html>\n\n"), "yes", "no HTTP"),
                 (silent, "unknown", r"no answer in \d s")]
        ports = [stack.enter_context(Server(talk)).port
                 for talk, _, _ in cases]
        relays, words = natprobe(*[
            f for p in ports for f in ("-relay", url(relay.port, pin, http=p))])
        for found, (_, verdict, why) in zip(relays, cases):
            check_works(found)
            portal = found["captive_portal"]
            assert portal["verdict"] == verdict, portal
            assert re.search(why, portal["why"]), portal
        assert words.count("a captive portal answers") == 3, words


def many():
    """Those of which nothing comes are waited for at the same time, and take
    nothing from those that work, which are measured a few at a time."""
    good, silent_ones = 20, 128
    with Relayd() as relay, socket.socket() as deaf, \
            tempfile.NamedTemporaryFile("w") as file:
        deaf.bind((LOOPBACK, 0))
        deaf.listen(1024)
        pin = f"sha256-raw:{pin_of(relay.state)}"
        ports = [relay.port if i % 7 == 6 and i < 7 * good
                 else deaf.getsockname()[1] for i in range(good + silent_ones)]
        json.dump({"Regions": {str(i + 1): {"Nodes": [
            {"Name": f"{i}a", "HostName": LOOPBACK, "DERPPort": port,
             "STUNPort": -1, "CertName": pin}]}
            for i, port in enumerate(ports)}}, file)
        file.flush()
        # By eights they would take 48 s.
        relays, _ = natprobe("-map", file.name, "-max-time", "30s", status=1)
        for found, port in zip(relays, ports):
            if port == relay.port:
                assert found["works"] and found["latency"]["lost"] == 0, found
            else:
                check_failed(found, "tls", "no answer")


# ---- the program ----

def unknown_name():
    """A name of the map that nobody knows stops neither STUN nor relays."""
    with Relayd() as relay, tempfile.NamedTemporaryFile("w") as file:
        pin = f"sha256-raw:{pin_of(relay.state)}"
        json.dump({"Regions": {"1": {"Nodes": [
            {"Name": "1a", "HostName": "no.such.name.invalid"},
            {"Name": "1b", "HostName": LOOPBACK, "DERPPort": relay.port,
             "STUNPort": -1, "CertName": pin}]}}}, file)
        file.flush()
        relays, _ = natprobe("-map", file.name, status=1)
        assert relays[0]["dns"]["why"] and not relays[0]["works"], relays
        check_works(relays[1])


def bad_options():
    for text in ("http://h", "https://", "https://h:0", "https://h:65536",
                 "https://h?pin=abc", "https://h?pin=sha256-raw:" + "g" * 64,
                 "https://h/derp", "https://[h]", "https://h?x=1",
                 "https://a b", "https://h?http=0"):
        done = subprocess.run([NATPROBE, "-relay", text], text=True,
                              capture_output=True, timeout=derpc.LIMIT)
        assert done.returncode == 2, (text, done)
        assert done.stderr.count("\n") == 1, done.stderr
        assert f'"{text}" is not a relay' in done.stderr, done.stderr


def dry():
    done = subprocess.run(
        [NATPROBE, "-n", "-relay", "https://relay.invalid:8443"], text=True,
        capture_output=True, timeout=derpc.LIMIT)
    assert done.returncode == 0, done
    assert "to relay.invalid port 8443\n" in done.stdout, done.stdout
    assert "20 packets of 64 bytes" in done.stdout, done.stdout


def interrupted():
    """What is known so far is written."""
    with Relayd() as relay, Server(silent) as server:
        pin = pin_of(relay.state)
        child = subprocess.Popen(
            [NATPROBE, "-json", "-", "-quiet", "-relay", url(relay.port, pin),
             "-relay", url(server.port, pin)],
            stdout=subprocess.PIPE, text=True)
        until(lambda: server.held, "a connection")
        child.send_signal(signal.SIGINT)
        said = json.loads(child.communicate(timeout=derpc.LIMIT)[0])
        assert child.returncode == 4, child.returncode
        assert said["complete"] is False and len(said["relays"]) == 2, said
        assert said["relays"][1]["works"] is False, said


if __name__ == "__main__":
    sys.exit(derpc.main([
        ("relayd, by its pin", pinned),
        ("derper, by its pin", derper),
        ("a map: both families, and what stock clients skip", derp_map),
        ("a name that nobody knows", unknown_name),
        ("the system's CAs and names", system_cas),
        ("a wrong pin, no pin", wrong_pin),
        ("dead, silent, garbage, plain HTTP, no DERP", broken),
        ("captive portals", portals),
        ("many at once", many),
        ("no options, wrong URLs", bad_options),
        ("-n says what would be sent", dry),
        ("SIGINT", interrupted),
    ]))
