#!/usr/bin/python3
# tests/run: limit=300
"""relayd_start_test: how relayd starts, refuses to, keeps its identity, gives
up root, reloads and ends. Prints TAP.

The program is $RELAYD (default build/release/relayd).
"""

import contextlib
import hashlib
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import derpc
from derpc import Client, Relayd, Skip, check_healthy, exchange, until
from derpc import LIMIT, RELAYD, TOP

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")


def need_root():
    if not ROOT:
        raise Skip("needs root")


@contextlib.contextmanager
def folder():
    """A new folder; others may look into it."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


# ---- a relay that ends by itself ----

def base(state):
    """Flags with which it would start."""
    return ["-a", "127.0.0.1:0", "-http-port", "-1", "-stun=false",
            "-certmode", "manual", "-hostname", "127.0.0.1",
            "-c", str(state / "derper.key"), "-certdir", str(state / "certs")]


def run(*flags, prefix=(), env=None, **options):
    """Runs relayd to its end: (status, stdout, lines of stderr)."""
    done = subprocess.run([*prefix, RELAYD, *flags], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT,
                          env={**os.environ, **(env or {})}, **options)
    return done.returncode, done.stdout, done.stderr.splitlines()


def refused(*flags, says, **options):
    """Status 2, and one line on standard error that holds all of `says`."""
    status, _, lines = run(*flags, **options)
    assert status == 2, f"status {status}: {lines}"
    # The log says what was opened before; it has a time on each line.
    plain = [line for line in lines if line.startswith("relayd: ")]
    assert len(plain) == 1 and lines[-1] == plain[0], lines
    assert all(" listening on " in line for line in lines[:-1]), lines
    for word in says:
        assert word in plain[0], f"{word!r} is not in {plain[0]!r}"
    return lines


def refused_at_once(*flags, says, **options):
    """And nothing was opened or made before."""
    lines = refused(*flags, says=says, **options)
    assert len(lines) == 1, lines


# ---- certificates ----

def make_cert(certs, name, san, begin="20200101000000Z", end="21000101000000Z"):
    """CERTS/name.crt and name.key, by openssl. Returns the crt."""
    certs.mkdir(exist_ok=True)
    crt, key = certs / f"{name}.crt", certs / f"{name}.key"
    with folder() as work:
        (work / "index").touch()
        (work / "ca.conf").write_text(f"""
