/* natcore: mapping, filtering, ports, pools and hairpins, knob by knob. */
#include "tests/unit/natcore_kit.h"

#define EI  "endpoint-independent"
#define AD  "address-dependent"
#define APD "address-and-port-dependent"
#define PD  "port-dependent"

/* Four remotes, in the words of RFC 5780: S:1 S:2 T:1 T:2. */
static const struct nat_case mapping[] = {
    {"mapping " EI, "'mapping': '" EI "', 'ports': 'random'",
	"out udp a:5000 S:1 = E:?p\n"
	"out udp a:5000 T:1 = E:p\n"
	"out udp a:5000 T:2 = E:p\n"
	"out udp a:5000 S:2 = E:p\n"
	"out udp a:5001 S:1 = E:!p\n"
	"out udp b:5000 S:1 = E:!p"},
    {"mapping " AD, "'mapping': '" AD "', 'ports': 'random'",
	"out udp a:5000 S:1 = E:?p\n"
	"out udp a:5000 T:1 = E:?q\n"
	"out udp a:5000 S:1 = E:!q\n"
	"out udp a:5000 T:2 = E:q\n"
	"out udp a:5000 S:2 = E:p"},
    {"mapping " APD, "'mapping': '" APD "', 'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5000 T:1 = E:1025\n"
	"out udp a:5000 T:2 = E:1026\n"
	"out udp a:5000 S:2 = E:1027\n"
	"out udp a:5000 S:1 = E:1024"},
    {"mapping " PD, "'mapping': '" PD "', 'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5000 T:1 = E:1024\n"
	"out udp a:5000 T:2 = E:1025\n"
	"out udp a:5000 S:2 = E:1025"},
    {"mapping none: a filter only", "'mapping': 'none', 'filtering': '" AD "'",
	"out udp a:5000 S:1 = a:5000\n"
	"in udp S:2 a:5000 = a:5000\n"
	"in udp T:2 a:5000 = -\n"
	"in udp S:2 a:5001 = -"},
    {"mapping none, filtering none: a line",
	"'mapping': 'none', 'filtering': 'none'",
	"in udp T:2 a:5000 = a:5000\n"
	"in ack T:2 a:5000 = a:5000\n"
	"in unreach T a:5000>S:1 = in icmp 3/3 T>a (udp a:5000>S:1)\n"
	"in ping T:8 E:8 = in echo T:8>E:8\n"
	"out ack a:5000 T:2 = a:5000\n"
	"out udp a6:5000 S6:1 = a6:5000\n"
	"in udp S6:1 b6:5000 = b6:5000"},
    {"no external address: nothing goes out", "'external': []",
	"out udp a:5000 S:1 = -"},
    {"an endpoint has a mapping per protocol", "'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"out syn a:5000 S:1 = E:1025\n"
	"in udp S:1 E:1025 = -\n"
	"in synack S:1 E:1024 = -\n"
	"in synack S:1 E:1025 = a:5000"},
};

static const struct nat_case filtering[] = {
    {"filtering " EI, "'filtering': '" EI "'",
	"out udp a:5000 S:1 = E:5000\n"
	"in udp S:1 E:5000 = a:5000\n"
	"in udp S:2 E:5000 = a:5000\n"
	"in udp T:1 E:5000 = a:5000\n"
	"in udp T:2 E:5001 = -"},
    {"filtering " AD, "'filtering': '" AD "'",
	"out udp a:5000 S:1 = E:5000\n"
	"in udp S:2 E:5000 = a:5000\n"
	"in udp T:1 E:5000 = -"},
    {"filtering " APD, "'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:5000\n"
	"in udp S:1 E:5000 = a:5000\n"
	"in udp S:2 E:5000 = -\n"
	"in udp T:1 E:5000 = -\n"
	"out udp a:5000 T:1 = E:5000\n"
	"in udp T:1 E:5000 = a:5000"},
    {"filtering " PD, "'filtering': '" PD "'",
	"out udp a:5000 S:1 = E:5000\n"
	"in udp S:2 E:5000 = -\n"
	"in udp T:1 E:5000 = a:5000"},
    {"what was let in opens nothing", "'filtering': '" AD "'",
	"out udp a:5000 S:1 = E:5000\n"
	"in udp S:2 E:5000 = a:5000\n"
	"knobs 'filtering': '" APD "'\n"
	"in udp S:2 E:5000 = -\n"
	"out udp a:5000 S:2 = E:5000\n"
	"in udp S:2 E:5000 = a:5000"},
    {"the answer leaves by the mapping that the question came in by",
	"'mapping': '" APD "', 'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"in udp T:1 E:1024 = a:5000\n"
	"out udp a:5000 T:1 = E:1024\n"
	"out udp a:5000 T:2 = E:1025"},
    {"a remote of one mapping may use another that filters nothing",
	"'mapping': '" APD "', 'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5000 T:1 = E:1025\n"
	"in udp T:1 E:1024 = a:5000\n"
	"out udp a:5000 T:1 = E:1025"},
};

