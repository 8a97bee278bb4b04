/*
 * reading: a result of natprobe (docs/natprobe.md), read back from its JSON.
 * PURE. It came from somebody else's machine, so nothing of it is believed:
 * what is not as documented is refused, and names are made fit to print.
 */
#ifndef NATPROBE_READING_H
#define NATPROBE_READING_H

#include <stddef.h>

#include "probes/natprobe/path/mtu.h"
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
	double rtt_ms; /* 0: does not answer */
};

struct reading_relay {
	char name[READING_NAME_MAX + 1];
	bool works;
	unsigned sent, lost; /* 0: not measured */
	double p50_ms, p95_ms, jitter_ms;
};

/* Of "path", and what of a family goes with it. All zero: not looked at. */
struct reading_path {
	struct mtu_verdict mtu;
	enum reach_verdict blocked;
	enum answer alg;
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
	bool dns_rewritten;
};

/* False if text is no such result; error says in one line what is wrong. */
bool reading_parse(struct reading *r, const char *text, size_t n,
    char error[static READING_ERROR_MAX]);

/* Copies what can be shown: no control characters, and none that change the
 * direction of writing; at most cap - 1 bytes, ending with a whole character.
 * s must be UTF-8. */
void reading_name(char *to, size_t cap, const char *s);

#endif
