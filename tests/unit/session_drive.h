/*
 * session_drive: a session fed from a stream that is cut into pieces, as
 * lib/run/io feeds it; what it says is kept in a form that can be compared.
 * Breaches of the contract in session.h are counted. For the unit test and
 * the fuzzer.
 */
#ifndef TESTS_UNIT_SESSION_DRIVE_H
#define TESTS_UNIT_SESSION_DRIVE_H

#include <stdlib.h>
#include <string.h>

#include "relayd/session.h"

#define HEARD_MAX 4096

/* One event: what it was, where in the stream it ended, and of what it told. */
struct heard {
	enum session_event event;
	uint64_t end;
	uint64_t hash;
};

struct drive {
	struct session session;
	const struct key *priv;
	uint8_t *rest; /* bytes that wait for more */
	size_t nrest, want;
	uint64_t used; /* bytes of the stream */
	struct heard heard[HEARD_MAX];
	size_t nheard; /* those beyond HEARD_MAX are only counted */
	const char *breach; /* the first one, NULL: none */
	struct session_step step; /* of the last event that was none of MORE */
	const char *why; /* the last event was BAD; "" if not */
	char path[64]; /* of the last request */
};

static inline void
drive_init(struct drive *d, bool derp, const struct key *priv)
{
	memset(d, 0, offsetof(struct drive, heard));
	d->nheard = 0;
	d->breach = NULL;
	d->why = "";
	d->priv = priv;
	session_init(&d->session, derp);
}

static inline void
drive_clear(struct drive *d)
{
	free(d->rest);
	d->rest = NULL;
}

static inline void
drive_breach(struct drive *d, bool good, const char *what)
{
	if (!good && d->breach == NULL)
		d->breach = what;
}

/* FNV-1a. */
static inline void
drive_hash(uint64_t *h, const void *p, size_t n)
{
	for (const uint8_t *b = p; n > 0; n--)
		*h = (*h ^ *b++) * 0x100000001b3u;
	*h = (*h ^ 0xff) * 0x100000001b3u;
}

#define DRIVE_HASH(h, field) drive_hash((h), &(field), sizeof(field))

static inline void
drive_span(
    struct drive *d, uint64_t *h, struct span s, const uint8_t *p, size_t n)
{
	const uint8_t *b = (const uint8_t *)s.p;

	/* A target without a path is given a constant one. */
	if (s.n > 0 && !span_is(s, "/") &&
	    (b < p || b > p + n || s.n > (size_t)(p + n - b)))
		drive_breach(d, false, "a span lies outside of the bytes");
	else
		drive_hash(h, b, s.n);
}

static inline void
drive_request(struct drive *d, uint64_t *h, const struct session_step *step,
    const uint8_t *p)
{
	const struct http1_request *req = &step->request;
	size_t n = step->used;

	drive_span(d, h, req->method, p, n);
	drive_span(d, h, req->path, p, n);
	drive_span(d, h, req->query, p, n);
	for (size_t i = 0; i < req->nfields; i++) {
		drive_span(d, h, req->fields[i].name, p, n);
		drive_span(d, h, req->fields[i].value, p, n);
	}
	DRIVE_HASH(h, req->minor);
	DRIVE_HASH(h, req->nfields);
	DRIVE_HASH(h, req->keep_alive);
	DRIVE_HASH(h, req->has_body);
	n = req->path.n < sizeof(d->path) ? req->path.n : sizeof(d->path) - 1;
	if (d->breach == NULL)
		memcpy(d->path, req->path.p, n);
	d->path[n] = '\0';
}

static inline void
drive_frame(struct drive *d, uint64_t *h, const struct session_step *step,
    const uint8_t *p)
{
	size_t len = DERP_HEADER_LEN + (size_t)step->header.len;

	if (step->frame < p || step->used < len ||
	    step->frame + len != p + step->used)
		drive_breach(
		    d, false, "a frame is not the end of what is used");
	else
		drive_hash(h, step->frame, len);
}