static const struct nat_case ports[] = {
    {"ports preserve", "",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = E:5001\n"
	"out udp b:5000 S:1 = E:!x"},
    {"ports preserve, else sequential",
	"'ports_fallback': 'sequential', 'port_min': 5000, 'port_max': 5002",
	"out udp a:5001 S:1 = E:5001\n"
	"out udp b:5001 S:1 = E:5000\n"
	"out udp c:5001 S:1 = E:5002\n"
	"out udp c:5000 S:1 = -"},
    {"ports outside of the range are not preserved",
	"'port_min': 5000, 'port_max': 5000",
	"out udp a:4999 S:1 = E:5000\n"
	"out udp a:5001 S:1 = -"},
    {"overload never", "'ports_fallback': 'sequential'",
	"out udp a:1500 S:1 = E:1500\n"
	"out udp b:1500 T:1 = E:1024"},
    {"overload per-remote: a Linux gateway, EIM until two hosts collide",
	"'mapping': '" APD "', 'filtering': '" APD "', "
	"'overload': 'per-remote', 'ports_fallback': 'sequential'",
	"out udp a:1500 S:1 = E:1500\n"
	"out udp a:1500 S:2 = E:1500\n"
	"out udp b:1500 T:1 = E:1500\n"
	"in udp T:1 E:1500 = b:1500\n"
	"in udp S:1 E:1500 = a:1500\n"
	"in udp S:2 E:1500 = a:1500\n"
	"out udp b:1500 S:1 = E:1024\n"
	"in udp S:1 E:1024 = b:1500\n"
	"in udp S:1 E:1500 = a:1500\n"
	"out udp b:1500 T:2 = E:1500"},
    {"overload per-remote with mapping " EI,
	"'overload': 'per-remote', "
	"'ports_fallback': 'sequential'",
	"out udp a:1500 S:1 = E:1500\n"
	"out udp b:1500 T:1 = E:1500\n"
	"out udp b:1500 S:1 = E:1024\n"
	"out udp b:1500 T:2 = E:1500\n"
	"in udp T:1 E:1500 = b:1500\n"
	"in udp S:1 E:1500 = a:1500\n"
	"in udp U:1 E:1500 = b:1500\n"
	"out udp a:1500 S:1 = E:1500\n"
	"in udp U:2 E:1500 = a:1500"},
    {"overload always: who sent last receives", "'overload': 'always'",
	"out udp a:1500 S:1 = E:1500\n"
	"out udp b:1500 S:1 = E:1500\n"
	"in udp S:1 E:1500 = b:1500\n"
	"out udp a:1500 S:1 = E:1500\n"
	"in udp S:1 E:1500 = a:1500"},
    {"ports sequential", "'ports': 'sequential', 'port_min': 2000",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5001 S:1 = E:2001\n"
	"out udp b:5000 S:1 = E:2002"},
    {"ports sequential by steps, around, and those between",
	"'ports': 'sequential', 'port_min': 2000, 'port_max': 2003, "
	"'port_step': 2",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5001 S:1 = E:2002\n"
	"out udp a:5002 S:1 = E:2001\n"
	"out udp a:5003 S:1 = E:2003\n"
	"out udp a:5004 S:1 = -"},
    {"ports sequential from a start, around",
	"'ports': 'sequential', 'port_min': 2000, 'port_max': 2003, "
	"'port_start': 2002",
	"out udp a:5000 S:1 = E:2002\n"
	"out udp a:5001 S:1 = E:2003\n"
	"out udp a:5002 S:1 = E:2000\n"
	"out udp a:5003 S:1 = E:2001\n"
	"out udp a:5004 S:1 = -"},
    {"ports sequential from a start, by steps",
	"'ports': 'sequential', 'port_start': 40000, 'port_step': 7",
	"out udp a:5000 S:1 = E:40000\n"
	"out udp b:5000 S:1 = E:40007\n"
	"out udp a:5001 S:1 = E:40014\n"
	"flush\n"
	"out udp a:5000 S:1 = E:40000"},
    {"port_map: an endpoint that has it always has that port",
	"'ports': 'sequential', 'port_min': 2000, 'port_map': ["
	"{'ip': '10.0.0.1', 'inside': 5000, 'outside': 2001},"
	"{'ip': '10.0.0.2', 'inside': 5000, 'outside': 700}]",
	"out udp b:5001 S:1 = E:2000\n"
	"out udp b:5002 S:1 = E:2002\n"
	"out udp a:5000 S:1 = E:2001\n"
	"out syn a:5000 S:1 = E:2001\n"
	"out udp b:5000 S:1 = E:700\n"
	"flush\n"
	"out udp a:5000 S:1 = E:2001\n"
	"in udp S:1 E:2001 = a:5000"},
    {"port_map: also if the mapping depends on the remote",
	"'mapping': '" APD "', 'filtering': '" APD "', 'port_map': ["
	"{'ip': '10.0.0.1', 'inside': 5000, 'outside': 700}]",
	"out udp a:5000 S:1 = E:700\n"
	"out udp a:5000 T:1 = E:700\n"
	"in udp S:1 E:700 = a:5000\n"
	"in udp T:1 E:700 = a:5000\n"
	"in udp T:2 E:700 = -"},
    {"port_map: what somebody else has got before is not taken away", "",
	"out udp b:7000 S:1 = E:7000\n"
	"knobs 'port_map': [{'ip': '10.0.0.1', 'inside': 5000, "
	"'outside': 7000}]\n"
	"out udp a:5000 S:1 = -\n"
	"in udp S:1 E:7000 = b:7000"},
    {"sequential ports are not used again at once",
	"'ports': 'sequential', 'port_min': 2000, 'ttl_single': 1",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 2\n"
	"out udp a:5000 S:1 = E:2001"},
    {"ports random", "'ports': 'random', 'port_min': 30000, 'port_max': 30001",
	"out udp a:5000 S:1 = E:?p\n"
	"out udp a:5001 S:1 = E:!p\n"
	"out udp a:5002 S:1 = -"},
    {"ports block: each host its own",
	"'ports': 'block', 'block_size': 4, 'port_min': 1025",
	"out udp a:5000 S:1 = E:1028\n"
	"out udp b:5000 S:1 = E:1032\n"
	"out udp a:5001 S:1 = E:1029\n"
	"out udp a:5002 S:1 = E:1030\n"
	"out udp a:5003 S:1 = E:1031\n"
	"out udp a:5004 S:1 = -\n"
	"out udp b:5001 S:1 = E:1033"},
    {"ports block: where blocks begin",
	"'ports': 'block', 'block_size': 4, 'block_align': 10, "
	"'port_min': 1025, 'port_max': 1044",
	"out udp a:5000 S:1 = E:1030\n"
	"out udp b:5000 S:1 = E:1040\n"
	"out udp c:5000 S:1 = -\n"
	"out udp a:5001 S:1 = E:1031"},
    {"a block is free when its host's last mapping is gone",
	"'ports': 'block', 'block_size': 4, 'port_max': 1027, "
	"'ttl_single': 1",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp b:5000 S:1 = -\n"
	"wait 1\n"
	"out udp b:5000 S:1 = E:1024"},
    {"parity", "'ports': 'sequential', 'parity': true",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5002 S:1 = E:1026\n"
	"out udp a:5001 S:1 = E:1027\n"
	"out udp a:5003 S:1 = E:1029"},
    {"parity when the preserved one is taken",
	"'parity': true, 'ports_fallback': 'sequential'",
	"out udp a:1501 S:1 = E:1501\n"
	"out udp b:1501 S:1 = E:1025"},
    {"contiguity",
	"'ports': 'random', 'contiguity': true, "
	"'port_min': 5000, 'port_max': 5003, 'seed': 3",
	"out udp a:5000 S:1 = E:?p\n"
	"out udp a:5001 S:1 = E:?q\n"
	"out udp a:5002 S:1 = E:?r\n"
	"knobs 'port_max': 65535\n"
	"out udp b:5000 S:1 = E:?s\n"
	"out udp a:5003 S:1 = E:!s"},
    {"port classes: below 1024 stays below",
	"'ports': 'sequential', 'port_classes': true",
	"out udp a:500 S:1 = E:1\n"
	"out udp a:5000 S:1 = E:1024"},
    {"port classes do not hinder preservation", "'port_classes': true",
	"out udp a:500 S:1 = E:500\n"
	"out udp a:5000 S:1 = E:5000"},
    {"below 1024 without port classes", "'ports_fallback': 'sequential'",
	"out udp a:500 S:1 = E:1024"},
};

