#!/usr/bin/python3
# tests/run: one-thread
"""coordd_check_test: coordd -n: what a start would refuse is told without one.
Prints TAP.

The program is $COORDD (default build/release/coordd).
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from coordc import COORDD, LIMIT
from coordwire import certificate
from ctlfake import main


def check(*flags):
    done = subprocess.run([COORDD, "-n", *flags], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


def refused(pattern, *flags):
    status, out, error = check(*flags)
    assert (status, out) == (2, ""), (flags, status, out, error)
    assert re.fullmatch(f"coordd: {pattern}\n", error), (flags, error)


@contextlib.contextmanager
def files():
    """A function that makes one of this text."""
    with tempfile.TemporaryDirectory() as folder:
        def make(name, text):
            path = os.path.join(folder, name)
            pathlib.Path(path).write_text(text)
            return path
        yield folder, make


def options():
    refused('relay: "c" is not .*', "-relay", "c")
    refused('relay: "https://c\\?pin=x" is not .*', "-relay", "https://c?pin=x")
    refused('dns-resolver: "c" is not .*', "-dns-resolver", "c")
    refused('dns-split: "c" is not .*', "-dns-split", "c")
    refused('dns-record: "c=d" is not .*', "-dns-record", "c=d")


def login_url():
    """A client that has joined asks for the names of -domain inside."""
    for host in ("campus.internal", "a.campus.internal", "A.Campus.Internal:80",
                 "b.a.campus.internal:8080/x"):
        refused(f'url: "http://{host}" is not at a host outside of -domain.*',
                "-url", f"http://{host}")
    for host in ("acampus.internal", "internal", "192.0.2.1", "[2001:db8::1]:1",
                 "campus.internal.example", "c/campus.internal"):
        status, out, error = check("-url", f"https://{host}")
        assert (status, error) == (0, ""), (host, error)
        assert f"\nurl https://{host}\n" in out, out


def named_files():
    with files() as (folder, make):
        missing = os.path.join(folder, "missing")
        refused(f"derp-map {missing}: No such file or directory",
                "-derp-map", missing)
        text = make("text", "{")
        refused(f"derp-map {text}:1:1: .*", "-derp-map", text)
        refused(f"policy {missing}: No such file or directory",
                "-policy", missing)
        refused(f"policy {text}: line 1, column .*", "-policy", text)
        refused(f"policy {make('empty', '')}: it is empty", "-policy",
                os.path.join(folder, "empty"))
        crt, key = certificate(folder, "one")
        _, other = certificate(folder, "two")
        tls = ("-tls-listen", ":443", "-tls-cert")
        refused(f"tls-cert: {missing}: .*: No such file or directory",
                *tls, missing, "-tls-key", key)
        refused(f"tls-cert: {other}: .*", *tls, crt, "-tls-key", other)
        good = [*tls, crt, "-tls-key", key,
                "-policy", make("policy", '// none\n{"acls": [],}'),
                "-derp-map", make("map", '{"Regions": {}}')]
        status, out, error = check(*good)
        assert (status, error) == (0, ""), error
        assert f"\ntls-cert {crt}\n" in out, out


TESTS = [options, login_url, named_files]


if __name__ == "__main__":
    sys.exit(main(TESTS))
