/*
 * note: what a capture says beside its packets, as JSON in comments of the
 * file: at its beginning how the run was set up, behind each SYN of a question
 * over TCP which one that is, at its end how it ended. PURE. Replay can do without: then it knows no names of servers, nor whether
 * the run was over when the file was.
 */
#ifndef NATPROBE_NOTE_H
#define NATPROBE_NOTE_H

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/tcp/calls.h"

#define NOTE_BUILDING_MAX 1024
#define NOTE_CALLS_MAX	  (2 * CALLS_MAX)

/* Which of the run's connections over TCP a SYN begins: it has no room for
 * that itself, and other parts of a run may connect to the same server. */
struct note_call {
	struct stun_addr local, to;
	uint16_t call; /* its index */
};

struct note {
	/* The first. */
	bool set_up; /* it is there */
	char building[NOTE_BUILDING_MAX];
	bool hairpin, refresh, lifetime;
	/* Since form 2; of 1 all is 0. */
	bool tcp, tcp_lifetime;
	uint16_t ttl_max_s, ttl_resolution_s, rate;
	int64_t begin_us; /* the clock of the packets, when questions began */
	uint8_t local_ips[2]; /* by family; 0: that family was not asked */
	struct targets targets;
	/* Those between. */
	struct note_call calls[NOTE_CALLS_MAX];
	size_t n_calls;
	/* The last. */
	bool ended; /* it is there */
	bool complete;
	int64_t end_us; /* the clock of the packets, at the end of the run */
	uint64_t dropped; /* packets that the kernel had no room for */
};

/* The caller frees it; NULL if memory is short. */
char *note_begin_text(const struct note *n);
char *note_call_text(const struct note_call *c);
char *note_end_text(const struct note *n);

/* Adds to n what the JSON text says. False, with n as it was, if it is none
 * of a note. */
bool note_read(struct note *n, const char *text, size_t len);

#endif
