#!/usr/bin/python3
# tests/run: limit=900 release
"""make run: what a person sees who types the README's first command."""

import errno
import hashlib
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import types
import urllib.error
import urllib.request

import coordc

TOP = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60
BUILD_PATIENCE = 300
PORTS = ("RELAY_PORT", "HTTP_PORT", "STUN_PORT", "COORD_PORT", "ADMIN_PORT")
DAEMONS = ("relayd", "stund", "coordd")
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


def free_ports():
    """One for each of PORTS, all different, on which nobody listens. They are
    below those that the system gives to who asks for any."""
    ports = []
    while len(ports) < len(PORTS):
        port = random.randrange(20000, 32000)
        if port not in ports and is_free(port):
            ports.append(port)
    return ports


def is_free(port):
    for host, family in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind) as s:
                    s.bind((host, port))
            except OSError as e:
                if e.errno == errno.EADDRINUSE:
                    return False
    return True


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return False
    return True


class Run:
    """One `make run` or `deploy/run` in a session of its own. to: where it
    writes, if not to a file."""

    all = []

    def __init__(self, state, ports, *command, listen=None, top=TOP, prefix=(),
                 to=None):
        env = dict(os.environ, STATE=str(state))
        for name in ("LISTEN", "MAKEFLAGS", "MAKELEVEL", "VARIANT"):
            env.pop(name, None)
        if listen:
            env["LISTEN"] = listen
        env.update(zip(PORTS, map(str, ports)))
        self.ports, self.top = ports, top
        self.log = tempfile.NamedTemporaryFile(prefix="make-run-")
        self.child = subprocess.Popen(
            [*prefix, *(command or ("make", "run"))], cwd=top, env=env,
            start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=to or self.log, stderr=subprocess.STDOUT)
        Run.all.append(self)

    def text(self):
        return pathlib.Path(self.log.name).read_text()

    def wait_ready(self, patience=PATIENCE):
        return self.wait_said("Press Ctrl-C to stop.", patience)

    def wait_said(self, words, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while words not in self.text():
            if time.monotonic() > deadline or self.child.poll() is not None:
                return words in self.text()
            time.sleep(0.02)
        return True

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
        return json.loads(re.search(r"^{.*?^}", self.text(), re.M | re.S)[0])

    def row(self, name):
        """What stands behind this name in the table of addresses."""
        return re.search(f"^{name}  +(.*)$", self.text(), re.M)[1]

    def join(self):
        """What is printed to join with: the URL and the key."""
        return re.search(r"^  sudo tailscale up --login-server (\S+)"
                         r" --auth-key (\S+)\n\nPress Ctrl-C to stop\.$",
                         self.text(), re.M).groups()

    def ctl(self, *words):
        """The command line that is printed, with these words behind it."""
        return subprocess.run(
            ["bash", "-c", self.row("command line") + ' "$@"', "-", *words],
            cwd=self.top, text=True, capture_output=True, timeout=PATIENCE)

    def ask(self, *words):
        done = self.ctl(*words, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    def client(self, **more):
        """A machine that may join: see coordc."""
        return coordc.Client(types.SimpleNamespace(port=self.ports[3]), **more)


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
    relay, http, stun, _, _ = ports
    eq(node["HostName"], "127.0.0.1", "the map names the address")
    eq(node["DERPPort"], relay, "the map names the relay's port")
    eq(node["STUNPort"], stun, "the map names the STUN port")
    eq(node["CertName"], presented_pin("127.0.0.1", relay),
       "the map pins the certificate that the relay presents")
    eq(run.row("certificate pin"), node["CertName"], "the pin is printed", text)
    eq((run.row("relay"), run.row("plain HTTP"), run.row("STUN")),
       (f"https://127.0.0.1:{relay}", f"http://127.0.0.1:{http}",
        f"127.0.0.1:{stun} (UDP and TCP)"), "the addresses are printed", text)
    ok("Only this host can join" in text, "it says who can reach it", text)
    eq(json.loads((state / "derpmap.json").read_text()), run.derp_map(),
       "the map is in the state folder, too")
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/generate_204",
                                timeout=10) as answer:
        eq(answer.status, 204, "the plain port answers")
    ok(stun_answers("127.0.0.1", stun), "stund answers")
    with socket.create_connection(("127.0.0.1", stun), timeout=10):
        ok(True, "stund takes TCP")
    for path in ("relay.key", "certs", "coordd", "coordd.sock",
                 "coordd/coordd.db", "coordd/admin.token"):
        eq((state / path).stat().st_mode & 0o077, 0, f"{path} is private")
    return run


def coordinator(run, state):
    """coordd as it is described; returns the machine that has joined."""
    url, secret = run.join()
    eq(url, f"http://127.0.0.1:{run.ports[3]}", "the coordinator's address")
    eq(run.row("coordinator"), url, "is in the table, too")
    with urllib.request.urlopen(url + "/key?v=142", timeout=10) as answer:
        public = json.load(answer)["publicKey"]
    eq(run.ask("status")["public_key"], public,
       "the printed command line reaches the coordinator that clients reach")
    [key] = run.ask("preauthkeys", "list")
    ok(secret.startswith(key["prefix"]) and key["reusable"] and key["usable"]
       and key["user"] == "robots", "the key is a new one of robots", key)
    made, ends = (time.mktime(time.strptime(key[w], "%Y-%m-%dT%H:%M:%SZ"))
                  for w in ("created", "expiration"))
    eq(ends - made, 86400, "for 24 hours")
    first = run.client()
    for client, name in ((first, "one"), (run.client(), "two")):
        with client:
            client.join(secret, name)
            told = client.map()
            eq(told["DERPMap"]["Regions"]["900"]["Nodes"],
               [node_of(run.derp_map())], f"{name} joins and is told the relay")
    ok([n["name"] for n in run.ask("nodes", "list")] == ["one", "two"],
       "they are listed", run.ask("nodes", "list"))

    page, path = re.fullmatch(r"(http://\S+), token in (.*)",
                              run.row("web page")).groups()
    token = (TOP / shlex.split(path)[0]).read_text().strip()
    eq(http_status(page), 401, "the web page wants the token")
    eq(http_status(page, token), 200, "which is where it is said to be")
    return first


def http_status(url, token=None):
    headers = {"Authorization": "Bearer " + token} if token else {}
    try:
        with urllib.request.urlopen(
                urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def second_run(state, ports, other_state):
    before = (state / "derpmap.json").read_text()
    for where, which, named in (
            (state, ports, f"STATE={state}: in use"),
            (state, free_ports(), f"STATE={state}: in use"),
            (other_state, ports, f":{ports[0]}: ")):
        again = Run(where, which)
        status = again.wait()
        lines = again.text().splitlines()
        ok(status not in (0, None), "a second run fails", status)
        ok(sum(named in line for line in lines) == 1 and not any(
            "Press Ctrl-C" in line for line in lines),
           f"in one line with {named}", again.text())
        ok(not again.left, "it leaves nothing running")
    eq((state / "derpmap.json").read_text(), before, "the map is untouched")
    ok(stun_answers("127.0.0.1", ports[2]) and presented_pin(
        "127.0.0.1", ports[0]) is not None, "the first run goes on")


def identity(run, state):
    return (node_of(run.derp_map()), (state / "relay.key").read_bytes(),
            run.ask("status")["public_key"],
            (state / "coordd/admin.token").read_text())


def stop_and_start_again(run, state, ports, machine):
    before, old_key = identity(run, state), run.join()[1]
    eq(run.ctl("users", "create", "ann").returncode, 0, "a user is created")
    run.interrupt()
    status = run.wait()
    ok(status in (0, -signal.SIGINT, 130), "Ctrl-C ends make run", status)
    ok("Stopping." in run.text() and "Error" not in run.text(),
       "without an error", run.text())
    ok(not run.left, "Ctrl-C leaves nothing running")
    ok(all(refused("127.0.0.1", port) for port in ports), "the ports are free again")

    run = Run(state, ports, "deploy/run")
    ok(run.wait_ready(), "it starts again at once", run.text())
    eq(identity(run, state), before,
       "keys, certificate, map and token are the same as before")
    eq([n["name"] for n in run.ask("nodes", "list")], ["one", "two"],
       "the machines are still there")
    with run.client(machine=machine.machine, node=machine.node) as client:
        answer = client.register()
        ok(answer["MachineAuthorized"] and not answer["AuthURL"],
           "and need no key to come back", answer)
    ok(run.join()[1] != old_key, "the printed key is another one")
    with run.client() as client:
        client.join(old_key, "three")
    ok(len(run.ask("nodes", "list")) == 3, "the old one can still be used")
    run.interrupt()
    eq(run.wait(), 0, "Ctrl-C: deploy/run exits with status 0", run.text())
    ok(not run.left, "and leaves nothing running")

    run = Run(state, ports, "deploy/run")
    ok(run.wait_ready(), "it starts a third time", run.text())
    for name in ("one", "two", "three"):
        run.ctl("nodes", "delete", name)
    eq(run.ctl("users", "delete", "robots").returncode, 0, "robots is deleted")
    os.kill(run.child.pid, signal.SIGTERM)
    eq(run.wait(), 0, "SIGTERM: deploy/run exits with status 0", run.text())
    ok(not run.left, "and leaves nothing running")

    run = Run(state, ports, "deploy/run")
    ok(run.wait_ready(), "it starts a fourth time", run.text())
    eq([u["name"] for u in run.ask("users", "list")], ["ann"],
       "robots does not come back where there is somebody else")
    ok("as user ann;" in run.text(), "whose key it is then", run.text())
    os.kill(run.child.pid, signal.SIGHUP)
    eq(run.wait(), 0, "the terminal is closed: status 0", run.text())
    ok(not run.left, "and nothing is left running")


def one_dies(state, ports):
    for name in DAEMONS:
        run = Run(state, ports, "deploy/run")
        if not ok(run.wait_ready(), f"before {name} dies", run.text()):
            run.interrupt()
            run.wait()
            continue
        os.kill(run.members()[name], signal.SIGKILL)
        eq(run.wait(), 1, f"{name} dies: status 1")
        eq(run.text().count(f"deploy/run: {name} ended by itself"), 1,
           "one line says so")
        ok(not run.left, "the others are ended")


def ended_early(state, ports):
    """Ctrl-C at each step of the start."""
    for words in ("relayd: listening on", "stund: listening", "coordd: listening",
                  "user create: robots", "key create:"):
        run = Run(state, ports, "deploy/run")
        ok(run.wait_said(words), f"Ctrl-C after {words!r}", run.text())
        run.interrupt()
        eq(run.wait(), 0, "status 0", run.text())
        ok(not run.left and all(refused("127.0.0.1", port) for port in ports),
           "nothing is left running")
        lines = [line for line in run.text().splitlines()
                 if re.search("error|fail|deploy/run:", line, re.I)]
        eq(lines, [], "nothing is said to be wrong")
        shutil.rmtree(state)


def reader_gone(state, ports):
    """make run | something that ends."""
    reading, writing = os.pipe()
    run = Run(state, ports, "deploy/run", to=writing)
    os.close(writing)
    with open(reading, "rb") as lines:
        seen = any(b"Press Ctrl-C" in line for line in lines)
    ok(seen, "it writes to a pipe")
    os.kill(run.child.pid, signal.SIGTERM)
    eq(run.wait(), 0, "status 0, though nobody reads")
    ok(not run.left, "and nothing is left running")


def strange_folders(scratch, ports):
    """Blanks in the path; and one too long for a socket."""
    long = scratch / ("a very long name of a folder " * 6).strip()
    for state in (scratch / "a $tate folder", long):
        run = Run(state, ports, "deploy/run")
        if ok(run.wait_ready(), f"it starts in {state.name}", run.text()):
            eq(run.ask("users", "list")[0]["name"], "robots",
               "the printed command line can be typed as it is", run.text())
            path = shlex.split(run.row("web page").partition(" token in ")[2])
            ok((TOP / path[0]).exists(), "so can the path of the token", path)
        socket_path = shlex.split(run.row("command line"))[-1]
        run.interrupt()
        eq(run.wait(), 0, "and it stops", run.text())
        ok(not (TOP / socket_path).exists() and
           ((TOP / socket_path).parent == state) == (state != long),
           "the socket is gone, its temporary folder, too", socket_path)
        eq(os.path.exists(os.path.dirname(socket_path)), state != long,
           "its folder goes if it was a temporary one")


def port_taken(state, ports):
    for name, port in zip(PORTS, ports):
        kind = socket.SOCK_DGRAM if name == "STUN_PORT" else socket.SOCK_STREAM
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
    ports = free_ports()
    if not has_ipv6():
        skip("LISTEN=::1", "no IPv6 on loopback here")
    else:
        run = Run(state, ports, "deploy/run", listen="::1")
        ok(run.wait_ready(), "LISTEN=::1 starts", run.text())
        node = node_of(run.derp_map())
        eq((node["HostName"], node["CertName"]),
           ("::1", presented_pin("::1", ports[0])), "the map names and pins it")
        ok(stun_answers("::1", ports[2]), "stund answers on it")
        eq(run.join()[0], f"http://[::1]:{ports[3]}", "clients are told it")
        eq(http_status(run.join()[0] + "/key?v=142"), 200, "and find coordd there")
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
        host = node["HostName"]
        eq(run.join()[0].rpartition(":")[0],
           f"http://[{host}]" if ":" in host else f"http://{host}",
           "the coordinator is at the same address")
        eq(http_status(f"http://127.0.0.1:{run.ports[3]}/health"), 200,
           "and there on 127.0.0.1")
        run.interrupt()
        eq(run.wait(), 0, "and it stops", run.text())


def public_address(scratch, ports):
    """Clients look at port 443 then, too: in a network of its own."""
    if os.getuid() != 0:
        skip("make run with a public address", "needs root, for a namespace")
        return
    ask = ("import ssl, urllib.request; print(urllib.request.urlopen("
           "'https://192.0.2.10/key?v=142', timeout=10, "
           "context=ssl._create_unverified_context()).read().decode())")
    take = ("import socket, subprocess, sys; "
            "s = socket.create_server(('192.0.2.10', 443)); "
            "sys.exit(subprocess.call(sys.argv[1:]))")
    inside = ["unshare", "--net", "sh", "-ec", "ip link set lo up; "
              "ip addr add 192.0.2.10/32 dev lo; exec \"$@\"", "sh"]
    for before in ([], [sys.executable, "-c", take]):
        run = Run(scratch / "public", ports, "deploy/run", listen="192.0.2.10",
                  prefix=inside + before)
        if ok(run.wait_ready(), "it starts with a public address", run.text()):
            eq("port 443" in run.text(), bool(before), "a taken port 443 is told")
            if not before:
                done = subprocess.run(
                    ["nsenter", f"--net=/proc/{run.members()['coordd']}/ns/net",
                     sys.executable, "-c", ask], text=True, capture_output=True)
                ok("publicKey" in done.stdout, "coordd is there on port 443",
                   done.stderr)
            os.kill(run.members()["run"], signal.SIGTERM)
        eq(run.wait(), 0, "and it stops", run.text())
        ok(not run.left, "nothing is left running")


def bad_settings(scratch, ports):
    (scratch / "file").write_text("")
    good = dict(zip(PORTS, ports), STATE=scratch / "state", LISTEN="127.0.0.1")
    for name, value in (("LISTEN", "relay.example"), ("LISTEN", "1.2.3"),
                        ("RELAY_PORT", 0), ("HTTP_PORT", "x"),
                        ("COORD_PORT", 65536), ("ADMIN_PORT", "010"),
                        ("STATE", scratch / "file"),
                        ("STATE", scratch / "file/state")):
        wish = {**good, name: value}
        run = Run(wish["STATE"], [wish[p] for p in PORTS], "deploy/run",
                  listen=wish["LISTEN"])
        ok(run.wait() not in (0, None), f"{name}={value} is refused")
        lines = [line for line in run.text().splitlines()
                 if not line.startswith("Building ")]
        ok(len(lines) == 1 and str(value) in lines[0], "in one line", run.text())
        ok(not run.left, "nothing is left running")


def not_root(scratch):
    if os.getuid() != 0:
        skip("make run without root", "all of the above ran without root")
        return
    top = scratch / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, check=True, capture_output=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, files)):
        if (TOP / name).is_file():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, top / name)
    subprocess.run(["chown", "-R", "65534:65534", top], check=True)
    run = Run(top / "state", free_ports(), top=top, prefix=(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
        f"HOME={top}", f"TMPDIR={top}"))
    ready = ok(run.wait_ready(BUILD_PATIENCE),
               "make run builds and runs without root", run.text())
    ok(ready and stun_answers("127.0.0.1", run.ports[2]), "stund answers")
    if ready:
        with run.client() as client:
            client.join(run.join()[1])
        eq((top / "state/coordd").stat().st_uid, 65534, "coordd's state is its own")
    run.interrupt()
    run.wait()
    ok(not run.left, "Ctrl-C leaves nothing running")


def main():
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="make-run-"))
    scratch.chmod(0o755)
    state, ports = scratch / "state", free_ports()
    temporary = scratch / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    try:
        run = first_run(state, ports)
        if run:
            machine = coordinator(run, state)
            second_run(state, ports, scratch / "other")
            stop_and_start_again(run, state, ports, machine)
        one_dies(state, ports)
        ended_early(scratch / "early", ports)
        reader_gone(state, ports)
        port_taken(state, ports)
        strange_folders(scratch, ports)
        other_addresses(state)
        public_address(scratch, ports)
        bad_settings(scratch, ports)
        not_root(scratch)
        eq(os.listdir(temporary), [], "no temporary file is left")
    finally:
        for run in Run.all:
            run.kill()
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"1..{count}")


if __name__ == "__main__":
    sys.exit(main())
