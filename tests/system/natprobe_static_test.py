#!/usr/bin/python3
# tests/run: release
"""natprobe_static_test: natprobe-static in a root that holds nothing else: no
library, no /etc, no /proc. Prints TAP."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import derpc
from derpc import Relayd, Skip
from natprobe_relay_test import check_works, pin_of, url
from natprobe_run_test import stund

STATIC = os.environ.get("NATPROBE_STATIC", str(
    derpc.TOP / "build/release/natprobe-static"))


def need_static():
    if not os.path.exists(STATIC):
        raise Skip(f"no {STATIC}: make natprobe-static")


def alone(*flags):
    """Runs it where there is nothing but itself."""
    if os.geteuid() != 0:
        raise Skip("needs root, for chroot")
    need_static()
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(STATIC, f"{root}/natprobe")
        os.chmod(root, 0o755)
        done = subprocess.run(
            ["/usr/sbin/chroot", "--userspec=65534:65534", root, "/natprobe", *flags],
            text=True, capture_output=True, stdin=subprocess.DEVNULL,
            env={}, timeout=derpc.LIMIT)
        assert sorted(os.listdir(root)) == ["natprobe"], os.listdir(root)
        return done


def probes():
    with stund() as at:
        done = alone("-stun", at, "-json", "-")
    assert done.returncode == 0, (done.returncode, done.stderr)
    said = json.loads(done.stdout)
    assert said["ipv4"]["mapping"]["verdict"] == "none", said
    assert said["ipv4"]["local"]["network"] == "127.0.0.0/8", said
    assert "filtering          endpoint-independent" in done.stderr


def relays():
    with Relayd() as relay:
        done = alone("-json", "-", "-relay", url(
            relay.port, pin_of(relay.state)))
    assert done.returncode == 0, (done.returncode, done.stderr)
    check_works(json.loads(done.stdout)["relays"][0])


def names():
    """Nobody knows one here; that is a finding."""
    with stund() as at:
        done = alone("-stun", "stun.example.org", "-stun", at, "-json", "-")
    assert done.returncode == 0, (done.returncode, done.stderr)
    said = json.loads(done.stdout)
    assert said["names"][0]["why"], said
    assert said["ipv4"]["udp"] == "yes", said


def needs_nothing():
    need_static()
    done = subprocess.run(["readelf", "-d", STATIC], text=True,
                          capture_output=True, check=True)
    assert "NEEDED" not in done.stdout, done.stdout


if __name__ == "__main__":
    sys.exit(derpc.main([
        ("it asks", probes),
        ("it measures a relay", relays),
        ("a name", names),
        ("no shared library", needs_nothing),
    ]))
