"""tailnet: coordd at the laboratory's server, and a real tailscaled on each of
some hosts, without a device of its own (userspace networking)."""

import concurrent.futures
import os
import re
import subprocess

import lab
from topologies import A1

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
COORDD = os.environ.get("COORDD", f"{TOP}/build/release/coordd")
COORDCTL = os.environ.get("COORDCTL", f"{TOP}/build/release/coordctl")
TAILSCALED = os.environ.get("TAILSCALED", f"{TOP}/build/peers/tailscaled")
TAILSCALE = os.environ.get("TAILSCALE", f"{TOP}/build/peers/tailscale")
URL = f"http://{A1}:8080"
# Its pings come once a second; the first opens the filters.
PINGS = 6


class Tailnet:
    """Starts coordd with that DERP map; then join, ping."""

    def __init__(self, net, derp_map):
        self.net = net
        self.socket = net.dir / "coordd"
        self.log = open(net.dir / "coordd.log", "w")
        net.popen("server", [
            COORDD, "-state", net.dir / "coordd.state", "-socket",
            self.socket, "-url", URL, "-listen", f"{A1}:8080", "-domain",
            "lab.test", "-derp-map", derp_map], stdout=self.log,
            stderr=self.log)
        lab.wait_for(lambda: self.ctl("status").returncode == 0, "coordd")
        self.ctl("users", "create", "robots")
        self.key = self.ctl("preauthkeys", "create", "--user", "robots",
                            "--reusable").stdout.strip()

    def ctl(self, *words):
        return self.net.run("server", [COORDCTL, "--socket", self.socket,
                                       *words])

    def cli(self, host, *words):
        """tailscale, at that host."""
        return self.net.run(host, [
            TAILSCALE, f"--socket={self.net.dir}/{host}.ts", *words],
            timeout=90, stderr=subprocess.STDOUT)

    def start(self, host):
        """By the thread that stays: its children end with it."""
        state = self.net.dir / f"{host}.state"
        state.mkdir()
        log = open(self.net.dir / f"{host}.ts.log", "w")
        self.net.popen(host, [
            TAILSCALED, f"--statedir={state}",
            f"--socket={self.net.dir}/{host}.ts", "--port=41641",
            "--tun=userspace-networking", "--no-logs-no-support"],
            stdout=log, stderr=log,
            env={"PATH": os.environ["PATH"], "HOME": str(state),
                 "TMPDIR": str(state)})
        log.close()

    def join(self, host):
        lab.wait_for((self.net.dir / f"{host}.ts").exists, "tailscaled")
        done = self.cli(host, "up", f"--login-server={URL}",
                        f"--auth-key={self.key}", f"--hostname={host}",
                        "--timeout=60s")
        if done.returncode != 0:
            raise lab.Failed(f"{host} does not join: {done.stdout}")

    def join_all(self, hosts):
        for host in hosts:
            self.start(host)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(self.join, hosts))
        for host in hosts:  # each has told where it can be reached
            lab.wait_for(lambda host=host: self.knows(host, hosts),
                         f"{host} to know the others")

    def knows(self, host, hosts):
        shown = self.cli(host, "status").stdout
        return all(re.search(rf"\b{other}\b", shown) for other in hosts)

    def ping(self, a, b):
        """From a to b, until a pong comes directly: "direct" or "relay", and
        what was printed."""
        done = self.cli(a, "ping", f"-c={PINGS}", "--timeout=2s",
                        "--until-direct", b)
        pongs = re.findall(r"pong from .* via (\S+) in", done.stdout)
        if not pongs:
            return "no pong", done.stdout
        last = pongs[-1]
        return "relay" if last.startswith("DERP") else "direct", done.stdout

    def close(self):
        self.log.close()
