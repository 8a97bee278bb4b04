/*
 * derp_session_fuzz: a connection's stream, from the HTTP head to the last
 * frame, told whole and told in pieces: the events must be the same.
 *
 *     | cuts, 8 bytes | stream ...
 *
 * Each cut is the length of a piece, used again and again; 0 stands for all
 * the rest. A stream cannot be guessed past the box, so the bytes
 *
 *     ff 'I' n
 *
 * in it stand for a ClientInfo that seals the next n bytes, and ff 'K' for a
 * good one with nothing to choose.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/derp_vectors.h"
#include "tests/unit/session_drive.h"

#define CUTS	   8
#define STREAM_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t stream[STREAM_MAX];
static size_t nstream;

static void
put(const void *p, size_t n)
{
	if (n <= STREAM_MAX - nstream) {
		memcpy(stream + nstream, p, n);
		nstream += n;
	}
}

static void
put_info(const void *text, size_t n)
{
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {1, 2, 3};
	static struct derpbox box;
	static bool ready;
	uint8_t frame[DERP_HEADER_LEN + KEY_LEN + DERPBOX_OVERHEAD + 256];
	struct wr w;
	uint8_t *sealed;

	if (!ready && !derpbox_init(&box, &server_pub, &client_priv))
		abort();
	ready = true;
	wr_init(&w, frame, sizeof(frame));
	derp_write_header(
	    &w, DERP_CLIENT_INFO, (uint32_t)(KEY_LEN + DERPBOX_OVERHEAD + n));
	wr_bytes(&w, client_pub.b, KEY_LEN);
	if ((sealed = wr_room(&w, DERPBOX_OVERHEAD + n)) == NULL)
		abort();
	derpbox_seal(&box, sealed, text, n, nonce);
	put(frame, wr_len(&w));
}

/* The input with its marks replaced. */
static void
build(const uint8_t *p, size_t n)
{
	size_t at = 0, len;

	nstream = 0;
	while (at < n) {
		if (n - at >= 3 && p[at] == 0xff && p[at + 1] == 'I') {
			len = p[at + 2];
			at += 3;
			len = len < n - at ? len : n - at;
			put_info(p + at, len);
			at += len;
		} else if (n - at >= 2 && p[at] == 0xff && p[at + 1] == 'K') {
			put(go_client_info, sizeof(go_client_info));
			at += 2;
		} else
			put(p + at++, 1);
	}
}

static void
feed(struct drive *d, const uint8_t *cuts)
{
	size_t at = 0, i = 0, n;

	drive_init(d, true, &server_priv);
	while (at < nstream && d->breach == NULL) {
		n = cuts == NULL ? 0 : cuts[i++ % CUTS];
		/* The last one is long: to get through a long stream. */
		if (i % CUTS == 0)
			n *= 16;
		if (n == 0 || n > nstream - at)
			n = nstream - at;
		drive_feed(d, stream + at, n);
		at += n;
	}
	if (d->breach != NULL || d->used + d->nrest != nstream)
		abort();
}

/* No order of events but those of session.h's picture. */
static void
check_order(const struct drive *d)
{
	enum session_state state = SESSION_HTTP;

	for (size_t i = 0; i < d->nheard && i < HEARD_MAX; i++) {
		enum session_event e = d->heard[i].event;

		switch (state) {
		case SESSION_HTTP:
			if (e == SESSION_UPGRADE)
				state = SESSION_INFO;
			else if (e != SESSION_REQUEST && e != SESSION_BAD)
				abort();
			break;
		case SESSION_INFO:
			if (e == SESSION_HELLO)
				state = SESSION_FRAMES;
			else if (e != SESSION_BAD)
				abort();
			break;
		case SESSION_FRAMES:
			if (e != SESSION_FRAME && e != SESSION_SKIPPED &&
			    e != SESSION_BAD)
				abort();
			break;
		case SESSION_DRAIN:
			abort();
		}
		if (e == SESSION_BAD)
			state = SESSION_DRAIN;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct drive whole, cut;

	if (size < CUTS)
		return 0;
	build(data + CUTS, size - CUTS);
	feed(&whole, NULL);
	feed(&cut, data);
	if (!drive_same(&whole, &cut))
		abort();
	check_order(&whole);
	drive_clear(&whole);
	drive_clear(&cut);
	return 0;
}
