/* row: a row of packets and pings at a fixed pace, and what their times
 * say. PURE. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/relay/talk.h"

void
row_init(struct row *r, const uint8_t cookie[static 4], struct mono now)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->cookie, cookie, sizeof(r->cookie));
	r->begun = now;
	for (size_t i = 0; i < ROW_PACKETS; i++)
		r->packet_us[i] = -1;
	for (size_t i = 0; i < ROW_PINGS; i++)
		r->ping_us[i] = -1;
}

static struct mono
packet_due(const struct row *r)
{
	return mono_add_us(r->begun, r->packets * ROW_EVERY_US);
}

/* Pings go between the packets, as far apart as the row allows. */
static struct mono
ping_due(const struct row *r)
{
	return mono_add_us(r->begun,
	    r->pings * (ROW_EVERY_US * ROW_PACKETS / ROW_PINGS) +
		ROW_EVERY_US / 2);
}

/* | cookie 4 | number 4 | zeros |; a ping has no more than the first eight. */
static void
write_mark(const struct row *r, uint8_t *out, size_t n, uint32_t number)
{
	struct wr w;

	memset(out, 0, n);
	wr_init(&w, out, n);
	wr_bytes(&w, r->cookie, sizeof(r->cookie));
	wr_u32(&w, number);
}

static bool
read_mark(const struct row *r, const uint8_t *p, size_t n, uint32_t *number)
{
	const uint8_t *cookie;
	struct rd in;

	rd_init(&in, p, n);
	cookie = rd_bytes(&in, sizeof(r->cookie));
	*number = rd_u32(&in);
	return !in.bad && memcmp(cookie, r->cookie, sizeof(r->cookie)) == 0;
}

bool
row_is_due(const struct row *r, struct mono now)
{
	return (r->packets < ROW_PACKETS && mono_reached(packet_due(r), now)) ||
	    (r->pings < ROW_PINGS && mono_reached(ping_due(r), now));
}

bool
row_packet(struct row *r, uint8_t out[static ROW_PACKET_LEN], struct mono now)
{
	if (r->packets == ROW_PACKETS || !mono_reached(packet_due(r), now))
		return false;
	write_mark(r, out, ROW_PACKET_LEN, r->packets);
	r->packet_at[r->packets++] = now;
	return true;
}

bool
row_ping(struct row *r, uint8_t out[static DERP_PING_LEN], struct mono now)
{
	if (r->pings == ROW_PINGS || !mono_reached(ping_due(r), now))
		return false;
	write_mark(r, out, DERP_PING_LEN, r->pings);
	r->ping_at[r->pings++] = now;
	return true;
}

void
row_packet_came(struct row *r, const uint8_t *p, size_t n, struct mono now)
{
	uint32_t i;

	if (n == ROW_PACKET_LEN && read_mark(r, p, n, &i) && i < r->packets &&
	    r->packet_us[i] == -1)
		r->packet_us[i] = mono_diff_us(r->packet_at[i], now);
}

void
row_pong_came(struct row *r, const uint8_t *p, size_t n, struct mono now)
{
	uint32_t i;

	if (n == DERP_PING_LEN && read_mark(r, p, n, &i) && i < r->pings &&
	    r->ping_us[i] == -1)
		r->ping_us[i] = mono_diff_us(r->ping_at[i], now);
}

static bool
all_back(const int64_t *us, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (us[i] == -1)
			return false;
	return true;
}

struct mono
row_wake(const struct row *r, struct mono now)
{
	struct mono at = MONO_NEVER, last;

	if (r->packets < ROW_PACKETS)
		at = packet_due(r);
	if (r->pings < ROW_PINGS)
		at = mono_earlier(at, ping_due(r));
	if (mono_is_set(at))
		return at;
	last = r->packet_at[ROW_PACKETS - 1];
	if (mono_diff_us(last, r->ping_at[ROW_PINGS - 1]) > 0)
		last = r->ping_at[ROW_PINGS - 1];
	at = mono_add_us(last, ROW_WAIT_US);
	if (mono_reached(at, now) ||
	    (all_back(r->packet_us, ROW_PACKETS) &&
		all_back(r->ping_us, ROW_PINGS)))
		return MONO_NEVER;
	return at;
}

/* ---- sums ---- */

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t
percentile(const int64_t *sorted, size_t n, unsigned percent)
{
	size_t rank = (n * percent + 99) / 100;

	return sorted[rank == 0 ? 0 : rank - 1];
}

static struct row_sum
sum_of(const int64_t *us, unsigned sent)
{
	struct row_sum s = {
	    .sent = sent, .p50_us = -1, .p95_us = -1, .jitter_us = -1};
	int64_t came[ROW_PACKETS], changes = 0;
	size_t n = 0;

	for (unsigned i = 0; i < sent; i++)
		if (us[i] != -1)
			came[n++] = us[i];
	s.lost = sent - (unsigned)n;
	for (size_t i = 1; i < n; i++)
		changes += llabs(came[i] - came[i - 1]);
	if (n > 1)
		s.jitter_us = changes / (int64_t)(n - 1);
	if (n == 0)
		return s;
	qsort(came, n, sizeof(came[0]), by_size);
	s.p50_us = percentile(came, n, 50);
	s.p95_us = percentile(came, n, 95);
	return s;
}

struct row_sum
row_sum_packets(const struct row *r)
{
	return sum_of(r->packet_us, r->packets);
}

struct row_sum
row_sum_pings(const struct row *r)
{
	_Static_assert(ROW_PINGS <= ROW_PACKETS, "room in sum_of");
	return sum_of(r->ping_us, r->pings);
}