static const struct nat_case pools[] = {
    {"pooling paired",
	"'external': ['198.51.100.1', '198.51.100.2'], 'pooling': 'paired'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:5000 S:1 = F:5000\n"
	"out udp a:5001 S:1 = E:5001\n"
	"out udp a:5002 S:1 = E:5002\n"
	"out udp b:5001 S:1 = F:5001\n"
	"out udp c:5000 S:1 = E:!x\n"
	"in udp S:1 F:5000 = b:5000\n"
	"in udp S:1 E:5000 = a:5000"},
    {"pooling round-robin",
	"'external': ['198.51.100.1', '198.51.100.2', '198.51.100.3'], "
	"'pooling': 'round-robin'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = F:5001\n"
	"out udp a:5002 S:1 = H:5002\n"
	"out udp a:5003 S:1 = E:5003\n"
	"out udp a:5000 T:1 = E:5000"},
    {"an external address that is gone takes its mappings with it",
	"'external': ['198.51.100.1', '198.51.100.2'], "
	"'pooling': 'round-robin'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = F:5001\n"
	"knobs 'external': ['198.51.100.2']\n"
	"in udp S:1 E:5000 = -\n"
	"in udp S:1 F:5001 = a:5001\n"
	"out udp a:5000 S:1 = F:5000"},
    {"flush", "'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"flush\n"
	"in udp S:1 E:1024 = -\n"
	"out udp b:5000 S:1 = E:1024"},
};

