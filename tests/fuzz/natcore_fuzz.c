/*
 * natcore_fuzz: a NAT with knobs from the first bytes, then packets: made of
 * few bytes so that they belong together, or any bytes at all. What comes out
 * must be whole: of the length it says, with a right IP header checksum; and
 * right in all sums if only right packets went in.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/cursor.h"
#include "tests/unit/natcore_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One for all inputs: making one is slow. */
struct fuzz {
	struct nat *nat;
	struct mono now;
	bool all_right; /* only right packets went in so far */
	uint16_t last_port;
};

static void
emit(void *arg, enum nat_side to, const uint8_t *p, size_t n)
{
	struct fuzz *f = arg;
	const char *fault = packet_fault(p, n);

	if (n == 0)
		abort();
	if (fault != NULL &&
	    (f->all_right || strcmp(fault, "length") == 0 ||
		strcmp(fault, "short") == 0 ||
		strcmp(fault, "IP checksum") == 0))
		abort();
	if (to == NAT_OUTSIDE && n > 22)
		f->last_port = (uint16_t)(p[20] << 8 | p[21]);
}

/* A byte that says which, and what some of them need. */
static void
more_draw(struct rd *r, struct nat_config *c)
{
	unsigned b = rd_u8(r);

	c->hairpin_same_host = b & 1;
	c->hairpin_fragments = b & 2;
	c->refresh_icmp = b & 4;
	c->refresh_error = b & 8;
	c->tcp_rst_on_expire = b & 16;
	if (b & 32) {
		c->port_map_count = 2;
		c->port_map[0] = (struct nat_fixed){box_ip("a"), 5, 7};
		c->port_map[1] = (struct nat_fixed){
		    box_ip("b"), 5, (uint16_t)(8 + rd_u8(r))};
		c->port_start = c->port_min;
		c->block_align = rd_u8(r);
	}
	if (b & 64) {
		c->line_in.rate_kbit = 8;
		c->line_in.queue_us = 100000;
		c->stream_packets = rd_u8(r) % 8;
		c->alg = NAT_ALG_ADDRESSES;
	}
	if (b & 128) {
		c->reboot_at = rd_u8(r) * 1000000;
		c->renumber_at = rd_u8(r) * 1000000;
		c->renumber_to[0] = box_ip("F");
		c->renumber_count = 1;
	}
}

static struct nat_config
knobs_draw(struct rd *r)
{
	struct nat_config c = nat_config_default();

	c.external[0] = box_ip("E");
	c.external[1] = box_ip("F");
	c.external_count = rd_u8(r) % 3;
	c.mapping = rd_u8(r) % 5;
	c.filtering = rd_u8(r) % (c.mapping == NAT_NONE ? 5 : 4);
	c.ports = rd_u8(r) % 4;
	c.ports_fallback = 1 + rd_u8(r) % 2;
	c.overload = rd_u8(r) % 3;
	c.pooling = c.ports == NAT_PORTS_BLOCK ? NAT_POOL_PAIRED : rd_u8(r) % 3;
	c.hairpin = rd_u8(r) % 3;
	c.refresh = rd_u8(r) % 4;
	c.scope = rd_u8(r) % 2;
	c.tcp_unsolicited = rd_u8(r) % 4;
	c.tcp_cross = rd_u8(r) % 3;
	c.tcp_midstream = rd_u8(r) % 3;
	c.unsolicited = rd_u8(r) % 3;
	c.full = rd_u8(r) % 3;
	c.limit = 1 + rd_u8(r) % 16;
	c.degrade_after = rd_u8(r) % 8;
	c.host_limit = rd_u8(r) % 8;
	c.frags = rd_u8(r) % 5;
	c.icmp_errors = rd_u8(r) % 3;
	c.icmp_kills = rd_u8(r) % 2;
	c.mtu_out = 68 + rd_u8(r) * 6;
	c.mtu_in = 68 + rd_u8(r) * 6;
	c.port_min = 1 + rd_u8(r);
	c.port_max = c.port_min + rd_u8(r);
	c.parity = rd_u8(r) % 2;
	c.contiguity = rd_u8(r) % 2;
	c.port_classes = rd_u8(r) % 2;
	c.ttl_filter = rd_u8(r) * 100000;
	c.ttl_stream = rd_u8(r) * 1000000;
	c.tick = rd_u8(r) * 1000000;
	c.line_out.delay_us = rd_u8(r) * 100000;
	c.line_out.reorder = rd_u8(r) / 256.0;
	c.line_out.dup = rd_u8(r) / 256.0;
	c.line_in.loss = rd_u8(r) / 256.0;
	c.seed = rd_u8(r);
	more_draw(r, &c);
	return c;
}

