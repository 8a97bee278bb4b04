/* pcp: see pcp.h. PURE. */
#include <string.h>

#include "probes/natprobe/gateway/pcp.h"
#include "pure/cursor.h"

#define HEADER_LEN 24
#define MAP_LEN	   60
#define ANSWER	   0x80 /* the R bit; NAT-PMP adds 128 */
#define UDP	   17

enum { OP_ANNOUNCE = 0, OP_MAP = 1 };

/* After each send, the time until the next one or until silence is believed.
 * RFC 6887 section 8.1.1 begins with 3 s, for which nobody waits here. */
static const int64_t resend_us[PCP_SENDS] = {250000, 500000, 1000000};

void
pcp_init(struct pcp *p, enum pcp_protocol protocol, const struct ip *client,
    const uint8_t nonce[static PCP_NONCE_LEN])
{
	memset(p, 0, sizeof(*p));
	p->protocol = protocol;
	p->client = *client;
	memcpy(p->nonce, nonce, PCP_NONCE_LEN);
}

static struct pcp_exchange *
current(struct pcp *p)
{
	return &p->steps[p->step];
}

void
pcp_begin(struct pcp *p, enum pcp_step step, struct mono now)
{
	p->step = step;
	*current(p) = (struct pcp_exchange){.state = PCP_WAITING, .due = now};
}

/* ---- requests ---- */

static uint8_t
opcode(enum pcp_step step)
{
	return step == PCP_ASK ? OP_ANNOUNCE : OP_MAP;
}

static void
put_v2(struct wr *w, const struct pcp *p)
{
	/* Any address of the client's family (RFC 6887 section 11.1). */
	static const struct ip any4 = {{[10] = 0xff, [11] = 0xff}}, any6;
	bool removes = p->step == PCP_REMOVE;

	wr_u8(w, 2);
	wr_u8(w, opcode(p->step));
	wr_u16(w, 0);
	wr_u32(w, p->step == PCP_MAP ? PCP_LIFETIME_S : 0);
	wr_bytes(w, p->client.b, sizeof(p->client.b));
	if (p->step == PCP_ASK)
		return;
	wr_bytes(w, p->nonce, PCP_NONCE_LEN);
	wr_u8(w, UDP);
	wr_zero(w, 3);
	wr_u16(w, p->port);
	wr_u16(w, removes ? p->steps[PCP_MAP].answer.port : p->port);
	if (removes && p->steps[PCP_MAP].answer.has_external)
		wr_bytes(w, p->steps[PCP_MAP].answer.external.b, 16);
	else
		wr_bytes(w, ip_is_v4(&p->client) ? any4.b : any6.b, 16);
}

static void
put_natpmp(struct wr *w, const struct pcp *p)
{
	wr_u8(w, 0);
	wr_u8(w, opcode(p->step));
	if (p->step == PCP_ASK)
		return;
	wr_u16(w, 0);
	wr_u16(w, p->port);
	/* To remove, zero (RFC 6886 section 3.4). */
	wr_u16(w, p->step == PCP_MAP ? p->port : 0);
	wr_u32(w, p->step == PCP_MAP ? PCP_LIFETIME_S : 0);
}

bool
pcp_is_due(const struct pcp *p, struct mono now)
{
	const struct pcp_exchange *x = &p->steps[p->step];

	return x->state == PCP_WAITING && x->sends < PCP_SENDS &&
	    mono_reached(x->due, now);
}

size_t
pcp_next(struct pcp *p, struct mono now, uint8_t out[static PCP_PACKET_MAX])
{
	struct pcp_exchange *x = current(p);
	struct wr w;

	if (x->state != PCP_WAITING || !mono_reached(x->due, now))
		return 0;
	if (x->sends == PCP_SENDS) {
		x->state = PCP_SILENT;
		return 0;
	}
	x->due = mono_add_us(now, resend_us[x->sends++]);
	wr_init(&w, out, PCP_PACKET_MAX);
	if (p->protocol == PCP_V2)
		put_v2(&w, p);
	else
		put_natpmp(&w, p);
	return wr_len(&w);
}

struct mono
pcp_wake(const struct pcp *p)
{
	const struct pcp_exchange *x = &p->steps[p->step];

	return x->state == PCP_WAITING ? x->due : MONO_NEVER;
}

/* ---- answers ---- */

/* A refusal repeats what was asked as far as it was understood; only of those
 * that complain about the form of the request is that not sure. */
static bool
read_map_v2(struct rd *r, const struct pcp *p, struct pcp_answer *a)
{
	const uint8_t *nonce = rd_bytes(r, PCP_NONCE_LEN);
	uint8_t protocol = rd_u8(r);
	uint16_t port;

	rd_skip(r, 3);
	port = rd_u16(r);
	a->port = rd_u16(r);
	rd_copy(r, a->external.b, sizeof(a->external.b));
	a->has_external = a->result == 0;
	return !r->bad && memcmp(nonce, p->nonce, PCP_NONCE_LEN) == 0 &&
	    protocol == UDP && port == p->port;
}