static const struct nat_case hairpin[] = {
    {"hairpin none", "'hairpin': 'none'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:2000 E:5000 = -"},
    {"hairpin external-source", "'hairpin': 'external-source'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:2000 E:5000 = in udp E:2000>a:5000\n"
	"out udp a:5000 E:2000 = in udp E:5000>b:2000\n"
	"out udp b:2000 E:5001 = -"},
    {"hairpin internal-source", "'hairpin': 'internal-source'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:2000 E:5000 = in udp b:2000>a:5000"},
    {"hairpin to oneself", "'hairpin': 'external-source'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 E:5000 = in udp E:5001>a:5000\n"
	"out udp a:5000 E:5000 = in udp E:5000>a:5000"},
    {"hairpins are filtered",
	"'hairpin': 'external-source', 'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:2000 E:5000 = -\n"
	"out udp a:5000 E:2000 = in udp E:5000>b:2000\n"
	"out udp b:2000 E:5000 = in udp E:2000>a:5000"},
    {"hairpin_same_host: to none but who sends",
	"'hairpin': 'external-source', 'hairpin_same_host': true",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:2000 E:5000 = -\n"
	"out udp a:5001 E:5000 = in udp E:5001>a:5000"},
    {"hairpin of TCP", "'hairpin': 'external-source'",
	"out syn a:5000 S:1 = E:5000\n"
	"out syn b:2000 E:5000 = in tcp 02 E:2000>a:5000\n"
	"out synack a:5000 E:2000 = in tcp 12 E:5000>b:2000\n"
	"out ack b:2000 E:5000 = in tcp 10 E:2000>a:5000"},
};

