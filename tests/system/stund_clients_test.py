#!/usr/bin/python3
# tests/run: limit=400 peers
"""stund_clients_test: what other people's STUN clients conclude from stund.
Prints TAP.

The clients are coturn's turnutils_natdiscovery and turnutils_stunclient,
Debian's stun, Tailscale's stunc, pion's library (tests/interop/pionstun),
Chromium's WebRTC, and stund's own -check. They run here, in a network namespace; behind it, in one of
its own each, are a NAT, which is the kernel's, and the server:

    client 10.77.1.2 --- 10.77.1.1 NAT 203.0.113.1 --- 203.0.113.10, .11 server

Needs root. STUND, STUNC and PIONSTUN name the programs. With the argument
"coturn" the server is coturn, to see whether a failure is stund's.
"""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import browser
import netspace

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
STUND = os.environ.get("STUND", str(TOP / "build/release/stund"))
STUNC = os.environ.get("STUNC", str(TOP / "build/peers/stunc"))
PIONSTUN = os.environ.get("PIONSTUN", str(TOP / "build/peers/pionstun"))

# No condition takes longer than this, on a busy machine and with sanitizers.
LIMIT = 60.0

CLIENT, PUBLIC = "10.77.1.2", "203.0.113.1"
SERVER, OTHER = "203.0.113.10", "203.0.113.11"
PORT, OTHER_PORT = 3478, 3479

# What nft does with packets to the servers, and with those that nobody
# asked for: without the drop, answers from the other address that come
# before a request make the kernel keep a flow, and the next request gets
# another port.
DROP = ("add chain ip nat input { type filter hook input priority 0; }; "
        "add rule ip nat input iifname s1 drop; ")
POST = ("add chain ip nat post { type nat hook postrouting priority 100; }; "
        "add rule ip nat post oifname s1 ")
PRE = ("add chain ip nat pre { type nat hook prerouting priority -100; }; "
       "add rule ip nat pre iifname s1 ")
NATS = {
    "no NAT": "",
    "masquerade": DROP + POST + "masquerade",
    "fully-random": DROP + POST + "masquerade fully-random",
    "one to one": (POST + f"snat to {PUBLIC}; " + PRE + f"dnat to {CLIENT}"),
}
MAPPED = {kind: CLIENT if kind == "no NAT" else PUBLIC for kind in NATS}


class Lab:
    """A NAT of one kind, which has seen nothing yet, and the server's side."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.nat = self.stack.enter_context(netspace.Space())
        self.server = self.stack.enter_context(netspace.Space())
        self.nat.join("c1", None, "c0")
        # Here and now: the end of a namespace takes its time.
        self.stack.callback(netspace.sh, "ip link del c0")
        self.nat.join("s1", self.server, "s0")
        netspace.sh(f"ip addr add {CLIENT}/24 dev c0; ip link set c0 up; "
                    "ip route add default via 10.77.1.1")
        self.nat.sh("ip addr add 10.77.1.1/24 dev c1; ip link set c1 up; "
                    f"ip addr add {PUBLIC}/24 dev s1; ip link set s1 up; "
                    "sysctl -qw net.ipv4.ip_forward=1")
        self.server.sh(f"ip addr add {SERVER}/24 dev s0; "
                       f"ip addr add {OTHER}/24 dev s0; ip link set s0 up; "
                       f"ip route add 10.77.1.0/24 via {PUBLIC}")
        if NATS[self.kind]:
            self.nat.sh(f"nft 'add table ip nat; {NATS[self.kind]}'")
        return self

    def __exit__(self, *_):
        self.stack.close()


# ---- the servers ----

@contextlib.contextmanager
def child(command, ready):
    """Runs a server until the block ends; ready is in its output then."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=subprocess.STDOUT,
                                  preexec_fn=netspace.die_with_parent)

        def said():
            return os.pread(log.fileno(), 1 << 20, 0).decode(errors="replace")

        deadline = time.monotonic() + LIMIT
        while not re.search(ready, said()):
            assert server.poll() is None and time.monotonic() < deadline, \
                said()
            time.sleep(0.05)
        try:
            yield
        finally:
            early = server.poll()
            server.terminate()
            status = server.wait(LIMIT)
            assert early is None, f"ended early ({early}): {said()}"
            if "stund" in command[-1] or STUND in command:
                assert status == 0, f"status {status}: {said()}"


