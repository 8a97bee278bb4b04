/*
 * replay_fuzz: any frames as a capture. Whatever they are, verdicts come out
 * of them, of a run that is over, and the result can be written.
 *
 * 0       1        3         5
 * | how   | ms     | n       | frame, n bytes | ms ...
 */
#include <stdlib.h>

#include "probes/natprobe/evidence/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int links[] = {
    FRAME_COOKED2, FRAME_ETHERNET, FRAME_RAW, FRAME_COOKED};

/* In memory of its own, so that a byte too far is seen. */
static void
give(struct replay *r, int link, const uint8_t *p, size_t n, int64_t at_us)
{
	uint8_t *own = malloc(n == 0 ? 1 : n);
	struct frame f;

	if (own == NULL)
		abort();
	if (n > 0)
		memcpy(own, p, n);
	frame_read(&f, link, own, n);
	if (f.n > n || (f.n > 0 && (f.p < own || f.p + f.n > own + n)))
		abort();
	if (at_us == 0)
		replay_look(r, &f);
	else
		replay_frame(r, &f, at_us);
	free(own);
}

static int64_t
give_all(struct replay *r, const uint8_t *data, size_t size, bool first)
{
	int64_t at_us = INT64_C(1700000000000000);
	struct rd in;
	size_t n;
	int link;

	rd_init(&in, data, size);
	link = links[rd_u8(&in) & 3];
	while (rd_left(&in) > 4) {
		at_us += (int64_t)rd_u16(&in) * 1000;
		n = rd_u16(&in);
		if (n > rd_left(&in))
			n = rd_left(&in);
		give(r, link, rd_bytes(&in, n), n, first ? 0 : at_us);
	}
	return at_us;
}

static void
check(const struct probe *p, bool over)
{
	static const struct targets no_names;
	json_t *o;

	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (!ask_over(&p->engine.asks[i]))
			abort();
	if (over && p->phase != PHASE_DONE)
		abort();
	o = result_family(p, &no_names);
	if (o == NULL)
		abort();
	json_decref(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct note note = {.ended = false};
	struct probe probes[2];
	bool used[2] = {false, false};
	struct replay r;

	if (size == 0)
		return 0;
	note.ended = (data[0] & 4) != 0;
	note.complete = (data[0] & 8) != 0;
	note.end_us = INT64_C(1800000000000000);
	note.tcp = (data[0] & 16) != 0;
	note.ttl_max_s = 60;
	note.ttl_resolution_s = 2;
	note.rate = 100;
	note.begin_us = INT64_C(1700000000000000);
	replay_init(&r, &note, probes, used);
	give_all(&r, data, size, true);
	if (!replay_begin(&r))
		return 0;
	give_all(&r, data, size, false);
	replay_end(&r);
	for (int v6 = 0; v6 < 2; v6++)
		if (used[v6]) {
			check(&probes[v6], replay_is_complete(&r));
			probe_clear(&probes[v6]);
		}
	replay_clear(&r);
	return 0;
}
