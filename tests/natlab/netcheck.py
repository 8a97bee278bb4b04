"""netcheck: the stock `tailscale netcheck`, against STUN servers of choice. It
asks the local tailscaled for a DERP map; here a socket answers in its place,
since a tailscaled would have to join a network first."""

import contextlib
import http.server
import json
import os
import socketserver
import threading

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
TAILSCALE = os.environ.get("TAILSCALE", f"{TOP}/build/peers/tailscale")


def derp_map(servers):
    """Each server, (ip, port), is a region of its own."""
    return {"Regions": {str(900 + i): {
        "RegionID": 900 + i, "RegionCode": f"r{i}", "Nodes": [{
            "Name": f"n{i}", "RegionID": 900 + i, "HostName": ip, "IPv4": ip,
            "IPv6": "none", "STUNPort": port, "STUNOnly": True}]}
        for i, (ip, port) in enumerate(servers)}}


@contextlib.contextmanager
def local_api(path, servers):
    """A socket at path that tells this DERP map."""
    body = json.dumps(derp_map(servers)).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path == "/localapi/v0/derpmap"
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body) if known else 0))
            self.end_headers()
            if known:
                self.wfile.write(body)

        def address_string(self):
            return "netcheck"

        def log_message(self, *_):
            pass

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def words(path):
    return [TAILSCALE, f"--socket={path}", "netcheck", "--format=json"]


def report(said):
    """What it printed, among lines that are no JSON."""
    return json.JSONDecoder().raw_decode(said, said.index("{"))[0]