[ca]
default_ca = d
[d]
database = {work}/index
new_certs_dir = {work}
rand_serial = yes
default_md = sha256
policy = p
x509_extensions = e
[p]
commonName = supplied
[e]
subjectAltName = {san}
""")
        for command in (
                ["req", "-new", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test",
                 "-keyout", work / "key", "-out", work / "csr"],
                ["ca", "-batch", "-selfsign", "-config", work / "ca.conf",
                 "-keyfile", work / "key", "-in", work / "csr", "-startdate",
                 begin, "-enddate", end, "-notext", "-out", work / "crt"]):
            subprocess.run(["openssl", *command], check=True,
                           capture_output=True)
        # Replaced as careful hands do it.
        for new, path in ((work / "key", key), (work / "crt", crt)):
            shutil.copy(new, f"{path}.new")
            os.replace(f"{path}.new", path)
    return crt


def pin_of(crt):
    der = derpc.ssl.PEM_cert_to_DER_cert(pathlib.Path(crt).read_text())
    return hashlib.sha256(der).hexdigest()


def presented(relay):
    """The pin of the certificate that a new connection gets."""
    with Client(relay, "tls") as c:
        return hashlib.sha256(c.socket.getpeercert(True)).hexdigest()


# ---- ports ----

def port_taken():
    with folder() as state, contextlib.ExitStack() as stack:
        t = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        u = stack.enter_context(
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        u.bind(("127.0.0.1", 0))
        relay = stack.enter_context(Relayd(
            "-stun=true", "-stun-port", "0", state=state))
        for tcp, udp in ((t.getsockname()[1], u.getsockname()[1]),
                         (relay.port, relay.port_of("stun-port", "udp"))):
            taken = "Address already in use"
            refused(*base(state), "-a", f"127.0.0.1:{tcp}",
                    says=[f"flag -a: 127.0.0.1:{tcp}: {taken}"])
            refused(*base(state), "-http-port", str(tcp),
                    says=[f"flag -http-port: 127.0.0.1:{tcp}: {taken}"])
            refused(*base(state), "-stun=true", "-stun-port", str(udp),
                    says=[f"flag -stun-port: 127.0.0.1:{udp}: {taken}"])
        refused(*base(state), "-a", "192.0.2.1:0",
                says=["flag -a: 192.0.2.1:0: ", "address"])
        refused(*base(state), "-a", "127.0.0.1:0", "-workers", "2", "-a",
                f"127.0.0.1:{relay.port}", says=["Address already in use"])
        check_healthy(relay)


# ---- what is refused ----

HUGE = "9" * 30

BAD_FLAGS = (
    # unknown, or no flag
    (["-nonsense"], ['"-nonsense"', "-h"]),
    (["--nonsense=1"], ['"--nonsense=1"']),
    (["-"], ['"-"']),
    (["extra"], ['"extra"']),
    ([""], ['""']),
    (["---a"], ['"---a"']),
    (["-=x"], ['"-=x"']),
    # missing value
    (["-a"], ["-a", "value"]),
    (["-config"], ["-config", "value"]),
    (["-workers"], ["-workers", "value"]),
    # a switch takes no separate value
    (["-stun", "false"], ['"false"', "=false"]),
    (["-derp", "0"], ['"0"', "=false"]),
    # of the wrong kind
    (["-stun=maybe"], ["-stun", '"maybe"', "true or false"]),
    (["-derp="], ["-derp", '""', "true or false"]),
    (["-workers", "two"], ["-workers", '"two"', "0 to 64"]),
    (["-workers", ""], ["-workers", '""', "0 to 64"]),
    (["-workers", "1x"], ["-workers", '"1x"', "0 to 64"]),
    (["-certmode", "auto"], ["-certmode", '"auto"', "letsencrypt|manual|gcp"]),
    (["-log", "loud"], ["-log", '"loud"', "quiet|error|info|debug"]),
    (["-log", "inf"], ["-log", '"inf"']),
    (["-tcp-write-timeout", "2"], ["-tcp-write-timeout", '"2"', "10s"]),
    (["-tcp-write-timeout", "s"], ["-tcp-write-timeout", '"s"']),
    (["-tcp-write-timeout", "2sm"], ["-tcp-write-timeout", '"2sm"']),
    (["-accept-connection-limit", "NaN"], ["-accept-connection-limit", '"NaN"',
                                           "+Inf"]),
    # out of range
    (["-workers", "65"], ["-workers", '"65"', "0 to 64"]),
    (["-workers", "-1"], ["-workers", '"-1"', "0 to 64"]),
    (["-workers", HUGE], ["-workers", HUGE, "0 to 64"]),
    (["-http-port", "65536"], ["-http-port", '"65536"', "-1 to 65535"]),
    (["-stun-port", "-2"], ["-stun-port", '"-2"', "-1 to 65535"]),
    (["-accept-connection-limit", "-1"], ["-accept-connection-limit", '"-1"']),
    (["-accept-connection-burst", "0"], ["-accept-connection-burst", '"0"']),
    (["-tls-timeout", "0"], ["-tls-timeout", '"0"', "from 1s to 24h"]),
    (["-hello-timeout", "999ms"], ["-hello-timeout", '"999ms"', "from 1s"]),
    (["-tcp-user-timeout", "-1s"], ["-tcp-user-timeout", '"-1s"', "from 0s"]),
    (["-tcp-keepalive-time", "25h"], ["-tcp-keepalive-time", '"25h"', "24h"]),
    (["-queue-packets", "31"], ["-queue-packets", '"31"', "32"]),
    (["-queue-bytes", "131071"], ["-queue-bytes", '"131071"', "131072"]),
    (["-queue-total", "1"], ["-queue-total", '"1"']),
    # addresses and pages
    (["-a", "nonsense"], ["-a", '"nonsense"', "[IP]:PORT", "192.0.2.1:443"]),
    (["-a", "127.0.0.1"], ["-a", '"127.0.0.1"', "[IP]:PORT"]),
    (["-a", "127.0.0.1:65536"], ["-a", '"127.0.0.1:65536"', "[IP]:PORT"]),
    (["-a", "relay.example:443"], ["-a", '"relay.example:443"', "[IP]:PORT"]),
    (["-a", "::1:443"], ["-a", '"::1:443"', "[2001:db8::1]:443"]),
    (["-a", ""], ["-a", '""', "[IP]:PORT"]),
    (["-home", "ftp://host/"], ["-home", '"ftp://host/"', "http"]),
    (["-home", "http://" + "x" * 5000], ["-home", "longer than"]),
    # derper's, which this relay cannot honour
    (["-verify-clients"], ["-verify-clients", "not supported"]),
    (["-verify-client-url", "http://a/"], ["-verify-client-url",
                                           "not supported"]),
    (["-mesh-with", "a.example"], ["-mesh-with", "not supported",
                                   "one relay per region"]),
    (["-mesh-psk-file", "psk"], ["-mesh-psk-file", "not supported"]),
    (["-rate-config", "rate"], ["-rate-config", "not supported"]),
    (["-secrets-url", "http://a/"], ["-secrets-url", "not supported", "-c"]),
    (["-bootstrap-dns-names", "a"], ["-bootstrap-dns-names", "leave it out"]),
    (["-unpublished-bootstrap-dns-names", "a"],
     ["-unpublished-bootstrap-dns-names", "leave it out"]),
    (["-acme-ip-certs"], ["-acme-ip-certs", "not supported",
                          "-certmode manual"]),
    (["-ace"], ["-ace", "not supported"]),
    (["-certmode", "letsencrypt", "-a", ":443"],
     ["-certmode", "-certmode manual", "-hostname"]),
    (["-certmode", "gcp", "-a", ":https"],
     ["-certmode", "-certmode manual", "-hostname"]),
)


def bad_flag():
    with folder() as state:
        for flags, says in BAD_FLAGS:
            try:
                refused_at_once(*base(state), *flags, says=says)
            except AssertionError as error:
                raise AssertionError(f"{flags}: {error}") from None
        refused_at_once("-certmode", "manual", "-c", str(state / "key"),
                        "-hostname", "", "-certdir", str(state),
                        "-a", "127.0.0.1:0", says=["-hostname", '""'])
        if ROOT:
            refused(*base(state), "-user", "no-such-user",
                    says=["no-such-user", "no such user"])
        refused_at_once(
            *base(state), "-derp-map", str(state / "missing/map.json"),
            says=["flag -derp-map: ", "missing/map.json", "No such file"])
        for name, value in (("TS_ALLOW_DEBUG_IP", "nonsense"),
                            ("TS_DEBUG_TRUSTED_CIDRS", "10.0.0.0/33"),
                            ("TS_DEBUG_KEY_PATH", str(state / "missing"))):
            refused_at_once(*base(state), env={name: value},
                            says=[name, value])
    with folder() as state:
        with contextlib.suppress(AssertionError):
            refused(*base(state), "-nonsense", says=[])
        assert not list(state.iterdir()), "a bad flag comes before all else"


def bad_flag_without_root():
    """-c has no default for an ordinary user."""
    need_root()
    with folder() as state, own_program(state) as program:
        done = subprocess.run(
            [program, "-a", "127.0.0.1:0"], capture_output=True, text=True,
            user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[])
        assert done.returncode == 2 and done.stdout == ""
        assert re.fullmatch(r"relayd: flag -c: .*key file.*\n", done.stderr)


@contextlib.contextmanager
def own_program(state):
    """A copy that everybody may run, wherever the program lies."""
    copy = shutil.copy(RELAYD, state / "program")
    os.chmod(copy, 0o755)
    yield copy
    os.unlink(copy)


def bad_config():
    with folder() as state:
        file = state / "relayd.conf"
        for text, says in (
                (b"a :0\nnonsense 1\n", [":2: ", '"nonsense"', "-h"]),
                (b"\nlog info\n\nlog info\n", [":4: ", '"log"', "once"]),
                (b"# comment\nlog loud\n", [":2: ", "log", '"loud"',
                                            "quiet|error|info|debug"]),
                (b"workers 65\n", [":1: ", "workers", '"65"', "0 to 64"]),
                (b"stun maybe\n", [":1: ", "stun", '"maybe"', "true or false"]),
                (b'hostname "a\n', [":1: ", '"']),
                (b'hostname "a" b\n', [":1: ", '"']),
                (b"\n\n-a :0\n", [":3: ", '"-a"']),
                (b"hostname " + b"x" * 5000 + b"\n", [":1: ", "longer"]),
                (b"\n\0\xff\xfe\n", [str(file)]),
                (b"config other\n", [":1: ", '"config"'])):
            file.write_bytes(text)
            try:
                refused_at_once("-config", str(file), *base(state),
                                says=[str(file), *says])
            except AssertionError as error:
                raise AssertionError(f"{text[:40]}: {error}") from None
        file.write_bytes(b"verify-clients\n")
        refused_at_once("-config", str(file), *base(state),
                        says=["verify-clients", "not supported"])
        refused_at_once("-config", str(state), says=[str(state), "directory"])
        refused_at_once("-config", str(state / "missing"),
                        says=[str(state / "missing"), "No such file"])


def bad_key_file():
    good = "privkey:" + "11" * 32
    with folder() as state:
        key = state / "derper.key"
        for text in (b"", b"nonsense", b"{}", b"[]", b'"' + good.encode() +
                     b'"', b'{"PrivateKey": 1}', b'{"PrivateKey": null}',
                     b'{"PrivateKey": ""}',
                     b'{"PrivateKey": "%s"}' % good[8:].encode(),
                     b'{"PrivateKey": "nodekey:%s"}' % good[8:].encode(),
                     b'{"PrivateKey": "%s"}' % good[:-1].encode(),
                     b'{"PrivateKey": "%s0"}' % good.encode(),
                     b'{"PrivateKey": "%sg"}' % good[:-1].encode(),
                     b'{"PrivateKey": "privkey:' + b"00" * 32 + b'"}',
                     b'{"PrivateKey": "%s"' % good.encode(),
                     b'{"PrivateKey": "%s"} more' % good.encode(),
                     b"\0" * 1000, b"\xff" * 1000, b"[" * 100000):
            key.write_bytes(text)
            try:
                refused_at_once(*base(state), says=[
                    f"key file {key}: ", "PrivateKey", "privkey:"])
            except AssertionError as error:
                raise AssertionError(f"{text[:60]}: {error}") from None
            assert key.read_bytes() == text, "it was written over"
        key.unlink()
        # A missing folder is made, as derper makes it; even when the start
        # fails later on.
        refused_at_once(*base(state), "-c", str(state / "made/for/key"),
                        "-derp-map", "/dev/null/map", says=["-derp-map"])
        assert (state / "made/for/key").exists()
        refused_at_once(*base(state), "-c", "/dev/null/key",
                        says=["key file /dev/null/key: ", "Not a directory"])
        # What Go would read, it reads.
        key.write_text('{"privatekey":"%s","Other":[1]}' % good.upper()
                       .replace("PRIVKEY", "privkey"))
        with Relayd(state=state) as relay:
            secret = derpc.nacl.public.PrivateKey(bytes.fromhex("11" * 32))
            assert relay.key == bytes(secret.public_key)


def key_file_is_folder():
    with folder() as state:
        key = state / "derper.key"
        key.mkdir()
        refused_at_once(*base(state), says=[f"key file {key}: ", "directory"])


def unreadable():
    """Files that only others may read."""
    need_root()
    nobody = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid,
              "extra_groups": []}
    with folder() as state, own_program(state) as program:
        with Relayd(state=state):
            pass
        certs = state / "certs"

        def told(says):
            done = subprocess.run([program, *base(state)], text=True,
                                  capture_output=True, timeout=LIMIT, **nobody)
            lines = done.stderr.splitlines()
            assert done.returncode == 2 and len(lines) == 1, lines
            for word in says:
                assert word in lines[0], f"{word!r} is not in {lines[0]!r}"

        told([f"key file {state}/derper.key: ", "Permission denied"])
        os.chmod(state / "derper.key", 0o644)
        # The folder is root's alone, and so is the key in it.
        told([f"{certs}", "Permission denied"])
        os.chmod(certs, 0o755)
        told([f"{certs}/127.0.0.1.key", "ermission denied"])


def bad_cert():
    ip = "IP:127.0.0.1"
    with folder() as state:
        certs = state / "certs"
        crt, key = certs / "127.0.0.1.crt", certs / "127.0.0.1.key"
        # Only a name, and no files: it makes none for names.
        refused_at_once(*base(state), "-hostname", "relay.example", says=[
            f"{certs}/relay.example.crt", "no such file", "-hostname"])
        make_cert(certs, "127.0.0.1", ip)
        whole = crt.read_bytes(), key.read_bytes()

        def put(c, k):
            for path, data in ((crt, c), (key, k)):
                path.write_bytes(data) if data is not None else \
                    path.unlink(missing_ok=True)

        for c, k, says in (
                (whole[0], None, [str(key), "no such file"]),
                (None, whole[1], [str(crt), "no such file"]),
                (b"nonsense", whole[1], [str(crt), "PEM"]),
                (b"", whole[1], [str(crt), "PEM"]),
                (whole[1], whole[1], [str(crt), "PEM"]),
                (whole[0][:-100], whole[1], [str(crt), "PEM"]),
                (whole[0], b"nonsense", [str(key), "PEM"]),
                (whole[0], b"", [str(key), "PEM"]),
                (whole[0], whole[0], [str(key), "PEM"])):
            put(c, k)
            refused_at_once(*base(state), says=says)
            left = (crt.read_bytes() if c is not None else None,
                    key.read_bytes() if k is not None else None)
            assert left == (c, k), "it was written over"
        put(*whole)
        other = make_cert(certs, "other", ip).with_suffix(".key")
        put(whole[0], other.read_bytes())
        refused_at_once(*base(state), says=[str(key), "fit"])
        make_cert(certs, "127.0.0.1", "IP:127.0.0.2,DNS:localhost")
        refused_at_once(*base(state), says=[
            str(crt), "does not cover", "-hostname 127.0.0.1"])
        make_cert(certs, "relay.example", "DNS:other.example")
        refused_at_once(*base(state), "-hostname", "relay.example", says=[
            "relay.example.crt", "does not cover", "-hostname relay.example"])
        # An expired one may be all there is: it is said, and used.
        make_cert(certs, "127.0.0.1", ip, end="20200201000000Z")
        with Relayd(state=state) as relay:
            relay.line(rf"{re.escape(str(crt))} has expired")
            check_healthy(relay)


# ---- what it prints ----

GOLDEN = """\
a 127.0.0.1:8443
http-port -1
stun-port 3478
stun true
derp true
c "/nonexistent/a #key"
certmode manual
certdir /nonexistent/certs
hostname relay.example
home blank
dev false
version false
accept-connection-limit inf
accept-connection-burst 9223372036854775807
tcp-keepalive-time 10m
tcp-user-timeout 15s
tcp-write-timeout 1500ms
verify-clients false
verify-client-url ""
verify-client-url-fail-open true
socket ""
mesh-psk-file ""
mesh-with ""
rate-config ""
secrets-url ""
secrets-path-prefix prod/derp
secrets-cache-dir ""
bootstrap-dns-names ""
unpublished-bootstrap-dns-names ""
acme-eab-kid ""
acme-eab-key ""
acme-email ""
acme-ip-certs false
ace false
workers 3
user nobody
derp-map ""
tls-timeout 30s
hello-timeout 1m
queue-packets 4096
queue-bytes 33554432
queue-age 2s
queue-total 268435456
sandbox true
log info
n true
"""


def dry_run():
    """-n prints what holds; that is a file that means the same."""
    flags = ["--a=127.0.0.1:8443", "-http-port=-1", "-c",
             "/nonexistent/a #key", "-certmode", "manual", "-certdir",
             "/nonexistent/certs", "-hostname", "first", "-hostname",
             "relay.example", "-home", "blank", "-tcp-write-timeout", "1.5s",
             "-workers", "3", "-hello-timeout", "0h1m0s", "-queue-packets",
             "4096"]
    assert run(*flags, "-n") == (0, GOLDEN, []), run(*flags, "-n")
    with folder() as state:
        file = state / "relayd.conf"
        file.write_text(GOLDEN)
        assert run("-config", str(file)) == (0, GOLDEN, [])
        # A flag wins over the file, wherever it stands.
        want = GOLDEN.replace("log info", "log error")
        for order in (["-log=error", "-config", str(file)],
                      ["-config", str(file), "-log", "error"]):
            assert run(*order) == (0, want, [])


def dry_run_values(*values):
    """What -n prints for these values means these values."""
    with folder() as state:
        file = state / "relayd.conf"
        for flag, value in values:
            file.write_text(GOLDEN)
            status, out, lines = run("-config", str(file), f"-{flag}", value)
            assert status == 0, lines
            file.write_text(out)
            assert run("-config", str(file)) == (0, out, []), (flag, value)
            [line] = re.findall(rf"^{flag} (.*)$", out, re.M)
            if flag == "accept-connection-limit":
                assert float(line) == float(value), f"{value}: printed {line}"


def dry_run_texts():
    dry_run_values(("certdir", "/with # inside"), ("home", "https://a/#b"),
                   ("certdir", " /blanks around "), ("queue-age", "1234567us"))


def dry_run_quotes():
    dry_run_values(("certdir", 'a "quoted" word'))


def dry_run_numbers():
    dry_run_values(("accept-connection-limit", "+Inf"),
                   ("accept-connection-limit", "0.5"),
                   ("accept-connection-limit", "1234567"))


def information():
    status, out, lines = run("-version")
    assert status == 0 and re.fullmatch(r"\S+\n", out) and lines == []
    for flag in ("-h", "--help"):
        status, out, lines = run(flag)
        assert status == 0 and lines == []
        assert out.startswith("usage: relayd [-config FILE] [flags]\n  -a ")


def manual_page():
    """Each flag has its line in relayd.8, and each line its flag."""
    known = set(re.findall(r"^  -(\S+)", run("-h")[1], re.M)) | {"config"}
    page = (TOP / "relayd/relayd.8").read_text()
    told = set(re.findall(r"^\.It Fl (\S+)", page, re.M))
    assert known - told == set(), f"not in relayd.8: {known - told}"
    assert told - known == set(), f"not in relayd -h: {told - known}"
    synopsis = page.partition(".Sh SYNOPSIS")[2].partition(".Sh")[0]
    named = set(re.findall(r"\bFl (\S+)", synopsis))
    assert named <= known, f"in the synopsis: {named - known}"


# ---- identity ----

def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def identity():
    """Key and certificate are made once, and kept."""
    with folder() as state:
        os.umask(0o022)
        derp_map = state / "map.json"
        relay = Relayd("-derp-map", str(derp_map), state=state)
        with relay:
            first = relay.key
            pin = presented(relay)
            node = json.loads(relay.child.stdout.readline())
        key, crt = state / "derper.key", state / "certs/127.0.0.1.crt"
        assert mode(key) == 0o600 and mode(crt) == 0o644
        assert mode(crt.with_suffix(".key")) == 0o600
        assert mode(state / "certs") == 0o700
        assert re.fullmatch('{\n\t"PrivateKey": "privkey:[0-9a-f]{64}"\n}\n',
                            key.read_text())
        secret = bytes.fromhex(json.loads(key.read_text())["PrivateKey"][8:])
        assert secret[0] & 7 == 0 and secret[31] >> 6 == 1, "clamped"
        assert bytes(derpc.nacl.public.PrivateKey(secret).public_key) == first
        assert pin == pin_of(crt)
        assert crt.with_suffix(".key").read_text().startswith(
            "-----BEGIN EC PRIVATE KEY-----\n")
        names = {p.relative_to(state).as_posix() for p in state.rglob("*")}
        assert names == {"derper.key", "certs", "certs/127.0.0.1.crt",
                         "certs/127.0.0.1.key", "map.json"}, names
        before = key.read_bytes(), crt.read_bytes()
        # The map is JSON and holds the node that was printed.
        assert node_of(derp_map) == node
        assert node["HostName"] == node["IPv4"] == "127.0.0.1"
        assert node["CertName"] == "sha256-raw:" + pin
        with Relayd(state=state) as relay:
            assert relay.key == first and presented(relay) == pin
            check_healthy(relay)
        assert (key.read_bytes(), crt.read_bytes()) == before


def node_of(derp_map):
    [region] = json.loads(derp_map.read_text())["Regions"].values()
    [node] = region["Nodes"]
    assert region["RegionID"] == node["RegionID"]
    return node


def map_with_ports():
    """What the map says is where the relay is."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with folder() as state:
        derp_map = state / "map.json"
        for stun, want in (("3479", 3479), ("3478", None), ("-1", -1)):
            with Relayd("-derp-map", str(derp_map), "-a", f"127.0.0.1:{port}",
                        "-stun-port", stun, state=state):
                node = node_of(derp_map)
                assert node["DERPPort"] == port, node
                assert node.get("STUNPort") == want, node
                assert "CanPort80" not in node, node


