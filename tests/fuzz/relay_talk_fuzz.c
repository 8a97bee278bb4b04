/* relay_talk_fuzz: a relay that says anything, in pieces. The client takes no
 * more than came, and what it sends fits. */
#include <stdlib.h>

#include "probes/natprobe/relay/talk.h"

static void
check(bool good)
{
	if (!good)
		abort();
}

/* Gives n bytes as one piece in memory of its own; returns what was used. */
static size_t
give(struct talk *t, const uint8_t *data, size_t n)
{
	uint8_t *p = malloc(n == 0 ? 1 : n);
	struct talk_event event;
	size_t at = 0, used;

	memcpy(p, data, n);
	do {
		used = talk_take(t, p + at, n - at, (struct mono){1}, &event);
		at += used;
		check(at <= n && t->out_n <= sizeof(t->out));
		if (event.kind != TALK_NOTHING)
			check(event.p >= p && event.p + event.n <= p + n);
	} while (used > 0);
	free(p);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {5};
	static const struct key priv = {{8, 1, [31] = 64}};
	char why[TALK_WHY_MAX] = "";
	size_t piece, at = 0, end = 0;
	struct talk t;

	if (n == 0)
		return 0;
	piece = data[0] == 0 ? n : data[0];
	data++;
	n--;
	(void)talk_portal("ts_x", data, n, why);
	talk_init(&t, "relay.example", &priv, nonce);
	/* The last bit of the first byte: begin after the handshake. */
	if (piece % 2 == 1)
		t.stage = TALK_OPEN;
	while (end < n) {
		end += piece < n - end ? piece : n - end;
		at += give(&t, data + at, end - at);
		t.out_n = 0;
	}
	check(t.stage != TALK_FAILED || t.why[0] != '\0');
	return 0;
}
