#!/usr/bin/python3
"""natprobe_ports_test: runs on one host, one right after the other and at
once, ask from no port twice: what an earlier run left in a NAT would answer
for the next one. Over UDP and TCP."""

import contextlib
import selectors
import socket
import struct
import sys
import threading

import lab
import tap
from natprobe_test import NATPROBE
from topologies import A1, server

IN_A_ROW, AT_ONCE = 5, 3
FLAGS = ["-stun", A1, "-family", "4", "-quiet", "-path=false", "-trace=false",
         "-gateway=false", "-rate", "1000"]


def answer(question, who):
    """XOR-MAPPED-ADDRESS, or None."""
    if len(question) < 20 or question[:2] != b"\0\1":
        return None
    port = who[1] ^ 0x2112
    ip = bytes(a ^ b for a, b in zip(socket.inet_aton(who[0]),
                                     b"\x21\x12\xa4\x42"))
    return b"\1\1\0\x0c" + question[4:20] + \
        struct.pack("!HHBBH", 0x20, 8, 0, 1, port) + ip


class Server:
    """Answers over UDP and TCP, and keeps who has asked."""

    def __init__(self, net):
        self.udp = net.socket("server", port=3478)
        self.tcp = net.socket("server", socket.SOCK_STREAM, port=3478)
        self.tcp.listen(64)
        self.seen = {"UDP": set(), "TCP": set()}
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.udp, selectors.EVENT_READ, self.on_udp)
        self.selector.register(self.tcp, selectors.EVENT_READ, self.on_tcp)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def on_udp(self, s):
        data, who = s.recvfrom(2048)
        self.seen["UDP"].add(who[1])
        if reply := answer(data, who):
            s.sendto(reply, who)

    def on_tcp(self, listener):
        s, who = listener.accept()
        self.seen["TCP"].add(who[1])
        self.selector.register(s, selectors.EVENT_READ, self.on_data)

    def on_data(self, s):
        data = b""
        with contextlib.suppress(OSError):
            data = s.recv(2048)
        if not data:
            self.selector.unregister(s)
            s.close()
        elif reply := answer(data, s.getpeername()):
            s.sendall(reply)

    def take(self):
        """Who has asked since that was called last."""
        seen, self.seen = self.seen, {"UDP": set(), "TCP": set()}
        return seen


def check(what, before, seen):
    for over, ports in seen.items():
        again = ports & before[over]
        tap.ok(ports and not again, f"{what}: {len(ports)} ports over {over}, "
               "none had before", again)
        before[over] |= ports


def in_a_row(net, asked, before):
    for i in range(IN_A_ROW):
        net.run("a", [NATPROBE, *FLAGS], timeout=60)
        check(f"run {i + 1}", before, asked.take())


def at_once(net, asked, before):
    """Which of them had a port is not seen; but how many there are in all."""
    some = [net.popen("a", [NATPROBE, *FLAGS]) for _ in range(AT_ONCE)]
    for one in some:
        one.wait(60)
    together = asked.take()
    least = len(before["UDP"]) // IN_A_ROW * AT_ONCE
    tap.ok(len(together["UDP"]) >= least,
           f"{AT_ONCE} at once: each has its own", len(together["UDP"]))
    check(f"{AT_ONCE} at once", before, together)
    net.run("a", [NATPROBE, *FLAGS], timeout=60)
    check("and one more", before, asked.take())


def main():
    try:
        net = lab.build({"server": server(), "a": {
            "kind": "host", "at": "internet", "ip": ["198.51.100.10"],
            "ip6": ["2001:db8:1::15"]}})
    except lab.CannotBuild as error:
        tap.skip("runs beside each other", error)
        return tap.done()
    with net:
        asked, before = Server(net), {"UDP": set(), "TCP": set()}
        tap.attempt("in a row", in_a_row, net, asked, before)
        tap.attempt("at once", at_once, net, asked, before)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