def map_with_free_ports():
    """Also where the kernel has chosen the ports."""
    with folder() as state:
        derp_map = state / "map.json"
        with Relayd("-derp-map", str(derp_map), "-stun=true", "-stun-port",
                    "0", state=state) as relay:
            node = node_of(derp_map)
            assert node["DERPPort"] == relay.port, node
            assert node["STUNPort"] == relay.port_of("stun-port", "udp"), node


def ipv6():
    """An IPv6 literal: the file names lose its colons."""
    with contextlib.suppress(OSError), \
            socket.create_server(("::1", 0), family=socket.AF_INET6):
        with folder() as state:
            with Relayd("-a", "[::1]:0", "-hostname", "::1", state=state,
                        ) as relay:
                node = json.loads(relay.child.stdout.readline())
                assert node["IPv6"] == "::1" and "IPv4" not in node, node
                with Client(relay, host="::1") as x, \
                        Client(relay, host="::1", fast=True) as y:
                    exchange(x, y)
            assert (state / "certs/1.crt").exists()
        return
    raise Skip("no IPv6 on loopback")


def dev():
    """-dev: a key that is thrown away, no file is needed."""
    with folder() as state:
        keys = set()
        for _ in range(2):
            with Relayd("-dev", "-a", "127.0.0.1:0", "-stun=false",
                        base=False, tls=False, cwd=state) as relay:
                keys.add(relay.key)
                check_healthy(relay)
        assert len(keys) == 2 and not list(state.iterdir())


