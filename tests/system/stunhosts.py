"""stunhosts: what the tests of stund over TCP, over TLS and with a partner
share, beyond what stund_test has."""

import signal
import sys
import traceback

import stund_test
from stund_test import (  # noqa: F401: for those who import this
    COOKIE, LIMIT, Skip, STUND, TOP, UNLIMITED, ask, attribute, attributes_of,
    free_tcp_port, has_ipv6, http_get, mapped, message, refused, run, samples,
    tailnode, udp)


class Stund(stund_test.Stund):
    """One running stund, which a test may also kill."""

    def kill(self, how=signal.SIGKILL):
        self.child.send_signal(how)
        self.child.wait(LIMIT)

    def __exit__(self, kind, error, trace):
        if self.child.returncode == -signal.SIGKILL:
            return
        super().__exit__(kind, error, trace)


def main(tests):
    """Runs the tests, or those that the command line names."""
    named = sys.argv[1:]
    tests = [t for t in tests if not named or t.__name__ in named]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__name__
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)
