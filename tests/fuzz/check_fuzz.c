/*
 * check: a whole -check against a server whose answers are the input: for each
 * request a byte that says how long the next answer is and whether it carries
 * the request's id, then the answer. It must end in its time, send no more
 * than its pace allows and nothing to a place where it must not, and print
 * nothing that a terminal would obey.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stund/check.h"

enum { UNIT = 4, WITH_ID = 0x80 };

struct input {
	const uint8_t *p;
	size_t n;
};

static size_t
take(struct input *in, uint8_t *to, size_t n)
{
	if (n > in->n)
		n = in->n;
	memcpy(to, in->p, n);
	in->p += n;
	in->n -= n;
	return n;
}

static void
answer(struct check *c, struct mono now, const struct check_send *r,
    struct input *in)
{
	uint8_t head, p[(WITH_ID - 1) * UNIT];
	size_t n;

	if (take(in, &head, 1) == 0)
		return;
	n = take(in, p, (size_t)(head & (WITH_ID - 1)) * UNIT);
	if ((head & WITH_ID) != 0 && n >= CHECK_ID_OFFSET + CHECK_ID_LEN)
		memcpy(p + CHECK_ID_OFFSET, r->bytes + CHECK_ID_OFFSET,
		    CHECK_ID_LEN);
	check_got(c, now, r->socket, &r->to, p, n);
}

static void
look_at(const struct check_send *r, const struct stun_addr *server)
{
	assert(r->len >= STUN_HEADER_LEN && r->len <= sizeof(r->bytes));
	assert(stun_addr_is_v4(&r->to));
	assert(r->to.port != 0 && !check_ip_is_nobody(&r->to));
	assert(check_ip_is_private(server) || !check_ip_is_private(&r->to));
}

static void
print(const struct check *c)
{
	struct text out = TEXT_EMPTY;

	check_print(c, &out);
	assert(!out.bad);
	for (size_t i = 0; i < out.len; i++)
		assert(
		    out.p[i] == '\n' || (out.p[i] >= ' ' && out.p[i] <= '~'));
	text_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct stun_addr server = {
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 10}, 3478};
	struct input in = {p, n};
	struct mono now = {1000000}, last = {0};
	struct ip local = {{0}};
	uint8_t random[CHECK_ID_LEN] = {0};
	struct check_send r;
	struct check c;

	check_init(&c, &server, false, &local, CHECK_GAP_US, now);
	while (!check_done(&c)) {
		random[CHECK_ID_LEN - 1]++;
		if (!check_next(&c, now, random, &r)) {
			if (!check_done(&c)) {
				assert(check_deadline(&c).us > now.us);
				now = check_deadline(&c);
			}
			continue;
		}
		assert(last.us == 0 || now.us - last.us >= CHECK_GAP_US);
		last = now;
		look_at(&r, &server);
		answer(&c, now, &r, &in);
	}
	assert(now.us - 1000000 <= CHECK_LIMIT_US);
	print(&c);
	return 0;
}