def stund(lab):
    return child([*lab.server.before, STUND,
                  "-listen", f"{SERVER}:{PORT}",
                  "-alternate", f"{OTHER}:{OTHER_PORT}",
                  "-behaviour", "always", "-classic",
                  # All clients at once come from one address.
                  "-gated-rate", "1000"],
                 r"listening udp \S*%s:%d" % (re.escape(OTHER), OTHER_PORT))


def coturn(lab):
    return child([*lab.server.before, "turnserver", "-n", "--stun-only",
                  "-L", SERVER, "-L", OTHER, "-p", str(PORT),
                  "--alt-listening-port", str(OTHER_PORT), "--no-cli",
                  "--no-tls", "--no-dtls", "--pidfile", "/dev/null",
                  "--log-file", "stdout", "--simple-log"],
                 r"IO method \(admin thread\)")


# ---- the clients ----

def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=LIMIT)
    return done.stdout + done.stderr


def expect(said, *patterns):
    for pattern in patterns:
        assert re.search(pattern, said), f"no {pattern!r} in:\n{said}"


# natdiscovery's words for each NAT, mapping and then filtering.
NATDISCOVERY = {
    "no NAT": ("No NAT! .Endpoint Independent Mapping",
               "NAT with Endpoint Independent Filtering!"),
    "masquerade": ("NAT with Endpoint Independent Mapping!",
                   "NAT with Address and Port Dependent Filtering!"),
    "fully-random": ("NAT with Address and Port Dependent Mapping!",
                     "NAT with Address and Port Dependent Filtering!"),
    "one to one": ("NAT with Endpoint Independent Mapping!",
                   "NAT with Endpoint Independent Filtering!"),
}


def natdiscovery(kind):
    mapping, filtering = NATDISCOVERY[kind]
    common = ("turnutils_natdiscovery", "-L", CLIENT, "-p", str(PORT))
    said = run(*common, "-m", SERVER)
    expect(said, mapping, r"Other addr: : 203\.0\.113\.11:3479",
           r"UDP reflexive addr: " + re.escape(MAPPED[kind]))
    if kind != "no NAT":
        assert "No NAT!" not in said, said
    expect(run(*common, "-f", SERVER), filtering)


def padding(kind):
    """natdiscovery again, with PADDING of 1500 bytes: fragments both ways."""
    mapping, filtering = NATDISCOVERY[kind]
    common = ("turnutils_natdiscovery", "-L", CLIENT, "-P", "-p", str(PORT))
    expect(run(*common, "-m", SERVER), mapping)
    expect(run(*common, "-f", SERVER), filtering)


def lifetime(kind):
    """After 2 s another socket asks for an answer to the first one's port, by
    a RESPONSE-PORT of 4 bytes: the NAT still lets it in."""
    said = run("turnutils_natdiscovery", "-L", CLIENT, "-l", "41234", "-t",
               "-T", "2", "-p", str(PORT), SERVER)
    _, _, second = said.partition("RFC 5780 response 2")
    assert f"Response origin: : {SERVER}:{PORT}" in second, said