static struct ip
ip_draw(uint8_t b)
{
	static const char *const names[] = {
	    "a", "b", "E", "F", "S", "T", "R", "a6", "b6", "S6", "T6"};

	return box_ip(names[b % 11]);
}

/* A right packet of few bytes. */
static size_t
packet_draw(struct fuzz *f, struct rd *r, uint8_t *out)
{
	uint8_t kind = rd_u8(r), port;
	struct pair e = {.src = ip_draw(rd_u8(r)), .dst = ip_draw(rd_u8(r))};
	uint8_t quote[256];
	size_t n;

	port = rd_u8(r);
	e.sport = 1 + port % 16;
	e.dport = port >= 128 ? f->last_port : 1 + port / 16;
	if (ip_is_v4(&e.src) != ip_is_v4(&e.dst))
		return 0;
	switch (kind % 6) {
	case 0:
		return make_udp(out, &e, kind);
	case 1:
		return make_tcp(out, &e, rd_u8(r) & 0x17);
	case 2:
		return make_echo(out, &e, kind & 16);
	case 3:
		n = make_udp(quote, &e, 8);
		return make_unreach(out, &e.dst, &e.src, quote, n);
	case 4:
		/* A short quote: ports, and no more than has to be. */
		n = make_tcp(quote, &e, 16) - 12;
		return make_unreach(out, &e.dst, &e.src, quote, n);
	default:
		return make_udp(out, &e, 1400);
	}
}

static void
step(struct fuzz *f, struct rd *r)
{
	uint8_t out[2048], op = rd_u8(r);
	enum nat_side from = op & 1 ? NAT_OUTSIDE : NAT_INSIDE;
	struct mono due;
	size_t n;

	switch (op >> 1 & 7) {
	case 0:
		f->now.us += (int64_t)rd_u16(r) * 10000;
		nat_run(f->nat, f->now);
		return;
	case 1:
		due = nat_deadline(f->nat);
		if (due.us != 0 && due.us < f->now.us - 10000000)
			abort(); /* what was due has been sent */
		return;
	case 2:
		n = rd_u8(r);
		if (n > rd_left(r))
			n = rd_left(r);
		f->all_right = false;
		rd_copy(r, out, n);
		if (op & 16 && n >= 20 && out[0] >> 4 == 4 &&
		    (out[0] & 15) >= 5 && (size_t)(out[0] & 15) * 4 <= n)
			v4_fix(out);
		break;
	default:
		n = packet_draw(f, r, out);
		if (op & 16 && op & 32 && n > 68 && out[0] == 0x45) {
			f->all_right = false; /* call it a fragment */
			out[6] = op & 64 ? 0x20 : 0;
			out[7] = op & 128 ? 1 : 0;
			v4_fix(out);
		}
	}
	if (n > 0)
		nat_input(f->nat, from, out, n, f->now);
}

static void
count_one(void *arg, const struct nat_shown *m)
{
	(void)m;
	++*(unsigned *)arg;
}

/* As if the NAT were new: nothing is left of the last input. */
static void
fresh(struct fuzz *f, const struct nat_config *c)
{
	struct nat_config other = *c;

	f->all_right = false;
	if (f->nat == NULL)
		f->nat = nat_new(c, f->now, emit, f);
	if (f->nat == NULL)
		abort();
	f->now.us += 600000000;
	nat_run(f->nat, f->now);
	nat_flush(f->nat);
	other.seed++;
	nat_configure(f->nat, &other, f->now);
	nat_configure(f->nat, c, f->now);
	f->last_port = 0;
	/* A quote left wrong on purpose is wrong in its sums. */
	f->all_right = c->icmp_errors != NAT_ERRORS_OUTER;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f = {.now = {1000000}};
	struct nat_config c;
	struct rd r;
	unsigned count = 0;

	rd_init(&r, data, size);
	c = knobs_draw(&r);
	fresh(&f, &c);
	while (rd_left(&r) > 0)
		step(&f, &r);
	nat_each(f.nat, f.now, count_one, NULL, &count);
	if (c.full != NAT_FULL_EDM && count > c.limit)
		abort();
	return 0;
}