# ---- signals ----

def signals():
    for signo in (signal.SIGTERM, signal.SIGINT):
        for workers in ("1", "2"):
            with Relayd("-workers", workers) as relay, Client(relay) as x, \
                    Client(relay) as y, Client(relay, "hello"), \
                    Client(relay, "tls"), Client(relay, "tcp"):
                exchange(x, y)
                assert relay.stop(signo) == 0, relay.lines
                assert relay.lines[-1].endswith(" stopping")
                x.wait_closed()
                y.wait_closed()


def notifies():
    """READY=1 and STOPPING=1 go to the service manager's socket."""
    name = f"campusnet-relayd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        manager.settimeout(LIMIT)
        with Relayd(env={"NOTIFY_SOCKET": "@" + name}):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


OLD_STAYS = r"SIGHUP: the old certificate stays: (.*)"


def hup(relay, pattern):
    """Sends SIGHUP; returns the match of the line that it brings."""
    seen = len(relay.lines)
    relay.child.send_signal(signal.SIGHUP)
    return relay.line(pattern, after=seen)


def give(path):
    """To the user that relayd becomes."""
    if ROOT:
        for p in (path, *path.rglob("*")):
            os.chown(p, NOBODY.pw_uid, NOBODY.pw_gid)


def reload():
    """SIGHUP: new connections get the new certificate, others go on."""
    with folder() as state:
        with Relayd(state=state):
            pass
        certs = state / "certs"
        crt, key = certs / "127.0.0.1.crt", certs / "127.0.0.1.key"
        give(certs)
        with Relayd("-workers", "2", state=state) as relay, \
                Client(relay) as x, Client(relay) as y, \
                Client(relay, "tcp") as before:
            pin = presented(relay)
            for _ in range(3):
                make_cert(certs, "127.0.0.1", "IP:127.0.0.1")
                give(certs)
                new = pin_of(crt)
                assert new != pin
                assert hup(relay, r"SIGHUP: .*sha256-raw:(\S+)")[1] == new
                until(lambda: presented(relay) == new, "it is presented")
                exchange(x, y)
                check_healthy(relay)
                pin = new
            # One that had begun before: with the certificate of then.
            before.socket = derpc.tls_context().wrap_socket(before.socket)
            # What is bad is left alone, and said.
            good = crt.read_bytes(), key.read_bytes()
            other = make_cert(certs, "other", "IP:127.0.0.1")
            for c, k, says in (
                    (b"nonsense", good[1], "PEM"),
                    (good[0], b"nonsense", "PEM"),
                    (good[0], other.with_suffix(".key").read_bytes(), "fit"),
                    (good[0], None, "no such file"),
                    (None, good[1], "no such file")):
                for path, data in ((crt, c), (key, k)):
                    path.write_bytes(data) if data is not None \
                        else path.unlink()
                give(certs)
                assert says in hup(relay, OLD_STAYS)[1].replace(
                    "No such", "no such"), relay.lines[-1]
                assert presented(relay) == pin
                exchange(x, y)
            make_cert(certs, "127.0.0.1", "IP:127.0.0.9")
            give(certs)
            assert "cover" in hup(relay, OLD_STAYS)[1]
            assert presented(relay) == pin
            make_cert(certs, "127.0.0.1", "IP:127.0.0.1")
            give(certs)
            hup(relay, rf"SIGHUP: .*{pin_of(crt)}")
            check_healthy(relay)


