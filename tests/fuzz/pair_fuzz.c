/*
 * pair_fuzz: datagrams to a host whose partner is up. The input is a list of
 *
 *     | how u8 | length u8 | bytes ... |
 *
 * how, modulo 4: 0 a datagram of these bytes; 1 these bytes sealed by the
 * partner as the text of its next datagram, which only somebody with the key
 * can send; 2 the last datagram of the partner with one byte changed, at the
 * place and by the value of the first two bytes; 3 time goes on, by the first
 * byte in tenths of a second.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pure/cursor.h"
#include "stund/pair.h"

#define HEADER_LEN 44
#define TAG_LEN	   16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pair host, partner;
static struct mono now;
static uint8_t last[PAIR_DATAGRAM_MAX];
static size_t n_last;

static void
must(bool good)
{
	if (!good)
		abort();
}

static enum pair_verdict
give(struct pair *to, const uint8_t *p, size_t n)
{
	struct pair_request q = {0};
	enum pair_verdict v = pair_receive(to, p, n, now, &q);

	if (v == PAIR_GOT_REQUEST)
		must(q.from <= 1 && q.came_to <= 1 && q.to_port != 0 &&
		    q.client.port != 0);
	return v;
}

/* What one host has to say reaches the other; it comes to an end. */
static void
talk(void)
{
	struct pair *from = &host, *to = &partner, *other;
	uint8_t out[PAIR_DATAGRAM_MAX];
	unsigned quiet = 0, said = 0;
	size_t n;

	while (quiet < 2) {
		quiet++;
		while ((n = pair_poll(from, now, out)) > 0) {
			must(n <= sizeof(out) && ++said < 50);
			give(to, out, n);
			quiet = 0;
		}
		other = from;
		from = to;
		to = other;
	}
}

static void
begin(void)
{
	static const struct key shared = {{7}};
	static const struct pair_site sites[2] = {
	    {{true, true}, {{1}, {2}}, {3478, 3479}},
	    {{true, true}, {{3}, {4}}, {3478, 3479}},
	};
	uint8_t seeds[2][PAIR_SEED_LEN] = {{1}, {2}};

	now = (struct mono){1000000};
	n_last = 0;
	pair_init(&host, &shared, seeds[0], &sites[0]);
	pair_init(&partner, &shared, seeds[1], &sites[1]);
	talk();
	must(pair_state(&host, now) == PAIR_UP);
}

/* As pair.c seals, with any text. */
static void
say(const uint8_t *plain, size_t n)
{
	uint8_t nonce[12] = {0};
	struct wr w;

	if (n > PAIR_DATAGRAM_MAX - HEADER_LEN - TAG_LEN)
		n = PAIR_DATAGRAM_MAX - HEADER_LEN - TAG_LEN;
	wr_init(&w, last, sizeof(last));
	wr_bytes(&w, "cn\1\2", 4);
	wr_bytes(&w, partner.session.mine.b, PAIR_ID_LEN);
	wr_bytes(&w, partner.session.theirs.b, PAIR_ID_LEN);
	wr_u64(&w, ++partner.sent);
	memcpy(nonce + 4, last + HEADER_LEN - 8, 8);
	crypto_aead_chacha20poly1305_ietf_encrypt(last + HEADER_LEN, NULL,
	    plain, n, last, HEADER_LEN, NULL, nonce, partner.session.send.b);
	n_last = HEADER_LEN + n + TAG_LEN;
	must(give(&host, last, n_last) != PAIR_FORGED);
	must(give(&host, last, n_last) == PAIR_REPLAYED);
}

static void
change(const uint8_t *p, size_t n)
{
	uint8_t d[PAIR_DATAGRAM_MAX];

	if (n < 2 || n_last == 0 || p[1] == 0)
		return;
	memcpy(d, last, n_last);
	d[p[0] % n_last] ^= p[1];
	must(give(&host, d, n_last) >= PAIR_FOREIGN);
}

static void
step(uint8_t how, const uint8_t *p, size_t n)
{
	switch (how % 4) {
	case 0:
		must(give(&host, p, n) >= PAIR_FOREIGN);
		break;
	case 1:
		say(p, n);
		break;
	case 2:
		change(p, n);
		break;
	default:
		now = mono_add_us(now, n > 0 ? p[0] * INT64_C(100000) : 0);
	}
	talk();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r;
	uint8_t how;
	size_t n;

	must(sodium_init() != -1);
	begin();
	rd_init(&r, data, size);
	while (rd_left(&r) >= 2) {
		how = rd_u8(&r);
		n = rd_u8(&r);
		if (n > rd_left(&r))
			n = rd_left(&r);
		step(how, rd_bytes(&r, n), n);
	}
	/* Whatever was said: the two find each other again. */
	now = mono_add_us(now, 2 * PAIR_PING_US);
	talk();
	must(pair_state(&host, now) != PAIR_DOWN);
	return 0;
}