static bool
read_v2(struct rd *r, const struct pcp *p, struct pcp_answer *a)
{
	rd_skip(r, 1);
	a->result = rd_u8(r);
	a->lifetime = rd_u32(r);
	a->epoch = rd_u32(r);
	rd_skip(r, 12);
	if (r->bad)
		return false;
	return p->step == PCP_ASK || read_map_v2(r, p, a);
}

static bool
read_natpmp(struct rd *r, const struct pcp *p, struct pcp_answer *a)
{
	uint16_t port;

	a->result = rd_u16(r);
	a->epoch = rd_u32(r);
	if (r->bad)
		return false;
	/* What follows an error is of no use, and may be missing. */
	if (p->step == PCP_ASK && a->result == 0) {
		a->external = (struct ip){{[10] = 0xff, [11] = 0xff}};
		rd_copy(r, a->external.b + 12, 4);
		a->has_external = true;
	} else if (p->step != PCP_ASK) {
		port = rd_u16(r);
		a->port = rd_u16(r);
		a->lifetime = rd_u32(r);
		if (!r->bad && port != p->port)
			return false;
		return !r->bad || a->result != 0;
	}
	return !r->bad;
}

/* A late answer to the mapping is no answer to its removal, and back. */
static bool
fits_step(const struct pcp *p, const struct pcp_answer *a)
{
	if (a->result != 0 || p->step == PCP_ASK)
		return true;
	return (a->lifetime == 0) == (p->step == PCP_REMOVE);
}

/* A router that knows the other protocol alone says so in that one: version
 * 0, or 2, and result 1 (RFC 6886 section 3.5, RFC 6887 section 9). */
static bool
is_other_version(const struct pcp *p, uint8_t version, const void *bytes,
    size_t n, struct pcp_answer *a)
{
	struct rd r;

	if (version != (p->protocol == PCP_V2 ? 0 : 2))
		return false;
	rd_init(&r, bytes, n);
	rd_skip(&r, 2);
	a->result = rd_u16(&r); /* of PCP: reserved, result */
	if (version == 2)
		a->result &= 0xff;
	return !r.bad && a->result == PCP_UNSUPP_VERSION;
}

void
pcp_input(struct pcp *p, const void *bytes, size_t n)
{
	struct pcp_exchange *x = current(p);
	struct pcp_answer a = {0};
	uint8_t version, op;
	bool good;
	struct rd r;

	rd_init(&r, bytes, n);
	version = rd_u8(&r);
	op = rd_u8(&r);
	if (r.bad || n > PCP_PACKET_MAX || (op & ANSWER) == 0 ||
	    x->state != PCP_WAITING)
		return;
	if (version != (p->protocol == PCP_V2 ? 2 : 0)) {
		good = p->step == PCP_ASK &&
		    is_other_version(p, version, bytes, n, &a);
		if (!good)
			return;
	} else {
		good = op == (ANSWER | opcode(p->step)) &&
		    (p->protocol == PCP_V2 ? read_v2(&r, p, &a)
					   : read_natpmp(&r, p, &a)) &&
		    fits_step(p, &a);
		/* "Unknown version", about the other protocol's question. */
		if (good && p->step == PCP_ASK &&
		    a.result == PCP_UNSUPP_VERSION)
			return;
	}
	if (!good) {
		p->odd++;
		return;
	}
	x->answer = a;
	x->state = PCP_ANSWERED;
}

void
pcp_close(struct pcp *p)
{
	if (current(p)->state == PCP_WAITING)
		current(p)->state = PCP_CLOSED;
}

bool
pcp_over(const struct pcp *p)
{
	return p->steps[p->step].state != PCP_WAITING;
}

bool
pcp_is_spoken(const struct pcp *p)
{
	const struct pcp_exchange *x = &p->steps[PCP_ASK];

	return x->state == PCP_ANSWERED &&
	    x->answer.result != PCP_UNSUPP_VERSION;
}

const char *
pcp_result_name(enum pcp_protocol protocol, unsigned result)
{
	/* RFC 6887 section 7.4, RFC 6886 section 3.5. */
	static const char *const v2[] = {"success", "unsupported-version",
	    "not-authorized", "malformed-request", "unsupported-opcode",
	    "unsupported-option", "malformed-option", "network-failure",
	    "no-resources", "unsupported-protocol", "user-over-quota",
	    "cannot-provide-external", "address-mismatch",
	    "excessive-remote-peers"};
	static const char *const natpmp[] = {"success", "unsupported-version",
	    "not-authorized", "network-failure", "no-resources",
	    "unsupported-opcode"};
	size_t n = protocol == PCP_V2 ? sizeof(v2) / sizeof(v2[0])
				      : sizeof(natpmp) / sizeof(natpmp[0]);

	if (result >= n)
		return "unknown-result";
	return protocol == PCP_V2 ? v2[result] : natpmp[result];
}