def reload_nothing():
    """Both files gone is no reason to make up another identity."""
    with folder() as state:
        with Relayd(state=state):
            pass
        give(state / "certs")
        with Relayd(state=state) as relay:
            pin = presented(relay)
            for path in (state / "certs").iterdir():
                path.unlink()
            hup(relay, "SIGHUP: ")
            assert presented(relay) == pin, relay.lines[-1]
            assert not list((state / "certs").iterdir())


def reload_unreadable():
    """Root's files, as relayd made them itself, are not for nobody."""
    need_root()
    with folder() as state, Relayd(state=state) as relay:
        pin = presented(relay)
        crt = make_cert(state / "certs", "127.0.0.1", "IP:127.0.0.1")
        for path, bits in ((state / "certs", 0o755),
                           (crt.with_suffix(".key"), 0o644)):
            why = hup(relay, OLD_STAYS)[1]
            assert str(state / "certs") in why and "ermission denied" in why
            assert presented(relay) == pin
            os.chmod(path, bits)
        hup(relay, rf"SIGHUP: .*{pin_of(crt)}")
        check_healthy(relay)


# ---- root ----

def not_root():
    """Started as root it becomes nobody, for good, and still answers."""
    need_root()
    with Relayd("-workers", "2") as relay:
        tasks = list(pathlib.Path(f"/proc/{relay.pid}/task").iterdir())
        assert len(tasks) >= 3
        for task in tasks:
            fields = dict(line.split(":\t", 1) for line in
                          (task / "status").read_text().splitlines()
                          if ":\t" in line)
            for name, want in (("Uid", NOBODY.pw_uid), ("Gid", NOBODY.pw_gid)):
                assert fields[name].split() == [str(want)] * 4, fields[name]
            assert "0" not in fields["Groups"].split(), fields["Groups"]
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(fields[kind], 16) == 0, kind
            assert fields["NoNewPrivs"] == "1"
        check_healthy(relay)


