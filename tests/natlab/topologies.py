"""topologies: networks by name, as data. lab.py builds them.

A node is a network namespace:

  host      ip: its addresses, ip6; at: where it is plugged in
  gateway   ip: external addresses; lan: its address inside; lan6; nat: a kind
            (kinds.py), or knobs of natemu, or {"kernel": kind, "udp_timeout":
            seconds, ...}; nat6: a kind for IPv6 (kinds.KERNEL6; with NAT66
            ip6 is needed); block, portal, upnp: what the site does besides
  router    as a gateway without NAT

There always is a node "internet", where public addresses are routed.
A1 and A2 are the two addresses of the server.
"""

A1, A2 = "203.0.113.10", "203.0.113.11"
A1_6, A2_6 = "2001:db8:5e::10", "2001:db8:5e::11"


def server():
    return {"kind": "host", "at": "internet", "ip": [A1, A2],
            "ip6": [A1_6, A2_6]}


def gateway(n, at="internet", lan="10.0.2.2/24", nat="masquerade", **more):
    return {"kind": "gateway", "at": at,
            "ip": [f"198.51.100.{10 * n}", f"198.51.100.{10 * n + 1}"],
            "lan": lan, "lan6": f"2001:db8:{n}::1/64", "nat": nat, **more}


def robot(n, at, ip="10.0.2.15"):
    return {"kind": "host", "at": at, "ip": [ip],
            "ip6": [f"2001:db8:{n}::15"]}


def one(about, **more):
    """A robot behind a gateway, beside the server."""
    return {"about": about, "nodes": {
        "server": server(), "nat-a": gateway(1, **more),
        "a": robot(1, "nat-a")}}


TOPOLOGIES = {
    "two-robots": {
        "about": "two robots with the same private address, each behind a NAT "
                 "of its own; a public server with two addresses",
        "nodes": {
            "server": server(),
            "nat-a": gateway(1), "a": robot(1, "nat-a"),
            "nat-b": gateway(2), "b": robot(2, "nat-b")}},
    "neighbours": {
        "about": "two robots behind one NAT",
        "nodes": {
            "server": server(), "nat-a": gateway(1),
            "a": robot(1, "nat-a"),
            "b": {**robot(1, "nat-a", "10.0.2.16"),
                  "ip6": ["2001:db8:1::16"]}}},
    "campus": {
        "about": "two buildings with a router each, behind one campus NAT",
        "nodes": {
            "server": server(),
            "campus": gateway(1, lan="10.10.0.1/24"),
            "building-a": {"kind": "router", "at": "campus",
                           "ip": ["10.10.0.11"], "lan": "10.10.1.1/24"},
            "building-b": {"kind": "router", "at": "campus",
                           "ip": ["10.10.0.12"], "lan": "10.10.2.1/24"},
            "a": {"kind": "host", "at": "building-a", "ip": ["10.10.1.15"]},
            "b": {"kind": "host", "at": "building-b", "ip": ["10.10.2.15"]}}},
    "buildings": {
        "about": "two buildings behind different NATs with different networks",
        "nodes": {
            "server": server(),
            "nat-a": gateway(1, lan="10.1.0.1/16"),
            "a": robot(1, "nat-a", "10.1.0.15"),
            "nat-b": gateway(2, lan="10.2.0.1/16", nat="fully-random"),
            "b": robot(2, "nat-b", "10.2.0.15")}},
    "public": {
        "about": "a robot with a public address, and one behind a NAT",
        "nodes": {
            "server": server(),
            "a": {"kind": "host", "at": "internet", "ip": ["192.0.2.50"],
                  "ip6": ["2001:db8:50::1"]},
            "nat-b": gateway(2), "b": robot(2, "nat-b")}},
    "roaming": {
        "about": "three sites with a NAT each; robot a moves between them "
                 "(net.move, or `move` in the shell), b stays",
        "nodes": {
            "server": server(),
            "site-1": gateway(1, nat="masquerade"),
            "site-2": gateway(2, nat="fully-random", lan="192.168.1.1/24"),
            "site-3": gateway(3, nat="eim-adf", lan="172.16.0.1/24"),
            "a": robot(1, "site-1"),
            "b": robot(2, "site-2", "192.168.1.16")}},
    "cgnat": {
        "about": "a home NAT behind a carrier's, and a robot behind both",
        "nodes": {
            "server": server(),
            "carrier": {**gateway(1, lan="100.64.0.1/24", nat="cgn"),
                        "lan6": None},
            "home": {**gateway(2, at="carrier", lan="192.168.1.1/24"),
                     "ip": ["100.64.0.20"], "lan6": None},
            "a": {"kind": "host", "at": "home", "ip": ["192.168.1.15"]}}},
    "ipv6-firewall": {
        "about": "two robots behind stateful firewalls for IPv6, and no IPv4",
        "nodes": {
            "server": server(),
            "nat-a": gateway(1, block="ipv4"), "a": robot(1, "nat-a"),
            "nat-b": gateway(2, block="ipv4"), "b": robot(2, "nat-b")}},
    "no-nat": one("public addresses behind a stateful firewall",
                  nat="firewall", lan="192.0.2.65/26"),
    "udp-blocked": one("a NAT, and a firewall that drops all UDP",
                       block="udp"),
    "all-but-443": one("a NAT, and a firewall that passes TCP to port 443 "
                       "alone", block="all-but-443"),
    "captive-portal": one("a NAT that passes nothing, and a web server that "
                          "redirects to a login page", block="all",
                          portal=True),
    "upnp": one("a NAT that can be asked for ports, by UPnP-IGD, PCP and "
                "NAT-PMP (miniupnpd)", upnp=True),
}
# miniupnpd gives no ports away if the external address is one that the
# internet cannot reach, and those for documentation are: so it is one of a
# network that is not announced.
TOPOLOGIES["upnp"]["nodes"]["nat-a"]["ip"] = ["25.0.0.10"]
TOPOLOGIES["no-nat"]["nodes"]["a"]["ip"] = ["192.0.2.75"]
