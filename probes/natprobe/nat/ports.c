/* ports: see ports.h. PURE. */
#include "probes/natprobe/nat/ports.h"
#include "pure/cursor.h"

/* Each pool has a prime number of members, so that a step of any width goes
 * round all of them; the golden section's spreads those of any short time
 * evenly, and mixes odd with even ones. */
static const struct {
	uint16_t base, members, step, width;
} pools[PORTS_KINDS] = {
    [PORTS_ONE] = {PORTS_MIN, 27953, 17276, 1},
    [PORTS_ROWS] = {60728, 601, 371, PORTS_ROW},
};

static uint64_t
clock_of(enum ports_kind kind, int64_t unix_ms)
{
	return (uint64_t)unix_ms * pools[kind].members / PORTS_ROUND_MS;
}

/* Where that address begins: neighbours far from each other. */
static uint64_t
begin_of(enum ports_kind kind, const uint8_t ip[static 16])
{
	static const uint32_t golden = 2654435769; /* of 2^32 */
	struct rd r;

	rd_init(&r, ip + 12, 4);
	return (uint64_t)(uint32_t)(rd_u32(&r) * golden) *
	    pools[kind].members >>
	    32;
}

uint16_t
ports_draw(struct ports *p, enum ports_kind kind, int64_t unix_ms,
    const uint8_t ip[static 16])
{
	uint64_t at = clock_of(kind, unix_ms), n = pools[kind].members;

	if (at < p->next[kind])
		at = p->next[kind];
	p->next[kind] = at + 1;
	at = (at + begin_of(kind, ip)) % n * pools[kind].step % n;
	return (uint16_t)(pools[kind].base + at * pools[kind].width);
}

/* When the clock is there: clock_of, the other way. */
static int64_t
time_of(enum ports_kind kind, uint64_t at)
{
	uint64_t n = pools[kind].members;

	return (int64_t)(at / n * PORTS_ROUND_MS +
	    (at % n * PORTS_ROUND_MS + n - 1) / n);
}

/* A run that takes a row takes 50 ports besides, and is kept longer for them
 * than the clock stays at a row; so it is enough if the clock came to it. */
static uint64_t
end_of(const struct ports *p, enum ports_kind kind)
{
	uint64_t next = p->next[kind];

	return kind == PORTS_ROWS && next > 0 ? next - 1 : next;
}

int64_t
ports_ahead_ms(const struct ports *p, int64_t unix_ms)
{
	int64_t most = 0, ms;

	for (unsigned k = 0; k < PORTS_KINDS; k++) {
		ms =
		    time_of((enum ports_kind)k, end_of(p, (enum ports_kind)k)) -
		    unix_ms;
		most = ms > most ? ms : most;
	}
	return most;
}
