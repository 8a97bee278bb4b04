/*
 * stun: the STUN message format of RFC 8489: header, attributes, FINGERPRINT,
 * XOR-MAPPED-ADDRESS. What to answer is decided in stunsrv.
 *
 *  0                   1                   2                   3
 *  0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2 3 3
 * |0 0| class and method          |  bytes after the header       |
 * |                 magic cookie 0x2112A442                       |
 * |                 transaction id, 12 bytes                      |
 * |  attribute type               |  length of value              |
 * |  value, then 0..3 bytes to a multiple of 4                    |
 */
#ifndef PURE_STUN_H
#define PURE_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/cursor.h"

#define STUN_HEADER_LEN	     20
#define STUN_COOKIE	     0x2112a442u
#define STUN_TXID_LEN	     12
#define STUN_FINGERPRINT_LEN 8 /* with its attribute header */
#define STUN_PORT	     3478
#define STUN_TLS_PORT	     5349

struct stun_txid {
	uint8_t b[STUN_TXID_LEN];
};

/* An address with its port; IPv4 as ::ffff:a.b.c.d. */
struct stun_addr {
	uint8_t ip[16];
	uint16_t port;
};

static inline bool
stun_addr_is_v4(const struct stun_addr *a)
{
	/* ::ffff:0:0/96, RFC 4291 section 2.5.5.2. */
	return memcmp(a->ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
}

static inline bool
stun_addr_same_ip(const struct stun_addr *a, const struct stun_addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* With its port. */
static inline bool
stun_addr_same(const struct stun_addr *a, const struct stun_addr *b)
{
	return a->port == b->port && stun_addr_same_ip(a, b);
}

enum stun_class {
	STUN_REQUEST,
	STUN_INDICATION,
	STUN_SUCCESS,
	STUN_ERROR,
};

enum stun_method { STUN_BINDING = 1 };

/* Types below 0x8000 must be understood by the receiver, others may be
 * skipped (RFC 8489 section 14). */
enum stun_attr_type {
	STUN_MAPPED_ADDRESS = 0x0001,
	STUN_RESPONSE_ADDRESS = 0x0002, /* RFC 3489 */
	STUN_CHANGE_REQUEST = 0x0003, /* RFC 5780 */
	STUN_SOURCE_ADDRESS = 0x0004, /* RFC 3489 */
	STUN_CHANGED_ADDRESS = 0x0005, /* RFC 3489 */
	STUN_USERNAME = 0x0006,
	STUN_PASSWORD = 0x0007, /* RFC 3489 */
	STUN_MESSAGE_INTEGRITY = 0x0008,
	STUN_ERROR_CODE = 0x0009,
	STUN_UNKNOWN_ATTRIBUTES = 0x000a,
	STUN_REFLECTED_FROM = 0x000b, /* RFC 3489 */
	STUN_REALM = 0x0014,
	STUN_NONCE = 0x0015,
	STUN_MESSAGE_INTEGRITY_SHA256 = 0x001c,
	STUN_PASSWORD_ALGORITHM = 0x001d,
	STUN_USERHASH = 0x001e,
	STUN_XOR_MAPPED_ADDRESS = 0x0020,
	STUN_PADDING = 0x0026, /* RFC 5780 */
	STUN_RESPONSE_PORT = 0x0027, /* RFC 5780 */
	STUN_OPTIONAL = 0x8000, /* the first that may be skipped */
	STUN_XOR_MAPPED_ADDRESS_OLD = 0x8020, /* before RFC 5389 */
	STUN_SOFTWARE = 0x8022,
	STUN_FINGERPRINT = 0x8028,
	STUN_RESPONSE_ORIGIN = 0x802b, /* RFC 5780 */
	STUN_OTHER_ADDRESS = 0x802c, /* RFC 5780 */
	/* campusnet's own: docs/stun-attributes.md */
	STUN_CN_COOKIE = 0xca50,
	STUN_CN_DELAY = 0xca51,
	STUN_CN_SILENT = 0xca52,
	STUN_CN_FILL = 0xca53,
};

/* The flags of CHANGE-REQUEST (RFC 5780 section 7.2). */
#define STUN_CHANGE_IP	 0x4u
#define STUN_CHANGE_PORT 0x2u

/* A message that was read; lends the bytes it was read from. */
struct stun_msg {
	const uint8_t *p;
	size_t len;
	enum stun_class class;
	uint16_t method;
	uint32_t cookie; /* STUN_COOKIE, or the id's first 4 bytes: RFC 3489 */
	struct stun_txid txid;
};

enum stun_form {
	STUN_FORM_OK,
	STUN_FORM_OTHER, /* not STUN */
	STUN_FORM_CLASSIC, /* STUN of RFC 3489: no magic cookie */
};

/*
 * Reads the header of a message of exactly n bytes, which must stay for as
 * long as m is used. m holds nothing of use if the form is STUN_FORM_OTHER. The
 * attributes are not looked at yet.
 */
enum stun_form stun_parse(struct stun_msg *m, const void *p, size_t n);

/*
 * Finds the message at the beginning of the n bytes of a stream, whose length
 * is in its header (RFC 8489 section 6.2.2), max bytes at most.
 */
enum stun_frame {
	STUN_FRAME_WHOLE, /* the first *len bytes are a message */
	STUN_FRAME_PART, /* *len bytes are needed to tell more */
	STUN_FRAME_BAD, /* no message can begin like this: end the stream */
};
enum stun_frame stun_frame(const void *p, size_t n, size_t max, size_t *len);

struct stun_attr {
	uint16_t type;
	uint16_t len; /* without padding */
	const uint8_t *value; /* lent by the message */
	size_t offset; /* of the attribute in the message */
	bool last;
};

/*
 * Walks the attributes: stun_attrs begins, stun_attr_next yields one after
 * the other and then false. r->bad afterwards says that an attribute ran past
 * the end of the message.
 */
static inline struct rd
stun_attrs(const struct stun_msg *m)
{
	struct rd r;

	rd_init(&r, m->p, m->len);
	rd_skip(&r, STUN_HEADER_LEN);
	return r;
}

static inline bool
stun_attr_next(const struct stun_msg *m, struct rd *r, struct stun_attr *a)
{
	size_t left = rd_left(r);

	if (left == 0)
		return false;
	a->offset = m->len - left;
	a->type = rd_u16(r);
	a->len = rd_u16(r);
	a->value = rd_bytes(r, a->len);
	/* Padding is not looked at (section 14). */
	rd_skip(r, -(size_t)a->len % 4);
	a->last = rd_left(r) == 0;
	return !r->bad;
}

/*
 * True for what may be skipped: the optional types, and those that RFC 8489
 * itself defines or reserves, which are known even where they have no meaning
 * (section 6.3: "known-but-unexpected").
 */
bool stun_is_known(uint16_t type);

/* Checks a FINGERPRINT: its place (the last), length and value. */
bool stun_fingerprint_ok(const struct stun_msg *m, const struct stun_attr *a);

/* Reads a value of the form of MAPPED-ADDRESS, or of XOR-MAPPED-ADDRESS. */
bool stun_read_address(const struct stun_attr *a, struct stun_addr *addr);
bool stun_read_xor_address(const struct stun_attr *a,
    const struct stun_txid *txid, struct stun_addr *addr);

/*
 * Writing. stun_begin writes a header, the others add attributes, and
 * stun_end or stun_end_fingerprint sets the length; no attribute may follow.
 * They return the bytes of the whole message, or 0 if it did not fit.
 */
void stun_begin(struct wr *w, enum stun_class class, uint16_t method,
    const struct stun_txid *txid);
/* The same with another word where the magic cookie stands: the first of the
 * 16 bytes of RFC 3489's transaction id. */
void stun_begin_as(struct wr *w, enum stun_class class, uint16_t method,
    uint32_t cookie, const struct stun_txid *txid);
void stun_put(struct wr *w, uint16_t type, const void *value, size_t n);
/* Of the form of MAPPED-ADDRESS. */
void stun_put_address(
    struct wr *w, uint16_t type, const struct stun_addr *addr);
void stun_put_xor_address(
    struct wr *w, const struct stun_addr *addr, const struct stun_txid *txid);
/* ERROR-CODE with an empty reason phrase. */
void stun_put_error(struct wr *w, unsigned code);
void stun_put_unknown(struct wr *w, const uint16_t *types, size_t n);
size_t stun_end(struct wr *w);
size_t stun_end_fingerprint(struct wr *w);

/*
 * The Binding request that a Tailscale client sends: SOFTWARE "tailnode" and
 * FINGERPRINT. Tailscale's own servers answer no other form.
 */
#define STUN_TAILNODE	  "tailnode"
#define STUN_TAILNODE_LEN 40
void stun_tailnode_request(
    uint8_t out[static STUN_TAILNODE_LEN], const struct stun_txid *txid);

/* True for the first SOFTWARE attribute of such a request. */
bool stun_is_tailnode(const struct stun_attr *a);

enum stun_response {
	STUN_RESPONSE_MAPPED, /* mapped is set */
	STUN_RESPONSE_ERROR, /* code is set */
	STUN_RESPONSE_FAILED, /* ours, but unusable: transaction over */
	STUN_RESPONSE_FOREIGN, /* not a response to txid: keep waiting */
};

/*
 * Reads the answer to the Binding request with this txid. The address is
 * taken from XOR-MAPPED-ADDRESS, else from its old number, else from
 * MAPPED-ADDRESS.
 */
enum stun_response stun_response_parse(const void *p, size_t n,
    const struct stun_txid *txid, struct stun_addr *mapped, unsigned *code);

#endif
