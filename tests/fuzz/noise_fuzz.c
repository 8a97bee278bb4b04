/*
 * noise_fuzz: any bytes as a client's first message; and a stream of records,
 * told whole and told in pieces: what opens must be the same.
 *
 *     | 0 | first message, 101 bytes; a short one ends in zeros
 *     | other | cuts, 8 bytes | stream ...
 *
 * Each cut is the length of a piece, used again and again; 0 stands for all
 * the rest. No tag can be guessed, so the bytes
 *
 *     ff n u16
 *
 * in the stream stand for a good record of the next n bytes, modulo one more
 * than a record may hold, and with zeros for those that are missing.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pure/cursor.h"
#include "pure/noise.h"
#include "tests/unit/noise_vectors.h"

#define CUTS	   8
#define STREAM_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t stream[STREAM_MAX];
static size_t nstream;
static uint64_t good_records; /* those before the first byte of another kind */

struct heard {
	struct noise n;
	uint64_t hash; /* of all texts and their lengths */
	uint64_t end; /* where in the stream the last record ended */
	bool bad;
};

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
fuzz_handshake(const uint8_t *p, size_t n)
{
	uint8_t init[NOISE_INIT_LEN] = {0}, response[NOISE_RESPONSE_LEN];
	struct key machine;
	struct noise noise;
	uint16_t version;
	bool good;

	memcpy(init, p, n < sizeof(init) ? n : sizeof(init));
	good = noise_accept(&noise, &go_server_priv, &go_server_pub,
	    &go_server_ephemeral, init, response, &machine, &version);
	must(good == !key_is_zero(&machine));
	must(good == !key_is_zero(&noise.send_key));
	must(good == !key_is_zero(&noise.receive_key));
	must(noise.sent == 0 && noise.received == 0);
	must(version == (init[0] << 8 | init[1]));
}

static void
put_record(struct noise *sender, const uint8_t *p, size_t n, size_t len)
{
	uint8_t plain[NOISE_PLAIN_MAX] = {0};

	if (STREAM_MAX - nstream < NOISE_RECORD_MAX)
		return;
	memcpy(plain, p, n);
	nstream += noise_seal(sender, plain, len, stream + nstream);
}

/* The input with its marks replaced. */
static void
build(const uint8_t *p, size_t n)
{
	struct noise sender = {.send_key = go_to_server_key};
	bool broken = false;
	struct rd r;
	size_t len, have;

	nstream = 0;
	good_records = 0;
	rd_init(&r, p, n);
	while (rd_left(&r) > 0) {
		if (rd_left(&r) >= 3 && r.p[0] == 0xff) {
			rd_skip(&r, 1);
			len = rd_u16(&r) % (NOISE_PLAIN_MAX + 1);
			have = len < rd_left(&r) ? len : rd_left(&r);
			put_record(&sender, rd_bytes(&r, have), have, len);
			if (!broken)
				good_records = sender.sent;
		} else if (nstream < STREAM_MAX) {
			stream[nstream++] = rd_u8(&r);
			broken = true;
		} else
			break;
	}
}

static void
hash_more(uint64_t *hash, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		*hash = (*hash ^ b[i]) * 0x100000001b3;
}

/* Opens what is complete of the n bytes at p; returns how many are used. */
static size_t
open_all(struct heard *h, uint8_t *p, size_t n)
{
	size_t at = 0, used, need, len;
	enum noise_record result;
	uint8_t *plain;

	while ((result = noise_open(&h->n, p + at, n - at, &plain, &len, &used,
		    &need)) == NOISE_RECORD_OK) {
		must(used <= n - at && plain >= p + at &&
		    plain + len <= p + at + used);
		hash_more(&h->hash, &len, sizeof(len));
		hash_more(&h->hash, plain, len);
		at += used;
		h->end += used;
	}
	if (result == NOISE_RECORD_PART)
		must(need > n - at && need <= NOISE_RECORD_MAX);
	h->bad = result == NOISE_RECORD_BAD;
	return at;
}

static void
feed(struct heard *h, const uint8_t *cuts)
{
	static uint8_t buf[STREAM_MAX];
	size_t at = 0, from = 0, i = 0, n;

	memset(h, 0, sizeof(*h));
	h->n.receive_key = go_to_server_key;
	memcpy(buf, stream, nstream);
	while (at < nstream && !h->bad) {
		n = cuts == NULL ? 0 : cuts[i++ % CUTS];
		/* The last one is long: to get through a long stream. */
		if (i % CUTS == 0)
			n *= 16;
		if (n == 0 || n > nstream - at)
			n = nstream - at;
		at += n;
		from += open_all(h, buf + from, at - from);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct heard whole, cut;

	must(sodium_init() != -1);
	if (size == 0)
		return 0;
	if (data[0] == 0) {
		fuzz_handshake(data + 1, size - 1);
		return 0;
	}
	if (size < 1 + CUTS)
		return 0;
	build(data + 1 + CUTS, size - 1 - CUTS);
	feed(&whole, NULL);
	feed(&cut, data + 1);
	must(whole.hash == cut.hash && whole.end == cut.end &&
	    whole.bad == cut.bad && whole.n.received == cut.n.received);
	must(whole.n.received == good_records);
	return 0;
}
