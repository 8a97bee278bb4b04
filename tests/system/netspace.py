"""netspace: network namespaces for tests, with no way out of this machine.

A test that calls enter() first runs in a namespace of its own, as the client;
Space() makes others, which are joined to it by veth devices. They have no
names: each ends with its last process, and all of them with the test.
"""

import ctypes
import os
import signal
import subprocess
import sys

MARK = "CAMPUSNET_TEST_NETNS"
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cannot():
    """Why there can be no namespaces here; empty if there can."""
    tried = subprocess.run(["unshare", "--net", "true"], text=True,
                           stdin=subprocess.DEVNULL, capture_output=True)
    return tried.stderr.strip() if tried.returncode else ""


def enter():
    """Starts this program anew inside a namespace with loopback only."""
    if os.environ.get(MARK) == "1":
        sh("ip link set lo up")
        return
    os.environ[MARK] = "1"
    # The mounts too, since /proc/sys and /sys show one namespace.
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable,
                          *sys.argv])


def sh(script, before=()):
    """Runs a shell script, which must succeed; returns what it prints."""
    done = subprocess.run([*before, "sh", "-euc", script], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, f"{script}: {done.stderr or done.stdout}"
    return done.stdout


class Space:
    """One more namespace."""

    def __init__(self):
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c",
             "mount -t sysfs sysfs /sys; echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            preexec_fn=die_with_parent)
        # It is inside once it has printed its line.
        assert self.keeper.stdout.readline(), "unshare"
        self.sh("ip link set lo up")

    @property
    def before(self):
        """What to put before a command to run it inside."""
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net",
                f"--mount=/proc/{self.keeper.pid}/ns/mnt", "--"]

    def sh(self, script):
        return sh(script, self.before)

    def join(self, name, other, other_name):
        """A cable from a device of this one to one of the other, or, None,
        of the test's own."""
        pid = os.getpid() if other is None else other.keeper.pid
        self.sh(f"ip link add {name} type veth peer name {other_name} "
                f"netns {pid}")

    def end(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
