"""kinds: the NATs that a gateway can have, as data.

Kernel kinds are nftables rules, as a Linux gateway has them. They end in what
the filter for packets to the gateway itself (INPUT) does: it matters, since a
gateway that accepts takes early packets of a peer for its own ("poison").
User-space kinds are knobs of natemu; README.md lists them all.
"""

# Which part of the remote endpoint makes a difference.
RULES = {"ei": "endpoint-independent", "ad": "address-dependent",
         "apd": "address-and-port-dependent", "pd": "port-dependent"}


def user_kinds():
    kinds = {}
    for m, mapping in RULES.items():
        for f, filtering in RULES.items():
            # eim-eif, adm-apdf, ...: random ports, so that nothing is
            # right by chance.
            kinds[f"{m}m-{f}f"] = {"mapping": mapping, "filtering": filtering,
                                   "ports": "random"}
    apd = RULES["apd"]
    kinds.update({
        # RFC 4787 and 5382 to the letter.
        "rfc": {"filtering": RULES["ad"], "parity": True,
                "hairpin": "external-source", "refresh": "outbound",
                "tcp_unsolicited": "icmp-after-6s", "port_classes": True},
        # What the kernel's masquerade does, so that it can be varied.
        "like-masquerade": {
            "mapping": apd, "filtering": apd, "overload": "per-remote",
            "ttl_single": 30, "ttl_exchange": 30, "ttl_stream": 120,
            "stream_after": 2, "fragments": "reassemble",
            "tcp_midstream": "create-state"},
        # A carrier's: many hosts, a block of ports for each.
        "cgn": {"mapping": RULES["ei"], "filtering": RULES["ei"],
                "ports": "block", "block_size": 512, "host_limit": 512,
                "hairpin": "external-source", "refresh": "outbound"},
        # A company's firewall: ports go up one by one.
        "symmetric-sequential": {"mapping": apd, "filtering": apd,
                                 "ports": "sequential", "port_min": 20000},
    })
    # No NAT and no filter: a line, to be given delay or loss.
    kinds["line"] = {"mapping": "none", "filtering": "none"}
    kinds["like-masquerade-accept"] = {**kinds["like-masquerade"],
                                       "unsolicited": "create-state"}
    return kinds


USER = user_kinds()

INPUT_DROP = """
table inet own {
    chain input {
        type filter hook input priority 0; policy drop
        ct state established,related accept
        iifname != "wan" accept
        meta l4proto { icmp, ipv6-icmp } accept
    }
}
"""
INPUT_ACCEPT = ""


def postrouting(*rules):
    text = "\n        ".join(rules)
    return f"""
table ip nat {{
    chain postrouting {{
        type nat hook postrouting priority 100
        {text}
    }}
}}
"""


def one_to_one(ip, host, hairpin=False):
    """The whole address for one host."""
    back = loop = ""
    if hairpin:
        back = f'iifname != "wan" ip daddr {ip[0]} meta mark set 1 dnat to {host}'
        loop = f"meta mark 1 snat to {ip[0]}"
    return f"""
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority -100
        iifname "wan" ip daddr {ip[0]} dnat to {host}
        {back}
    }}
    chain postrouting {{
        type nat hook postrouting priority 100
        {loop}
        oifname "wan" snat to {ip[0]}
    }}
}}
"""


def remembering(ip, host):
    """1:1, but only from addresses that the host has sent to from that port:
    endpoint-independent mapping, address-dependent filtering."""
    return f"""
table ip seen {{
    set sent {{ type ipv4_addr . inet_service; flags dynamic,timeout; timeout 5m; }}
    chain postrouting {{
        type filter hook postrouting priority 50
        oifname "wan" meta l4proto udp update @sent {{ ip daddr . udp sport }}
    }}
    chain prerouting {{
        type filter hook prerouting priority -110
        iifname "wan" meta l4proto udp ip saddr . udp dport != @sent drop
    }}
}}
""" + one_to_one(ip, host)


