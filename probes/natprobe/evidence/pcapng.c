/* pcapng: blocks and their options. PURE. */
#include <string.h>

#include "probes/natprobe/evidence/pcapng.h"

/*
 * 0       4       8              n-4
 * | type  |  n    | body, options | n   |
 *
 * All is padded to 4 bytes. An option is its code, its length (2 each), value.
 */
enum block {
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	BLOCK_SECTION = 0x0a0d0d0a, /* the same in either order of bytes */
};
#define BLOCK_MIN	  12
#define BYTE_ORDER_BIG	  0x1a2b3c4d
#define BYTE_ORDER_LITTLE 0x4d3c2b1a

enum option {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_PROGRAM = 4,
	INTERFACE_NAME = 2,
	INTERFACE_RESOLUTION = 9,
	INTERFACE_FILTER = 11,
	STATISTICS_BEGIN = 2,
	STATISTICS_END = 3,
	STATISTICS_RECEIVED = 4,
	STATISTICS_ACCEPTED = 6,
	STATISTICS_OS_DROPPED = 7,
	STATISTICS_DELIVERED = 8,
};

/* ---- writing ---- */

static size_t
pad(size_t n)
{
	return -n % 4;
}

static size_t
begin(struct wr *w, enum block type)
{
	size_t at = wr_len(w);

	wr_u32(w, type);
	wr_u32(w, 0);
	return at;
}

/* Blocks of ours are smaller than 64 KiB, so the upper half stays 0. */
static void
end(struct wr *w, size_t at)
{
	size_t n = wr_len(w) + 4 - at;

	if (n > UINT16_MAX)
		w->bad = true;
	wr_u32(w, (uint32_t)n);
	wr_patch16(w, at + 6, (uint16_t)n);
}

static void
option(struct wr *w, enum option code, const void *p, size_t n)
{
	if (n > UINT16_MAX)
		w->bad = true;
	wr_u16(w, (uint16_t)code);
	wr_u16(w, (uint16_t)n);
	wr_bytes(w, p, n);
	wr_zero(w, pad(n));
}

static void
option_text(struct wr *w, enum option code, const char *text)
{
	option(w, code, text, strlen(text));
}

static void
option_u64(struct wr *w, enum option code, uint64_t v)
{
	wr_u16(w, (uint16_t)code);
	wr_u16(w, 8);
	wr_u64(w, v);
}

void
pcapng_section(struct wr *w, const char *program, const char *comment)
{
	size_t at = begin(w, BLOCK_SECTION);

	wr_u32(w, BYTE_ORDER_BIG);
	wr_u16(w, 1);
	wr_u16(w, 0);
	wr_u64(w, UINT64_MAX); /* the section's length is not said */
	option_text(w, OPTION_COMMENT, comment);
	option_text(w, SECTION_PROGRAM, program);
	wr_u32(w, OPTION_END);
	end(w, at);
}

void
pcapng_interface(struct wr *w, uint16_t link, uint32_t snaplen,
    const char *name, const char *filter)
{
	static const uint8_t nanoseconds = 9; /* a power of 10 */
	size_t at = begin(w, BLOCK_INTERFACE), n = strlen(filter);

	wr_u16(w, link);
	wr_u16(w, 0);
	wr_u32(w, snaplen);
	option_text(w, INTERFACE_NAME, name);
	option(w, INTERFACE_RESOLUTION, &nanoseconds, 1);
	/* In the language of libpcap, which the first byte says. */
	wr_u16(w, INTERFACE_FILTER);
	wr_u16(w, (uint16_t)(n + 1));
	wr_u8(w, 0);
	wr_bytes(w, filter, n);
	wr_zero(w, pad(n + 1));
	wr_u32(w, OPTION_END);
	end(w, at);
}

static uint32_t
packet_len(uint32_t caught)
{
	return (uint32_t)(PCAPNG_HEAD_LEN + caught + pad(caught) + 4);
}

void
pcapng_packet_head(struct wr *w, uint64_t at_ns, uint32_t caught, uint32_t len)
{
	wr_u32(w, BLOCK_PACKET);
	wr_u32(w, packet_len(caught));
	wr_u32(w, 0); /* the first interface */
	wr_u64(w, at_ns);
	wr_u32(w, caught);
	wr_u32(w, len);
}

void
pcapng_packet_tail(struct wr *w, uint32_t caught)
{
	wr_zero(w, pad(caught));
	wr_u32(w, packet_len(caught));
}

void
pcapng_statistics(
    struct wr *w, const struct pcapng_sums *sums, const char *comment)
{
	size_t at = begin(w, BLOCK_STATISTICS);

	wr_u32(w, 0);
	wr_u64(w, sums->end_ns);
	option_text(w, OPTION_COMMENT, comment);
	option_u64(w, STATISTICS_BEGIN, sums->begin_ns);
	option_u64(w, STATISTICS_END, sums->end_ns);
	option_u64(w, STATISTICS_RECEIVED, sums->received);
	option_u64(w, STATISTICS_ACCEPTED, sums->received);
	option_u64(w, STATISTICS_OS_DROPPED, sums->dropped);
	option_u64(w, STATISTICS_DELIVERED, sums->kept);
	wr_u32(w, OPTION_END);
	end(w, at);
}

/* ---- reading ---- */

static uint32_t
get_u32(const struct pcapng_walk *walk, struct rd *r)
{
	uint32_t v = rd_u32(r);

	return walk->little ? __builtin_bswap32(v) : v;
}

static uint16_t
get_u16(const struct pcapng_walk *walk, struct rd *r)
{
	uint16_t v = rd_u16(r);

	return walk->little ? __builtin_bswap16(v) : v;
}

static void
find_comment(const struct pcapng_walk *walk, struct rd *options,
    struct pcapng_comment *comment)
{
	const uint8_t *p;
	uint16_t code, n;

	while (rd_left(options) > 0) {
		code = get_u16(walk, options);
		n = get_u16(walk, options);
		p = rd_bytes(options, n);
		if (options->bad || code == OPTION_END)
			return;
		if (code == OPTION_COMMENT) {
			comment->text = (const char *)p;
			comment->len = n;
			return;
		}
		rd_skip(options, pad(n));
	}
}

/* A section says in which order its numbers are. */
static bool
learn_order(struct pcapng_walk *walk, struct rd body)
{
	switch (rd_u32(&body)) {
	case BYTE_ORDER_BIG:
		walk->little = false;
		return true;
	case BYTE_ORDER_LITTLE:
		walk->little = true;
		return true;
	default:
		return false;
	}
}

size_t
pcapng_next(struct pcapng_walk *walk, const void *p, size_t n,
    bool *may_comment, struct pcapng_comment *comment)
{
	struct rd r, after, body;
	uint32_t type, len;

	*may_comment = false;
	*comment = (struct pcapng_comment){.text = NULL};
	rd_init(&r, p, n);
	type = rd_u32(&r);
	after = r;
	rd_skip(&after, 4);
	if (type == BLOCK_SECTION && !learn_order(walk, after))
		return 0;
	if (walk->little)
		type = __builtin_bswap32(type);
	len = get_u32(walk, &r);
	if (r.bad || len < BLOCK_MIN || len % 4 != 0)
		return 0;
	*may_comment = type == BLOCK_SECTION || type == BLOCK_STATISTICS;
	if (!*may_comment || len > n)
		return len;
	body = rd_sub(&r, len - BLOCK_MIN);
	rd_skip(&body, type == BLOCK_SECTION ? 16 : 12);
	find_comment(walk, &body, comment);
	return len;
}