static const struct nat_case limits[] = {
    {"limit, full: drop", "'limit': 2",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = E:5001\n"
	"out udp a:5002 S:1 = -\n"
	"out udp a:5000 S:1 = E:5000"},
    {"limit, full: evict the one not used for longest",
	"'limit': 2, 'on_full': 'evict-oldest'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = E:5001\n"
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5002 S:1 = E:5002\n"
	"in udp S:1 E:5001 = -\n"
	"in udp S:1 E:5000 = a:5000"},
    {"limit, full: switch to mappings for one remote each",
	"'limit': 2, 'on_full': 'switch-to-edm', 'ports': 'sequential', "
	"'ttl_single': 10, 'ttl_exchange': 10",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5001 S:1 = E:1025\n"
	"out udp b:5000 S:1 = E:1026\n"
	"out udp b:5000 T:1 = E:1027\n"
	"out udp b:5000 S:1 = E:1026\n"
	"out udp a:5000 T:1 = E:1024\n"
	"in udp T:1 E:1027 = b:5000\n"
	"wait 9\n"
	"out udp a:5000 S:1 = E:1024\n"
	"wait 2\n"
	"out udp b:5000 U:1 = E:1028\n"
	"out udp b:5000 U:2 = E:1028"},
    {"limit, full: those for one remote are found again",
	"'limit': 1, 'on_full': 'switch-to-edm', 'ports': 'sequential', "
	"'refresh_scope': 'session', 'ttl_single': 10",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp b:5000 S:1 = E:1025\n"
	"wait 5\n"
	"in udp T:1 E:1025 = b:5000\n"
	"wait 6\n"
	"out udp b:5000 S:1 = E:1025"},
    {"a dead mapping counts no more", "'limit': 1, 'ttl_single': 10",
	"out udp a:5000 S:1 = E:5000\n"
	"wait 9.999999\n"
	"out udp a:5001 S:1 = -\n"
	"wait 0.000001\n"
	"out udp a:5001 S:1 = E:5001"},
    {"host_limit", "'host_limit': 2",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = E:5001\n"
	"out udp a:5002 S:1 = -\n"
	"out udp b:5002 S:1 = E:5002"},
    {"degrade_after: EIM turns APDM, what there is stays",
	"'degrade_after': 2, 'ports': 'sequential', 'ttl_single': 10",
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5000 S:2 = E:1024\n"
	"out udp a:5001 S:1 = E:1025\n"
	"out udp a:5000 T:1 = E:1026\n"
	"out udp a:5000 T:2 = E:1027\n"
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5000 S:2 = E:1024\n"
	"wait 11\n"
	"out udp a:5000 S:1 = E:1028\n"
	"out udp a:5000 T:1 = E:1028"},
};

static const struct nat_case events[] = {
    {"reboot_at: all mappings are gone, once",
	"'ports': 'sequential', 'reboot_at': 10, 'speed': 2",
	"wait 3\n"
	"out udp a:5000 S:1 = E:1024\n"
	"out udp a:5001 S:1 = E:1025\n"
	"wait 1.999999\n"
	"in udp S:1 E:1024 = a:5000\n"
	"wait 0.000001\n"
	"in udp S:1 E:1024 = -\n"
	"out udp a:5001 S:1 = E:1024\n"
	"wait 7\n"
	"in udp S:1 E:1024 = a:5001"},
    {"reboot_at, set later, counts from then on", "'ports': 'sequential'",
	"out udp a:5000 S:1 = E:1024\n"
	"wait 100\n"
	"knobs 'reboot_at': 10\n"
	"wait 9.9\n"
	"knobs 'ttl_icmp': 7\n"
	"in udp S:1 E:1024 = a:5000\n"
	"wait 0.1\n"
	"in udp S:1 E:1024 = -\n"
	"out udp a:5000 S:1 = E:1024\n"
	"knobs 'reboot_at': 10\n"
	"wait 10\n"
	"in udp S:1 E:1024 = -"},
    {"reboot_at: not, if it is taken back",
	"'ports': 'sequential', 'reboot_at': 10",
	"out udp a:5000 S:1 = E:1024\n"
	"knobs 'reboot_at': 0\n"
	"wait 11\n"
	"in udp S:1 E:1024 = a:5000"},
    {"renumber_at: other external addresses",
	"'external': ['198.51.100.1', '198.51.100.2'], "
	"'pooling': 'round-robin', 'renumber_at': 10, "
	"'renumber_to': ['198.51.100.2']",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp a:5001 S:1 = F:5001\n"
	"wait 9.9\n"
	"in udp S:1 E:5000 = a:5000\n"
	"wait 0.1\n"
	"in udp S:1 E:5000 = -\n"
	"in udp S:1 F:5001 = a:5001\n"
	"out udp a:5000 S:1 = F:5000\n"
	"knobs 'ttl_icmp': 7\n"
	"out udp a:5002 S:1 = F:5002"},
};