def stays_root():
    need_root()
    with Relayd("-user", "root") as relay:
        fields = relay.status()
        assert fields["Uid"].split() == ["0"] * 4
        assert fields["NoNewPrivs"] == "1"
        check_healthy(relay)


def as_ordinary_user():
    need_root()
    with folder() as state, own_program(state) as program:
        home = state / "home"
        home.mkdir()
        os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
        with Relayd(state=home, program=program, user=NOBODY.pw_uid,
                    group=NOBODY.pw_gid, extra_groups=[]) as relay:
            assert relay.status()["NoNewPrivs"] == "1"
            check_healthy(relay)


# ---- accidents ----

def kill_restart():
    """Killed with clients on it, it is back on its ports at once."""
    with folder() as state, contextlib.ExitStack() as stack:
        relay = Relayd("-stun=true", "-stun-port", "0", state=state)
        ports = [relay.port, relay.pages, relay.port_of("stun-port", "udp")]
        flags = ("-a", f"127.0.0.1:{ports[0]}", "-http-port", str(ports[1]),
                 "-stun=true", "-stun-port", str(ports[2]), "-workers", "2")
        key = relay.key
        for _ in range(3):
            for stage in ("tcp", "tls", "hello", "derp", "derp"):
                stack.enter_context(Client(relay, stage))
            relay.kill()
            relay = Relayd(*flags, state=state)
            assert relay.key == key and relay.port == ports[0]
            check_healthy(relay)
        assert relay.stop() == 0


