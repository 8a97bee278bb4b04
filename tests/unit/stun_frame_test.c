/* stun_frame: where messages of a stream end, however the stream is cut. */
#include "pure/stun.h"
#include "tests/tap.h"

#define MAX 1000

/* Binding request with SOFTWARE "abc", and a bare one. */
static const uint8_t stream[] = {0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4,
    5, 6, 7, 8, 9, 10, 11, 12, 0x80, 0x22, 0, 3, 'a', 'b', 'c', 0, 0, 1, 0, 0,
    0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13};

static void
test_cuts(void)
{
	size_t len, wrong = 0;

	for (size_t n = 0; n < 20; n++)
		wrong += stun_frame(stream, n, MAX, &len) != STUN_FRAME_PART ||
		    len != 20;
	eq_int(wrong, 0, "a part of a header: a header is needed");
	for (size_t n = 20; n < 28; n++)
		wrong += stun_frame(stream, n, MAX, &len) != STUN_FRAME_PART ||
		    len != 28;
	eq_int(wrong, 0, "a header: its length is needed");
	for (size_t n = 28; n <= sizeof(stream); n++)
		wrong += stun_frame(stream, n, MAX, &len) != STUN_FRAME_WHOLE ||
		    len != 28;
	eq_int(wrong, 0, "a message, whatever follows");
	eq_int(stun_frame(stream + 28, 20, MAX, &len), STUN_FRAME_WHOLE,
	    "and the next one");
	eq_int(len, 20, "which is bare");
}

/* Byte at of the stream is changed: wrong once n bytes are there. */
static void
test_wrong(size_t at, uint8_t byte, size_t n, const char *what)
{
	uint8_t s[sizeof(stream)];
	size_t len;

	memcpy(s, stream, sizeof(s));
	s[at] = byte;
	ok(stun_frame(s, n - 1, MAX, &len) == STUN_FRAME_PART &&
		stun_frame(s, n, MAX, &len) == STUN_FRAME_BAD &&
		stun_frame(s, sizeof(s), MAX, &len) == STUN_FRAME_BAD,
	    what);
}

int
main(void)
{
	size_t len;

	test_cuts();
	test_wrong(0, 'G', 1, "HTTP ends at its first byte");
	test_wrong(0, 0x80, 1, "RTP, too");
	test_wrong(3, 9, 4, "a length that is no multiple of 4, at the fourth");
	test_wrong(2, 4, 4, "one that is too long, too");
	test_wrong(4, 0, 8, "no cookie, at the eighth");
	eq_int(stun_frame(stream, sizeof(stream), 28, &len), STUN_FRAME_WHOLE,
	    "as long as may be");
	eq_int(stun_frame(stream, sizeof(stream), 24, &len), STUN_FRAME_BAD,
	    "longer");
	return tap_done();
}