def said_until(enough, *command):
    """What a program prints until there is enough, then it is ended."""
    said = ""
    with subprocess.Popen(["stdbuf", "-oL", "timeout", str(LIMIT), *command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as client:
        for line in client.stdout:
            said += line
            if re.search(enough, said):
                break
        client.terminate()
    return said


def stunclient(kind):
    """Its second request wants an answer from the other address, and it waits
    for that for ever where a NAT keeps it out; its third goes there."""
    filters = kind in ("masquerade", "fully-random")
    n = 1 if filters else 3
    said = said_until(rf"response {n}[^=]*reflexive addr: \S+\n",
                      "turnutils_stunclient", "-p", str(PORT), SERVER)
    expect(said, rf"RFC 5780 response {n}",
           r"Response origin: : 203\.0\.113\.10:3478",
           r"Other addr: : 203\.0\.113\.11:3479")
    if not filters:
        expect(said, r"Response origin: : 203\.0\.113\.11:3479")
    mapped = re.findall(r"UDP reflexive addr: ([^:]+):\d+\n", said)
    assert mapped == [MAPPED[kind]] * n, said


# Debian's stun, of RFC 3489's time, has words of its own.
STUN = {
    "no NAT": r"Primary: Open",
    "masquerade": r"Primary: Independent Mapping, Port Dependent Filter, "
                  r"preserves ports",
    "fully-random": r"Primary: Dependent Mapping, random port",
    "one to one": r"Primary: Independent Mapping, Independent Filter, "
                  r"preserves ports",
}


def stun(kind):
    expect(run("stun", f"{SERVER}:{PORT}", "-v"), STUN[kind])


def stunc(kind):
    expect(run(STUNC, SERVER, str(PORT)),
           r"stun addr: " + re.escape(MAPPED[kind]) + r":\d+")


PION = {
    "no NAT": ("none", "endpoint-independent"),
    "masquerade": ("endpoint-independent", "address-and-port-dependent"),
    "fully-random": ("address-and-port-dependent",
                     "address-and-port-dependent"),
    "one to one": ("endpoint-independent", "endpoint-independent"),
}


def pion(kind):
    mapping, filtering = PION[kind]
    expect(run(PIONSTUN, f"{SERVER}:{PORT}"), f"mapping: {mapping}\n",
           f"filtering: {filtering}\n",
           f"mapped: {re.escape(MAPPED[kind])}:")


def check(kind):
    """stund's own client is one of them. A NAT that hides the answers of
    another address is no fault of the server's."""
    said = run(STUND, "-check", f"stun:{SERVER}:{PORT}")
    expect(said, r"\nyou +" + re.escape(MAPPED[kind]) + r":\d+, by way of "
           + re.escape(CLIENT) + (" here: no NAT" if kind == "no NAT" else
                                  " here: a NAT"),
           r"\nfit +for basic STUN", r"\nfit +for Tailscale clients",
           r"\nunclear +for NAT behaviour discovery: the NAT here may keep"
           if kind == "fully-random" else
           r"\nfit +for NAT behaviour discovery")


# Gathers candidates until there are no more; what it found is in found.
GATHER = """
window.found = {candidates: [], errors: [], done: false};
const pc = new RTCPeerConnection({iceServers: [{urls: arguments[0]}]});
pc.onicecandidate = e => {
	if (e.candidate && e.candidate.candidate)
		found.candidates.push(e.candidate.candidate);
};
pc.onicecandidateerror = e => found.errors.push(e.errorCode + " " + e.errorText);
pc.onicegatheringstatechange = () => {
	found.done = pc.iceGatheringState == "complete";
};
pc.createDataChannel("x");
pc.createOffer().then(offer => pc.setLocalDescription(offer));
window.kept = pc;
"""


def chromium(kind):
    with browser.Browser() as b:
        b.script(GATHER, f"stun:{SERVER}:{PORT}")
        b.wait("candidates", lambda: b.script("return found.done"))
        found = b.script("return found")
    assert found["errors"] == [], found
    reflexive = [c.split() for c in found["candidates"] if " typ srflx" in c]
    if kind == "no NAT":
        # What it has already as a host's is not told again.
        assert reflexive == [] and found["candidates"], found
    else:
        assert [c[4] for c in reflexive if c[2] == "udp"] == [PUBLIC], found


CLIENTS = (natdiscovery, padding, lifetime, stunclient, stun, stunc, pion,
           check, chromium)
NEEDED = {"turnutils_natdiscovery": "coturn", "stun": "stun-client",
          "nft": "nftables", "chromium": "chromium",
          "chromedriver": "chromium-driver", STUND: "make",
          STUNC: "make peers", PIONSTUN: "make peers"}


def missing():
    """Why nothing can run here; empty if it can."""
    lacking = sorted({by for program, by in NEEDED.items()
                      if not shutil.which(program)})
    if lacking:
        return "not installed: " + ", ".join(lacking)
    return netspace.cannot()


class Results(collections.OrderedDict):
    """Prints TAP."""

    def add(self, name, failure):
        self[name] = failure
        print(f"{'not ' if failure else ''}ok {len(self)} - {name}")
        for line in failure.splitlines():
            print("#", line)
        sys.stdout.flush()


def outcome(client, kind):
    try:
        client(kind)
        return ""
    except Exception:
        return traceback.format_exc()


def main():
    server = coturn if sys.argv[1:] == ["coturn"] else stund
    if why := missing():
        print(f"1..0 # skip {why}")
        return 0
    netspace.enter()
    results = Results()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for kind in NATS:
            with Lab(kind) as lab, server(lab):
                waiting = {c: pool.submit(outcome, c, kind) for c in CLIENTS}
                for c, future in waiting.items():
                    results.add(f"{c.__name__}: {kind}", future.result())
    print(f"1..{len(results)}")
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
