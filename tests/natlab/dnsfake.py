#!/usr/bin/python3
"""dnsfake: a DNS server that knows a few names, and says of all others that
they do not exist, or lies.

usage: dnsfake.py IP [NAME=ADDRESS ...] [*=ADDRESS]
"""

import ipaddress
import socket
import struct
import sys

A, AAAA = 1, 28
NXDOMAIN = 3


def question(packet):
    """The name asked for, the type, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
        at += 1 + packet[at]
    return ".".join(labels), *struct.unpack(">H", packet[at + 1:at + 3]), at + 5


def answer(packet, names):
    name, kind, end = question(packet)
    ip = names.get(name, names.get("*"))
    code = 0 if ip else NXDOMAIN
    records = b""
    if ip and kind == (A if ip.version == 4 else AAAA):
        records = b"\xc0\x0c" + struct.pack(
            ">HHIH", kind, 1, 5, len(ip.packed)) + ip.packed
    return packet[:2] + struct.pack(
        ">HHHHH", 0x8180 | code, 1, bool(records), 0, 0) \
        + packet[12:end] + records


def main():
    names = {name: ipaddress.ip_address(ip) for name, ip in
             (word.split("=") for word in sys.argv[2:])}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((sys.argv[1], 53))
        print("ready", flush=True)
        while True:
            packet, peer = s.recvfrom(4096)
            s.sendto(answer(packet, names), peer)


if __name__ == "__main__":
    main()
