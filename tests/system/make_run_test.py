#!/usr/bin/python3
# tests/run: limit=400 release
"""make run: what a person sees who types the README's first command."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60
count = 0


def ok(good, what, why=""):
    global count
    count += 1
    print(f"{'' if good else 'not '}ok {count} - {what}", flush=True)
    if not good and why:
        print("".join(f"# {line}\n" for line in str(why).splitlines()), end="")
    return good


def eq(got, want, what, why=""):
    return ok(got == want, what, f"got {got!r}, want {want!r}\n{why}")


def skip(what, why):
    global count
    count += 1
    print(f"ok {count} - {what} # SKIP {why}")


def free_ports(family=socket.AF_INET, host="127.0.0.1"):
    """Three ports that are free for TCP and UDP, all different."""
    held = []
    while len(held) < 6:
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.bind((host, 0))
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind((host, tcp.getsockname()[1]))
        except OSError:
            continue
        held += [tcp, udp]
    ports = [s.getsockname()[1] for s in held[::2]]
    for s in held:
        s.close()
    return ports


class Run:
    """One `make run` or `deploy/run` in a session of its own."""

    all = []

    def __init__(self, state, ports, *command, listen=None, top=TOP, prefix=()):
        env = dict(os.environ, STATE=str(state))
        for name in ("LISTEN", "MAKEFLAGS", "MAKELEVEL", "VARIANT"):
            env.pop(name, None)
        if listen:
            env["LISTEN"] = listen
        env.update(zip(("RELAY_PORT", "HTTP_PORT", "STUN_PORT"), map(str, ports)))
        self.ports = ports
        self.log = tempfile.NamedTemporaryFile(prefix="make-run-")
        self.child = subprocess.Popen(
            [*prefix, *(command or ("make", "run"))], cwd=top, env=env,
            start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT)

        Run.all.append(self)

    def text(self):
        return pathlib.Path(self.log.name).read_text()

    def wait_ready(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.child.poll() is None:
            if "Press Ctrl-C to stop." in self.text():
                return True
            time.sleep(0.05)
        return False

    def wait(self):
        """The exit status, or None after too long; nothing is left running."""
        try:
            status = self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
        self.left = bool(self.members())
        self.kill()
        return status

    def members(self):
        """{name: pid} of the living processes of this session."""
        found = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text()
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:].rsplit(")", 1)
            state, _, _, session = rest.split()[:4]
            if int(session) == self.child.pid and state != "Z":
                found[name] = int(stat.parent.name)
        return found

    def kill(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def interrupt(self):
        """What Ctrl-C at a terminal does: SIGINT to all of the group."""
        try:
            os.killpg(self.child.pid, signal.SIGINT)
        except ProcessLookupError:
            pass  # it ended by itself; wait() tells

    def derp_map(self):
        text = self.text()
        begin = text.index("\n{") + 1
        return json.loads(text[begin:text.index("Press Ctrl-C")])


def node_of(derp_map):
    [region] = derp_map["Regions"].values()
    [node] = region["Nodes"]
    return node


def presented_pin(host, port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), 10) as tcp, \
            context.wrap_socket(tcp) as tls:
        return "sha256-raw:" + hashlib.sha256(tls.getpeercert(True)).hexdigest()


def stun_answers(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        request = b"\0\1\0\0\x21\x12\xa4\x42make-run-tst"
        for _ in range(3):
            udp.sendto(request, (host, port))
            try:
                answer = udp.recv(2048)
            except socket.timeout:
                continue
            return answer[:2] == b"\1\1" and answer[4:20] == request[4:20]
    return False


def refused(host, port):
    with socket.socket() as tcp:
        return tcp.connect_ex((host, port)) != 0


def first_run(state, ports):
    run = Run(state, ports)
    if not ok(run.wait_ready(), "make run says that it is ready", run.text()):
        run.interrupt()
        run.wait()
        return None
    text = run.text()
    node = node_of(run.derp_map())
    relay, http, stun = ports
    eq(node["HostName"], "127.0.0.1", "the map names the address")
    eq(node["DERPPort"], relay, "the map names the relay's port")
    eq(node["STUNPort"], stun, "the map names the STUN port")
    eq(node["CertName"], presented_pin("127.0.0.1", relay),
       "the map pins the certificate that the relay presents")
    ok(f"certificate pin  {node['CertName']}\n" in text, "the pin is printed", text)
    ok(f"https://127.0.0.1:{relay}\n" in text and
       f"http://127.0.0.1:{http}\n" in text and
       f"127.0.0.1:{stun} (UDP)" in text, "the addresses are printed", text)
    eq(json.loads((state / "derpmap.json").read_text()), run.derp_map(),
       "the map is in the state folder, too")
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/generate_204",
                                timeout=10) as answer:
        eq(answer.status, 204, "the plain port answers")
    ok(stun_answers("127.0.0.1", stun), "stund answers")
    for path in ("relay.key", "certs"):
        eq((state / path).stat().st_mode & 0o077, 0, f"{path} is private")
    return run


def second_run(state, ports, other_state):
    for where, name in ((state, "the same state"), (other_state, "another state")):
        again = Run(where, ports)
        status = again.wait()
        text = again.text()
        ok(status not in (0, None), f"a second run with {name} fails", status)
        ok(sum(f"{ports[0]}" in line for line in text.splitlines()) == 1 and
           "Press Ctrl-C" not in text, "in one line that names the port", text)
        ok(not again.left, "it leaves nothing running")
    ok(stun_answers("127.0.0.1", ports[2]) and presented_pin(
        "127.0.0.1", ports[0]) is not None, "the first run goes on")


def stop_and_start_again(run, state, ports):
    before = node_of(run.derp_map()), (state / "relay.key").read_bytes()
    run.interrupt()
    status = run.wait()
    ok(status in (0, -signal.SIGINT, 130), "Ctrl-C ends make run", status)
    ok("Stopping." in run.text() and "Error" not in run.text(),
       "without an error", run.text())
    ok(not run.left, "Ctrl-C leaves nothing running")
    ok(refused("127.0.0.1", ports[0]) and refused("127.0.0.1", ports[1]),
       "the ports are free again")

    run = Run(state, ports, "deploy/run")
    ok(run.wait_ready(), "it starts again at once", run.text())
    after = node_of(run.derp_map()), (state / "relay.key").read_bytes()
    eq(after, before, "key, certificate and map are the same as before")
    run.interrupt()
    eq(run.wait(), 0, "Ctrl-C: deploy/run exits with status 0", run.text())
    ok(not run.left, "and leaves nothing running")

    run = Run(state, ports, "deploy/run")
    ok(run.wait_ready(), "it starts a third time", run.text())
    os.kill(run.child.pid, signal.SIGTERM)
    eq(run.wait(), 0, "SIGTERM: deploy/run exits with status 0", run.text())
    ok(not run.left, "and leaves nothing running")


def one_dies(state, ports):
    for name in ("relayd", "stund"):
        run = Run(state, ports, "deploy/run")
        if not ok(run.wait_ready(), f"before {name} dies", run.text()):
            run.interrupt()
            run.wait()
            continue
        os.kill(run.members()[name], signal.SIGKILL)
        eq(run.wait(), 1, f"{name} dies: status 1")
        eq(run.text().count(f"deploy/run: {name} ended by itself"), 1,
           "one line says so")
        ok(not run.left, "the other is ended")


def port_taken(state, ports):
    kinds = (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)
    for name, kind, port in zip(("RELAY_PORT", "HTTP_PORT", "STUN_PORT"),
                                kinds, ports):
        with socket.socket(socket.AF_INET, kind) as taken:
            if kind == socket.SOCK_STREAM:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            run = Run(state, ports, "deploy/run")
            status = run.wait()
        text = run.text()
        ok(status not in (0, None), f"{name} is taken: it fails", status)
        ok(sum(f":{port}" in line for line in text.splitlines()) == 1 and
           "Press Ctrl-C" not in text, "in one line that names the port", text)
        ok(not run.left, "nothing is left running")


def other_addresses(state):
    try:
        ports = free_ports(socket.AF_INET6, "::1")
    except OSError as e:
        skip("LISTEN=::1", f"no IPv6 on loopback here: {e}")
    else:
        run = Run(state, ports, "deploy/run", listen="::1")
        ok(run.wait_ready(), "LISTEN=::1 starts", run.text())
        node = node_of(run.derp_map())
        eq((node["HostName"], node["CertName"]),
           ("::1", presented_pin("::1", ports[0])), "the map names and pins it")
        ok(stun_answers("::1", ports[2]), "stund answers on it")
        run.interrupt()
        eq(run.wait(), 0, "and it stops", run.text())

    for everything, near in (("0.0.0.0", "127.0.0.1"), ("::", "::1")):
        run = Run(state, free_ports(), "deploy/run", listen=everything)
        if not ok(run.wait_ready(), f"LISTEN={everything} starts", run.text()):
            run.interrupt()
            run.wait()
            continue
        node = node_of(run.derp_map())
        ok(node["HostName"] not in ("0.0.0.0", "::", ""),
           "the map names an address of the host", node)
        eq(node["CertName"], presented_pin("127.0.0.1", run.ports[0]),
           "the relay is there on 127.0.0.1")
        run.interrupt()
        eq(run.wait(), 0, "and it stops", run.text())


def bad_settings(state, ports):
    for listen, chosen in (("relay.example", ports), ("1.2.3", ports),
                           ("127.0.0.1", [0, *ports[1:]]),
                           ("127.0.0.1", ["x", *ports[1:]])):
        run = Run(state, chosen, "deploy/run", listen=listen)
        ok(run.wait() not in (0, None), f"LISTEN={listen} RELAY_PORT={chosen[0]} is refused")
        lines = [line for line in run.text().splitlines()
                 if line != "Building relayd and stund."]
        eq(len(lines), 1, "in one line")
        ok(not run.left, "nothing is left running")


def not_root(scratch):
    if os.getuid() != 0:
        skip("make run without root", "all of the above ran without root")
        return
    top = scratch / "checkout"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True,
                           capture_output=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, files)):
        if (TOP / name).is_file():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, top / name)
    subprocess.run(["chown", "-R", "65534:65534", top], check=True)
    run = Run(top / "state", free_ports(), top=top, prefix=(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
        f"HOME={top}", f"TMPDIR={top}"))
    ready = ok(run.wait_ready(), "make run builds and runs without root", run.text())
    ok(ready and stun_answers("127.0.0.1", run.ports[2]), "stund answers")
    run.interrupt()
    run.wait()
    ok(not run.left, "Ctrl-C leaves nothing running")


def main():
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="make-run-"))
    scratch.chmod(0o755)
    state, ports = scratch / "state", free_ports()
    try:
        run = first_run(state, ports)
        if run:
            second_run(state, ports, scratch / "other")
            stop_and_start_again(run, state, ports)
        one_dies(state, ports)
        port_taken(state, ports)
        other_addresses(state)
        bad_settings(state, ports)
        not_root(scratch)
    finally:
        for run in Run.all:
            run.kill()
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"1..{count}")


if __name__ == "__main__":
    sys.exit(main())