# Each takes the gateway's external addresses and its first host's address.
KERNEL = {
    "masquerade": lambda ip, host: INPUT_DROP + postrouting(
        'oifname "wan" masquerade'),
    "masquerade-accept": lambda ip, host: INPUT_ACCEPT + postrouting(
        'oifname "wan" masquerade'),
    "random": lambda ip, host: INPUT_DROP + postrouting(
        'oifname "wan" masquerade random'),
    "fully-random": lambda ip, host: INPUT_DROP + postrouting(
        'oifname "wan" masquerade fully-random'),
    "persistent": lambda ip, host: INPUT_DROP + postrouting(
        'oifname "wan" masquerade persistent'),
    "range": lambda ip, host: INPUT_DROP + postrouting(
        *(f'oifname "wan" meta l4proto {p} masquerade to :40000-40099'
          for p in ("udp", "tcp")), 'oifname "wan" masquerade'),
    # Two external addresses, chosen by the host, by host and server, or by
    # the server.
    "pool-paired": lambda ip, host: INPUT_DROP + postrouting(
        f'oifname "wan" snat to {ip[0]}-{ip[-1]} persistent'),
    "pool-arbitrary": lambda ip, host: INPUT_DROP + postrouting(
        f'oifname "wan" snat to {ip[0]}-{ip[-1]} fully-random'),
    "per-destination": lambda ip, host: INPUT_DROP + postrouting(
        f'oifname "wan" ip daddr & 0.0.0.1 == 0 snat to {ip[0]}',
        f'oifname "wan" snat to {ip[-1]}'),
    # All of the address for one host.
    "one-to-one": lambda ip, host: one_to_one(ip, host),
    "one-to-one-hairpin": lambda ip, host: one_to_one(ip, host, hairpin=True),
    "one-to-one-remembering": lambda ip, host: remembering(ip, host),
    # No NAT: IPv4 is routed, behind a stateful firewall or not.
    "firewall": lambda ip, host: INPUT_DROP + """
table ip firewall {
    chain forward {
        type filter hook forward priority 0; policy drop
        ct state established,related accept
        iifname != "wan" accept
    }
}
""",
    "routed": lambda ip, host: "",
}
ROUTED = {"firewall", "routed"}  # hosts keep their addresses outside
POOLED = {"pool-paired", "pool-arbitrary", "per-destination"}

# What a gateway does with IPv6: a stateful firewall unless it is told
# otherwise. Those that remember are stateless but for what hosts have sent.
FIREWALL6 = """
table ip6 firewall {
    chain forward {
        type filter hook forward priority 0; policy drop
        ct state established,related accept
        iifname != "wan" accept
        icmpv6 type { destination-unreachable, packet-too-big, time-exceeded } accept
    }
}
"""


def remembering6(kind, sent, came):
    return f"""
table ip6 seen {{
    set sent {{ type {kind}; flags dynamic,timeout; timeout 5m; }}
    chain out {{
        type filter hook forward priority 0
        oifname "wan" meta l4proto udp update @sent {{ {sent} }}
    }}
    chain in {{
        type filter hook forward priority 1
        iifname "wan" meta l4proto udp {came} != @sent drop
    }}
}}
"""


def masquerade6(how=""):
    return f"""
table ip6 nat {{
    chain postrouting {{
        type nat hook postrouting priority 100
        oifname "wan" masquerade {how}
    }}
}}
table ip6 own {{
    chain input {{
        type filter hook input priority 0; policy drop
        ct state established,related accept
        iifname != "wan" accept
        meta l4proto ipv6-icmp accept
    }}
}}
"""


KERNEL6 = {
    "firewall6": FIREWALL6,
    "open6": "",
    "remembering6-ei": remembering6(
        "ipv6_addr . inet_service", "ip6 saddr . udp sport",
        "ip6 daddr . udp dport"),
    "remembering6-ad": remembering6(
        "ipv6_addr . inet_service", "ip6 daddr . udp sport",
        "ip6 saddr . udp dport"),
    "remembering6-pd": remembering6(
        "inet_service . inet_service", "udp dport . udp sport",
        "udp sport . udp dport"),
    # NAT66: hosts have addresses of their own (RFC 4193).
    "masquerade6": masquerade6(),
    "masquerade6-random": masquerade6("fully-random"),
}
TRANSLATED6 = {"masquerade6", "masquerade6-random"}

# What a site forbids, whatever its NAT is. Without connection tracking, which
# would put fragments together before natemu sees them.
BLOCKS = {
    "udp": "meta l4proto udp drop",
    "udp-3478": "udp dport 3478 drop",
    "all-but-443": "tcp dport 443 accept\n        tcp sport 443 accept\n"
                   "        drop",
    # Connections may be made to low ports alone.
    "tcp-high": 'iifname != "wan" tcp dport > 4000 tcp flags & '
                "(syn | ack) == syn drop",
    "ipv4": "meta nfproto ipv4 drop",
    "all": "drop",
}


def block(what):
    return f"""
table inet site {{
    chain forward {{
        type filter hook forward priority -10; policy accept
        {BLOCKS[what]}
    }}
}}
"""


# The portal's own web server gets what is meant for port 80.
PORTAL_PORT = 8080
PORTAL = f"""
table ip portal {{
    chain prerouting {{
        type nat hook prerouting priority -100
        iifname != "wan" tcp dport 80 redirect to :{PORTAL_PORT}
    }}
}}
"""

# Chains that miniupnpd fills.
UPNP = """
table inet upnp {
    chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
    chain prerouting_miniupnpd { }
    chain postrouting { type nat hook postrouting priority 110; jump postrouting_miniupnpd; }
    chain postrouting_miniupnpd { }
}
"""
