/*
 * reading: a result of natprobe (docs/natprobe.md), read back from its JSON.
 * PURE. It came from somebody else's machine, so nothing of it is believed:
 * what is not as documented is refused, and names are made fit to print.
 */
#ifndef NATPROBE_READING_H
#define NATPROBE_READING_H

#include <stddef.h>

#include "probes/natprobe/gateway/hops.h"
#include "probes/natprobe/path/dns.h"
#include "probes/natprobe/path/mtu.h"
#include "probes/natprobe/path/proxy.h"
#include "probes/natprobe/path/reach.h"
#include "probes/natprobe/tcp/verdict.h"
#include "probes/natprobe/views/predict.h"

#define READING_BYTES_MAX   (1 << 20)
#define READING_NAME_MAX    80
#define READING_ERROR_MAX   256
#define READING_SERVERS_MAX 16 /* over both families */
#define READING_RELAYS_MAX  512

struct reading_server {
	char name[READING_NAME_MAX + 1];
	bool v6, answers;
	bool rewritten; /* its answers, on the way */
	double rtt_ms; /* 0: does not answer */
};

struct reading_relay {
	char name[READING_NAME_MAX + 1];
	bool works;
	unsigned sent, lost; /* 0: not measured */
	double p50_ms, p95_ms, jitter_ms;
	enum answer portal; /* one answers in its place */
};

/* Of "path", and what of a family goes with it. All zero: not looked at. */
struct reading_path {
	bool has_mtu; /* and fragments */
	struct mtu_verdict mtu; /* its texts are static; "": none */
	enum reach_verdict blocked;
	bool maybe_portal; /* nothing but TCP port 80 answers */
	enum answer alg;
	/* The way to the servers. */
	bool has_way;
	enum answer icmp; /* errors come from beyond the first router */
	unsigned closed_said; /* "port unreachable" among them */
};

/* Protocols by which a router hands out ports. */
enum port_protocol { PORT_PCP, PORT_NATPMP, PORT_UPNP, PORT_PROTOCOLS };
struct reading_router {
	bool asked, found;
	enum answer speaks[PORT_PROTOCOLS];
	bool has_nats;
	struct verdict_nats nats; /* without evidence */
};

struct reading_dns {
	bool asked;
	enum dns_word nonexistent;
	bool differs; /* a relay's address from the map's */
};

struct reading_proxy {
	bool asked;
	bool set, http_only; /* https_proxy; http_proxy alone */
	bool credentials; /* it has some */
	enum answer wpad, needed; /* of any relay */
	/* Of the relays that were tried by it, the worst. */
	enum proxy_word word;
};

struct reading {
	char building[READING_NAME_MAX + 1]; /* "": it was not said */
	char time[sizeof("2026-11-22T21:50:06Z")];
	bool complete;
	struct site site;
	bool has_tcp[2]; /* files of before have none */
	struct verdict_tcp tcp[2];
	struct reading_server servers[READING_SERVERS_MAX];
	size_t n_servers;
	struct reading_relay relays[READING_RELAYS_MAX];
	size_t n_relays;
	struct reading_path path[2]; /* IPv4, IPv6 */
	struct reading_router router[2];
	struct reading_dns dns;
	struct reading_proxy proxy;
};

/* False if text is no such result; error says in one line what is wrong. */
bool reading_parse(struct reading *r, const char *text, size_t n,
    char error[static READING_ERROR_MAX]);

/* Copies what can be shown: no control characters, and none that change the
 * direction of writing; at most cap - 1 bytes, ending with a whole character.
 * s must be UTF-8. */
void reading_name(char *to, size_t cap, const char *s);

#endif
