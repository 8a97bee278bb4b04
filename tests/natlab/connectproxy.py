#!/usr/bin/python3
"""connectproxy: an HTTP proxy that knows CONNECT alone.

usage: connectproxy.py IP PORT [USER:PASSWORD]
"""

import base64
import contextlib
import socket
import sys
import threading


def pump(a, b):
    with contextlib.suppress(OSError):
        while data := a.recv(65536):
            b.sendall(data)
    for s in (a, b):
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)


def refuse(client, status):
    client.sendall(f"HTTP/1.1 {status}\r\nProxy-Authenticate: Basic "
                   "realm=\"campus\"\r\nContent-Length: 0\r\n\r\n".encode())


def serve(client, wanted):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096) or b"\r\n\r\n"
    lines = head.decode().split("\r\n")
    method, target, _ = lines[0].split()
    if method != "CONNECT":
        return refuse(client, "405 CONNECT alone")
    if wanted and f"Proxy-Authorization: Basic {wanted}" not in lines:
        return refuse(client, "407 Proxy Authentication Required")
    host, _, port = target.rpartition(":")
    try:
        server = socket.create_connection((host.strip("[]"), int(port)), 5)
    except OSError:
        return refuse(client, "502 Bad Gateway")
    server.settimeout(None)
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def work(client, wanted):
    with client, contextlib.suppress(OSError, ValueError):
        serve(client, wanted)


def main():
    wanted = base64.b64encode(sys.argv[3].encode()).decode() \
        if len(sys.argv) > 3 else ""
    with socket.create_server((sys.argv[1], int(sys.argv[2]))) as s:
        print("ready", flush=True)
        while True:
            client, _ = s.accept()
            threading.Thread(target=work, args=(client, wanted),
                             daemon=True).start()


if __name__ == "__main__":
    main()