static const struct nat_case unsolicited[] = {
    {"unsolicited drop", "'unsolicited': 'drop'", "in udp S:1 E:5000 = -"},
    {"unsolicited icmp-unreach",
	"'unsolicited': 'icmp-unreach', "
	"'filtering': '" APD "'",
	"in udp S:1 E:5000 = out icmp 3/3 E>S (udp S:1>E:5000)\n"
	"out udp a:5000 S:1 = E:5000\n"
	"in udp S:2 E:5000 = out icmp 3/3 E>S (udp S:2>E:5000)"},
    {"unsolicited create-state: the early packet poisons a Linux gateway",
	"'mapping': '" APD "', 'filtering': '" APD "', "
	"'overload': 'per-remote', 'ports_fallback': 'sequential', "
	"'unsolicited': 'create-state', 'ttl_single': 30",
	"out udp a:1500 S:1 = E:1500\n"
	"out udp a:1500 S:2 = E:1500\n"
	"in udp T:2 E:1500 = out icmp 3/3 E>T (udp T:2>E:1500)\n"
	"out udp a:1500 T:2 = E:1024\n"
	"out udp a:1500 T:1 = E:1500\n"
	"in udp T:2 E:1024 = a:1500\n"
	"in udp T:2 E:1500 = out icmp 3/3 E>T (udp T:2>E:1500)"},
    {"the gateway's own state ends like any",
	"'mapping': '" APD "', 'filtering': '" APD "', "
	"'overload': 'per-remote', 'ports_fallback': 'sequential', "
	"'unsolicited': 'create-state', 'ttl_single': 30, "
	"'ttl_exchange': 100",
	"in udp T:2 E:1500 = out icmp 3/3 E>T (udp T:2>E:1500)\n"
	"wait 30\n"
	"out udp a:1500 T:2 = E:1500"},
    {"a poisoned port of mapping " EI,
	"'filtering': '" APD "', 'unsolicited': 'create-state', "
	"'ports_fallback': 'sequential'",
	"out udp a:1500 S:1 = E:1500\n"
	"in udp T:1 E:1500 = out icmp 3/3 E>T (udp T:1>E:1500)\n"
	"out udp a:1500 T:1 = E:1024\n"
	"out udp a:1500 T:2 = E:1500\n"
	"out udp a:1500 T:1 = E:1024"},
    {"who sent first is not poisoned",
	"'filtering': '" APD "', 'unsolicited': 'create-state'",
	"out udp a:1500 T:1 = E:1500\n"
	"in udp T:1 E:1500 = a:1500\n"
	"out udp a:1500 T:1 = E:1500"},
};

static const struct nat_case six[] = {
    {"IPv6 is filtered, never translated", "'filtering': '" APD "'",
	"out udp a6:5000 S6:1 = a6:5000\n"
	"in udp S6:1 a6:5000 = a6:5000\n"
	"in udp S6:2 a6:5000 = -\n"
	"in udp S6:1 b6:5000 = -\n"
	"out ping a6:7 S6:7 = a6:7\n"
	"in pong S6:7 a6:7 = a6:7\n"
	"in ping S6:8 a6:8 = -\n"
	"out syn a6:1 S6:80 = a6:1\n"
	"in synack S6:80 a6:1 = a6:1\n"
	"in syn T6:80 a6:1 = -"},
    {"IPv6 filtering " AD, "'filtering': '" AD "'",
	"out udp a6:5000 S6:1 = a6:5000\n"
	"in udp S6:2 a6:5000 = a6:5000\n"
	"in udp T6:1 a6:5000 = -"},
    {"IPv6 filtering " EI, "'filtering': '" EI "'",
	"out udp a6:5000 S6:1 = a6:5000\n"
	"in udp T6:2 a6:5000 = a6:5000"},
    {"IPv6 lifetimes are those of IPv4",
	"'filtering': '" APD "', 'ttl_single': 5, 'ttl_exchange': 9",
	"out udp a6:5000 S6:1 = a6:5000\n"
	"wait 4.9\n"
	"in udp S6:1 a6:5000 = a6:5000\n"
	"wait 8.9\n"
	"in udp S6:1 a6:5000 = a6:5000\n"
	"wait 9\n"
	"in udp S6:1 a6:5000 = -"},
    {"IPv6 unsolicited is answered as prohibited",
	"'unsolicited': 'icmp-unreach', 'filtering': '" APD "'",
	"in udp S6:1 a6:5000 = out icmp 1/1 G6>S6 (udp S6:1>a6:5000)"},
};

int
main(void)
{
	nat_cases(mapping);
	nat_cases(filtering);
	nat_cases(ports);
	nat_cases(pools);
	nat_cases(hairpin);
	nat_cases(limits);
	nat_cases(events);
	nat_cases(unsolicited);
	nat_cases(six);
	return tap_done();
}
