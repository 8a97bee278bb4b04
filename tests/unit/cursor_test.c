/* cursor: integers, the sticky error, sub-readers, patching. */
#include "pure/cursor.h"
#include "tests/tap.h"

static const uint8_t bytes[16] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
    0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10};

static void
test_read_integers(void)
{
	struct rd r;

	rd_init(&r, bytes, sizeof(bytes));
	eq_int(rd_u8(&r), 0x01, "u8");
	eq_int(rd_u16(&r), 0x0203, "u16 is big-endian");
	eq_int(rd_u32(&r), 0x04050607, "u32");
	eq_int((int64_t)rd_u64(&r), 0x08090a0b0c0d0e0f, "u64");
	eq_int((int64_t)rd_left(&r), 1, "one byte is left");
	ok(!r.bad, "nothing went wrong");
}

/* Each reading call with one byte too few: bad, zero, and bad for ever. */
static void
test_short_reads(void)
{
	static const struct {
		const char *what;
		size_t need;
	} rows[] = {{"short u8", 1}, {"short u16", 2}, {"short u32", 4},
	    {"short u64", 8}, {"short bytes", 5}, {"short copy", 5},
	    {"short skip", 5}, {"short sub", 5}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t copy[5] = {1, 1, 1, 1, 1};
		uint64_t got = 0;
		struct rd r, sub;

		rd_init(&r, bytes, rows[i].need - 1);
		switch (i) {
		case 0:
			got = rd_u8(&r);
			break;
		case 1:
			got = rd_u16(&r);
			break;
		case 2:
			got = rd_u32(&r);
			break;
		case 3:
			got = rd_u64(&r);
			break;
		case 4:
			got = rd_bytes(&r, 5) != NULL;
			break;
		case 5:
			rd_copy(&r, copy, 5);
			got = copy[0] | copy[4];
			break;
		case 6:
			rd_skip(&r, 5);
			break;
		case 7:
			sub = rd_sub(&r, 5);
			got = !sub.bad + rd_left(&sub);
			break;
		}
		ok(r.bad && got == 0 && rd_left(&r) == 0, rows[i].what);
		rd_init(&r, bytes, sizeof(bytes));
		r.bad = true;
		ok(rd_u8(&r) == 0 && rd_bytes(&r, 0) == NULL,
		    "a bad reader yields nothing more");
	}
}

static void
test_sub(void)
{
	struct rd r, sub;

	rd_init(&r, bytes, sizeof(bytes));
	sub = rd_sub(&r, 3);
	eq_int(rd_u16(&sub), 0x0102, "the sub-reader reads its part");
	eq_int(rd_u8(&r), 0x04, "the outer one goes on behind it");
	eq_int(rd_u16(&sub), 0, "the sub-reader ends with its part");
	ok(sub.bad && !r.bad, "its error is not the outer one's");
	sub = rd_sub(&r, 0);
	ok(!sub.bad && rd_left(&sub) == 0, "an empty part is fine");
	rd_skip(&r, SIZE_MAX);
	ok(r.bad, "a huge length does not wrap");
}

static void
test_write(void)
{
	uint8_t out[16];
	struct wr w;

	memset(out, 0xee, sizeof(out));
	wr_init(&w, out, sizeof(out));
	wr_u8(&w, 0x01);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_u64(&w, 0x08090a0b0c0d0e0f);
	wr_bytes(&w, "\x10", 1);
	eq_mem(out, bytes, sizeof(out), "integers are big-endian");
	eq_int((int64_t)wr_len(&w), 16, "sixteen bytes");
	ok(!w.bad, "exactly full is not bad");
	wr_bytes(&w, NULL, 0);
	ok(!w.bad, "nothing fits into no room");
	wr_u8(&w, 1);
	ok(w.bad && wr_len(&w) == 16, "one more is bad");
}

static void
test_write_short(void)
{
	uint8_t out[4] = {9, 9, 9, 9};
	struct wr w;

	wr_init(&w, out, 3);
	wr_u32(&w, 1);
	ok(w.bad && out[0] == 9 && out[3] == 9, "a short u32 writes nothing");
	wr_u8(&w, 1);
	ok(out[0] == 9, "nor does what follows");
	wr_init(&w, out, 3);
	wr_zero(&w, 2);
	ok(out[0] == 0 && out[1] == 0 && out[2] == 9, "zeros");
	ok(wr_room(&w, 1) == out + 2 && wr_room(&w, 1) == NULL,
	    "room is lent until it ends");
}

static void
test_patch(void)
{
	uint8_t out[4] = {0};
	struct wr w;

	wr_init(&w, out, sizeof(out));
	wr_u32(&w, 0);
	wr_patch16(&w, 2, 0xabcd);
	eq_mem(out, "\0\0\xab\xcd", 4, "patched");
	wr_patch16(&w, 3, 1);
	ok(w.bad, "only what was written can be patched");
	wr_init(&w, out, sizeof(out));
	wr_u32(&w, 0);
	wr_patch16(&w, SIZE_MAX, 1);
	ok(w.bad, "a huge offset does not wrap");
}

int
main(void)
{
	test_read_integers();
	test_short_reads();
	test_sub();
	test_write();
	test_write_short();
	test_patch();
	return tap_done();
}
