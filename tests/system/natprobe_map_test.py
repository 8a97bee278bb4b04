#!/usr/bin/python3
# tests/run: one-thread
"""natprobe_map_test: where natprobe has the relay map from, if no server is
named: a socket that answers as tailscaled does, and as it should not. The real
one is in natlab/tailscaled_test. Prints TAP."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

import derpc
from natprobe_run_test import NATPROBE, stund

OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
SAID = "natprobe: no server: give -stun HOST[:PORT], -map FILE or -relay " \
    "URL; and this host's tailscaled tells no relay map: "


def map_of(at):
    ip, port = at.split(":")
    return {"Regions": {"900": {"RegionID": 900, "RegionCode": "lab", "Nodes": [
        {"Name": "900a", "HostName": ip, "IPv4": ip, "STUNPort": int(port),
         "STUNOnly": True}]}}}


@contextlib.contextmanager
def tailscaled(*pieces, stay=False):
    """A socket that says that to whoever asks, once; gives its path, and
    where the question will be."""
    asked = []
    over = threading.Event()

    def serve():
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                asked.append(peer.recv(4096))
                for piece in pieces:
                    peer.sendall(piece)
                if stay:
                    over.wait(derpc.LIMIT)

    with tempfile.TemporaryDirectory() as folder, \
            socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/ts.sock"
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, asked
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def run(path, *words):
    return subprocess.run(
        [NATPROBE, "-tailscaled", path, "-trace=false", "-gateway=false",
         "-path=false", *words], text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=derpc.LIMIT)


def takes_the_map():
    with stund() as at, \
            tailscaled(OK, json.dumps(map_of(at)).encode()) as (path, asked):
        done = run(path, "-json", "-")
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    assert said["map"] == "tailscaled", said["map"]
    assert said["ipv4"]["servers"][0]["address"] == at, said["ipv4"]
    assert asked[0] == b"GET /localapi/v0/derpmap HTTP/1.0\r\n" \
        b"Host: local-tailscaled.sock\r\n\r\n", asked


def comes_in_pieces():
    """Behind other fields, each byte for itself."""
    with stund() as at:
        answer = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + \
            json.dumps(map_of(at)).encode()
        with tailscaled(*(bytes([b]) for b in answer)) as (path, _):
            assert run(path, "-quiet").returncode == 0


def is_not_asked():
    """A server is named."""
    with stund() as at, tailscaled(OK, b"{}") as (path, asked):
        done = run(path, "-stun", at, "-json", "-")
        assert done.returncode == 0 and asked == [], (done, asked)
        assert json.loads(done.stdout)["map"] is None
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(map_of(at), file)
            file.flush()
            done = run(path, "-map", file.name, "-json", "-")
        assert done.returncode == 0 and asked == [], (done, asked)
        assert json.loads(done.stdout)["map"] == "file"


def fails(path, why):
    done = run(path)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr == f"{SAID}{path}: {why}\n", done.stderr


def nobody_there():
    with tempfile.TemporaryDirectory() as folder:
        fails(f"{folder}/none", "there is no such socket")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{folder}/left")
        fails(f"{folder}/left", "nobody listens there")
        fails(folder + "/" + "x" * 120, "too long for a socket")
        if os.geteuid() != 0:
            os.chmod(folder, 0)
            fails(f"{folder}/left", "Permission denied")
            os.chmod(folder, 0o700)


def has_joined_nothing():
    why = "it has no relay map, as long as it has not joined a network " \
        "(tailscale up)"
    for body in (b"null\n", b"{}", b'{"Regions":null}'):
        with tailscaled(OK, body) as (path, _):
            fails(path, why)


def is_none():
    why = "what answers there is no tailscaled"
    for pieces in ((), (b"SSH-2.0-x\r\n",), (OK,), (OK, b"[1]"), (OK, b"{"),
                   (b"HTTP/1.0 404 Not Found\r\n\r\n", b"{}"),
                   (b"HTTP/1.0 200 OK\r\n",), (b"\0" * 100000,)):
        with tailscaled(*pieces) as (path, _):
            fails(path, why)


def never_ends():
    with tailscaled(stay=True) as (path, _):
        fails(path, "no answer within 2 s")
    with tailscaled(OK, b"{", stay=True) as (path, _):
        fails(path, "no answer within 2 s")
    with tailscaled(OK, *[b" " * 65536] * 100) as (path, _):
        fails(path, "the map has no end")


def is_empty():
    with tailscaled(OK, b'{"Regions":{}}') as (path, _):
        done = run(path)
    assert done.returncode == 2, done
    assert done.stderr == "natprobe: no server in tailscaled's map: give " \
        "-stun HOST[:PORT] or -relay URL\n", done.stderr


def wrong_maps():
    """What is wrong with a map is said, and where."""
    def of(**node):
        return {"Regions": {"7": {"RegionCode": "x", "Nodes": [
            {"HostName": "h", "Name": "7a", **node}]}}}

    at = "region 7, node 7a: "
    ip4, ip6 = ('; want a host\'s IPv%d address, or "none"' % v
                for v in (4, 6))
    ports = "; want a port, 0 for 3478, or -1 for none"
    for said, why in (
            (of(IPv4="999.1.1.1"), f'{at}IPv4 is "999.1.1.1"{ip4}'),
            (of(IPv4="::1"), f'{at}IPv4 is "::1"{ip4}'),
            (of(IPv4="224.0.0.1"), f'{at}IPv4 is "224.0.0.1"{ip4}'),
            (of(IPv4="255.255.255.255"),
             f'{at}IPv4 is "255.255.255.255"{ip4}'),
            (of(IPv4=5), f"{at}IPv4 is 5{ip4}"),
            (of(IPv6="10.0.0.1"), f'{at}IPv6 is "10.0.0.1"{ip6}'),
            (of(STUNPort=65536), f"{at}STUNPort is 65536{ports}"),
            (of(STUNPort="1"), f'{at}STUNPort is "1"{ports}'),
            (of(DERPPort=-1),
             f"{at}DERPPort is -1; want a port, or 0 for 443"),
            (of(HostName=""), f'{at}HostName is ""; want a name or an address'),
            (of(CertName=[]), f"{at}CertName is []; want a text"),
            ({"Regions": {"7": {"Nodes": [{}]}}},
             "region 7, node : HostName is missing; want a name or an "
             "address"),
            ({"Regions": {"7": {"Nodes": [1]}}},
             "region 7, node : it is 1; want an object"),
            ({"Regions": {"7": {"Nodes": 5}}},
             "region 7: Nodes is 5; want an array"),
            ({"Regions": {"7": []}}, "region 7: it is []; want an object")):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(said, file)
            file.flush()
            done = run("", "-map", file.name)
            assert done.returncode == 2, done
            assert done.stderr == f"natprobe: map: {file.name}: {why}\n", \
                done.stderr
        with tailscaled(OK, json.dumps(said).encode()) as (path, _):
            fails(path, why)
    done = run("", "-map", "/none/at/all")
    assert done.stderr == "natprobe: map: /none/at/all: No such file or " \
        "directory\n", done.stderr


def no_hosts():
    for at in ("0.0.0.0", "255.255.255.255:1", "224.0.0.1", "[ff02::1]:1"):
        done = run("", "-stun", at)
        assert done.returncode == 2, done
        assert done.stderr == f"natprobe: stun: \"{at}\" is no host's " \
            "address\n", done.stderr


if __name__ == "__main__":
    sys.exit(derpc.main([
        ("its map is taken", takes_the_map),
        ("in any pieces", comes_in_pieces),
        ("it is not asked if a server is named", is_not_asked),
        ("nobody is there", nobody_there),
        ("it has joined no network", has_joined_nothing),
        ("it is no tailscaled", is_none),
        ("it never ends", never_ends),
        ("its map is empty", is_empty),
        ("maps that are wrong", wrong_maps),
        ("servers that are no hosts", no_hosts),
    ]))