static inline uint64_t
drive_contents(struct drive *d, enum session_event event,
    const struct session_step *step, const uint8_t *p)
{
	uint64_t h = 0xcbf29ce484222325u;

	switch (event) {
	case SESSION_UPGRADE:
		DRIVE_HASH(&h, step->fast_start);
		DRIVE_HASH(&h, step->not_ideal);
		drive_request(d, &h, step, p);
		break;
	case SESSION_REQUEST:
		drive_request(d, &h, step, p);
		break;
	case SESSION_HELLO:
		DRIVE_HASH(&h, step->key);
		DRIVE_HASH(&h, step->box);
		DRIVE_HASH(&h, step->info.version);
		DRIVE_HASH(&h, step->info.can_ack_pings);
		DRIVE_HASH(&h, step->info.is_prober);
		DRIVE_HASH(&h, step->info.has_mesh_key);
		DRIVE_HASH(&h, step->info.mesh_key);
		break;
	case SESSION_FRAME:
		drive_frame(d, &h, step, p);
		break;
	case SESSION_SKIPPED:
		DRIVE_HASH(&h, step->header.type);
		DRIVE_HASH(&h, step->header.len);
		break;
	case SESSION_BAD:
		drive_breach(d, step->why != NULL, "no reason is given");
		if (step->why != NULL)
			drive_hash(&h, step->why, strlen(step->why));
		DRIVE_HASH(&h, step->status);
		break;
	case SESSION_MORE:
		break;
	}
	return h;
}

static inline void
drive_event(struct drive *d, enum session_event event,
    const struct session_step *step, const uint8_t *p, size_t n)
{
	struct heard *heard = &d->heard[d->nheard];

	drive_breach(d, step->used <= n, "more is used than there is");
	if (event == SESSION_MORE) {
		drive_breach(d, step->want == 0 || step->want > n - step->used,
		    "what is wanted is there already");
		return;
	}
	drive_breach(d, step->used > 0 || event == SESSION_BAD,
	    "an event that uses nothing");
	d->step = *step;
	d->why = event == SESSION_BAD ? step->why : "";
	if (d->nheard++ >= HEARD_MAX)
		return;
	heard->event = event;
	heard->end = d->used + step->used;
	heard->hash = drive_contents(d, event, step, p);
	/* What client.c does with it. */
	if (event == SESSION_REQUEST &&
	    (!step->request.keep_alive || step->request.has_body))
		session_drain(&d->session);
}

/* The next piece. The session sees it in memory of its exact size. */
static inline void
drive_feed(struct drive *d, const uint8_t *piece, size_t npiece)
{
	size_t n = d->nrest + npiece, used = 0;
	uint8_t *p = malloc(n == 0 ? 1 : n);
	enum session_event event;
	struct session_step step;

	if (d->nrest > 0)
		memcpy(p, d->rest, d->nrest);
	if (npiece > 0)
		memcpy(p + d->nrest, piece, npiece);
	free(d->rest);
	d->rest = p;
	d->nrest = n;
	/* io does not ask before that many are there. */
	if (n < d->want || n == 0)
		return;
	do {
		/* Nothing of the step before may be taken for the new one. */
		memset(&step, 0xa5, sizeof(step));
		event = session_next(
		    &d->session, d->priv, p + used, n - used, &step);
		drive_event(d, event, &step, p + used, n - used);
		if (d->breach != NULL)
			return;
		used += step.used;
		d->used += step.used;
	} while (event != SESSION_MORE);
	d->want = used < n ? step.want : 0;
	d->nrest = n - used;
	d->rest = malloc(d->nrest == 0 ? 1 : d->nrest);
	memcpy(d->rest, p + used, d->nrest);
	free(p);
}

static inline bool
drive_same(const struct drive *a, const struct drive *b)
{
	size_t n = a->nheard < HEARD_MAX ? a->nheard : HEARD_MAX;

	if (a->nheard != b->nheard || a->used != b->used ||
	    a->session.state != b->session.state)
		return false;
	for (size_t i = 0; i < n; i++)
		if (a->heard[i].event != b->heard[i].event ||
		    a->heard[i].end != b->heard[i].end ||
		    a->heard[i].hash != b->heard[i].hash)
			return false;
	return true;
}

#endif