def killed_at_first_start():
    """Killed at any moment of its first start: the next one works."""
    with folder() as top:
        for i in range(30):
            state = top / str(i)
            state.mkdir()
            child = subprocess.Popen(
                [RELAYD, *base(state)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(i / 1000 * (5 if derpc.SANITIZED else 1))
            child.kill()
            child.wait()
            with Relayd("-workers", "1", state=state) as relay:
                whole = (state / "derper.key").read_bytes()
                assert relay.key and len(whole) > 80


def no_writing():
    """In the child: the first byte that goes to a file ends it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def same_pid():
    """A prefix for which relayd has the same process id each time, as it has
    in a container."""
    prefix = ["unshare", "--pid", "--fork", "sh", "-c", '"$@" & wait $!', "sh"]
    if not ROOT or subprocess.run([*prefix, "true"],
                                  capture_output=True).returncode:
        raise Skip("needs root, and process id namespaces")
    return prefix


# What it refuses once key and certificate are there: a start that ends.
THEN = ("-user", "no-such-user")


def killed_while_making_key():
    prefix = same_pid()
    with folder() as state:
        status, _, _ = run(*base(state), prefix=prefix, preexec_fn=no_writing)
        assert status == 128 + signal.SIGXFSZ, status
        assert not (state / "derper.key").exists(), "half a file"
        # The leak checker wants a /proc of the process id namespace.
        quiet = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        refused(*base(state), *THEN, prefix=prefix, says=["no-such-user"],
                env={"ASAN_OPTIONS": quiet})
        assert (state / "derper.key").exists()
        assert {p.name for p in state.iterdir()} == {"derper.key", "certs"}


def killed_while_making_cert():
    with folder() as state:
        (state / "derper.key").write_text(
            '{"PrivateKey": "privkey:' + "11" * 32 + '"}')
        status, _, _ = run(*base(state), preexec_fn=no_writing)
        assert status == -signal.SIGXFSZ, status
        with Relayd(state=state) as relay:
            check_healthy(relay)


@contextlib.contextmanager
def tiny_disk(state):
    """A file system of one page, in a mount namespace of its own."""
    disk = state / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=4k tmpfs "$1" && echo there && exec cat'
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(disk)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    try:
        if not ROOT or holder.stdout.readline() != "there\n":
            raise Skip("needs root, and mount namespaces")
        yield pathlib.Path(f"/proc/{holder.pid}/root{disk}")
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def disk_full():
    """No room: one line that says so, and nothing half made is left."""
    full = "No space left on device"
    with folder() as state, tiny_disk(state) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(4096))
        key, certs = disk / "derper.key", disk / "certs"
        refused_at_once(*base(state), "-c", str(key),
                        says=[f"key file {key}: ", full])
        assert list(disk.iterdir()) == [filler], list(disk.iterdir())
        refused_at_once(*base(state), "-certdir", str(certs),
                        says=[str(certs / "127.0.0.1."), full])
        assert not list(certs.iterdir()), list(certs.iterdir())
        # A map that has no room.
        derp_map = disk / "map.json"
        refused_at_once(*base(state), "-derp-map", str(derp_map),
                        says=[f"flag -derp-map: {derp_map}: ", full])
        filler.unlink()
        with Relayd("-c", str(key), state=state):
            assert {p.name for p in disk.iterdir()} >= {"derper.key", "certs"}


def short_write():
    """Room for a part of the key only: it says so, and leaves no part."""
    def little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    with folder() as state:
        refused_at_once(*base(state), preexec_fn=little, restore_signals=False,
                        says=[f"key file {state}/derper.key: ", "large"])
        assert not list(state.iterdir()), list(state.iterdir())


def read_only():
    need_root()
    with folder() as state, tiny_disk(state) as disk:
        subprocess.run(["nsenter", "--mount", "--root", "--target", disk.parts[2],
                        "mount", "-o", "remount,ro",
                        "/" + "/".join(disk.parts[4:])], check=True)
        key = disk / "derper.key"
        refused_at_once(*base(state), "-c", str(key),
                        says=[f"key file {key}: ", "Read-only file system"])
        refused_at_once(*base(state), "-certdir", str(disk / "certs"),
                        says=["-certdir", str(disk / "certs"),
                              "Read-only file system"])
        refused_at_once(*base(state), "-derp-map", str(disk / "map"),
                        says=["-derp-map", "Read-only file system"])


TESTS = [port_taken, bad_flag, bad_flag_without_root, bad_config, bad_key_file,
         key_file_is_folder, unreadable, bad_cert, dry_run, dry_run_texts,
         dry_run_quotes, dry_run_numbers, information, manual_page, identity,
         map_with_ports, map_with_free_ports, ipv6, dev, signals, notifies,
         reload, reload_nothing, reload_unreadable, not_root, stays_root,
         as_ordinary_user, kill_restart, killed_at_first_start,
         killed_while_making_key, killed_while_making_cert, disk_full,
         short_write, read_only]

if __name__ == "__main__":
    only = sys.argv[1:]
    sys.exit(derpc.main([(t.__name__, t) for t in TESTS
                         if not only or t.__name__ in only]))
