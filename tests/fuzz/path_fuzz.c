/* path_fuzz: what a STUN server, a proxy and the environment say. The first
 * byte chooses. Sizes stay within what was asked for. */
#include <stdlib.h>

#include "probes/natprobe/path/mtu.h"
#include "probes/natprobe/path/proxy.h"
#include "probes/natprobe/path/reach.h"

static const struct stun_addr server = {
    {[10] = 0xff, [11] = 0xff, 192, 0, 2, 8}, 3478};

static void
check(bool good)
{
	if (!good)
		abort();
}

/* Datagrams of a length byte each, with the id of a question; errors. */
static void
fuzz_mtu(const uint8_t *data, size_t n)
{
	static const uint8_t seed[MTU_SEED_LEN];
	struct mono now = {1000000};
	struct mtu_verdict v;
	struct mtu_send s;
	struct mtu m;
	uint8_t p[256];
	struct rd r;

	mtu_init(&m, n % 2, &server, 1, 1000, seed, now);
	rd_init(&r, data, n);
	while (rd_left(&r) > 2) {
		uint8_t what = rd_u8(&r), len = rd_u8(&r);
		const uint8_t *bytes = rd_bytes(&r, len);

		now = mono_add_us(now, what * 1000);
		while (mtu_next(&m, now, &s))
			check(s.len <= MTU_DATAGRAM);
		if (bytes == NULL)
			break;
		memcpy(p, bytes, len);
		if (len >= STUN_HEADER_LEN && m.n > 0)
			memcpy(
			    p + 8, m.tries[what % m.n].txid.b, STUN_TXID_LEN);
		if (len == 2)
			mtu_too_big(
			    &m, (unsigned)(p[0] << 8 | p[1]), what % 2, now);
		else
			mtu_input(&m, &server, p, len, what * 8u, now);
	}
	mtu_judge(&m, &v);
	check(v.out.passes <= MTU_TOP && v.in.passes <= MTU_TOP);
	check(v.out.fails == 0 || v.out.fails > v.out.passes);
	check(v.in.fails == 0 || v.in.fails > v.in.passes);
	/* No wake-up is for nothing. */
	for (int i = 0; i < 1000 && mono_is_set(mtu_wake(&m)); i++) {
		if (mtu_wake(&m).us > now.us)
			now = mtu_wake(&m);
		while (mtu_next(&m, now, &s))
			check(s.len <= MTU_DATAGRAM);
	}
	check(!mono_is_set(mtu_wake(&m)));
}

static void
fuzz_url(const char *text)
{
	char out[PROXY_REQUEST_MAX];
	const char *why;
	struct proxy p;

	if (!proxy_parse(&p, text, &why)) {
		check(*why != '\0');
		return;
	}
	check(p.port != 0 && p.host[0] != '\0');
	check(proxy_request(&p, p.host, p.port, out) > 0);
	(void)proxy_is_excepted(text, p.host, p.port);
}

static void
fuzz_ports(const char *text)
{
	char error[REACH_ERROR_MAX];
	struct reach_ports ports;

	if (!reach_ports_parse(&ports, text, error))
		check(strchr(error, '\n') == NULL || strchr(text, '\n'));
	check(ports.n <= REACH_PORTS);
	(void)proxy_is_excepted(text, "relay.campus.example", 443);
	(void)proxy_is_excepted(text, "2001:db8::1", 443);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy;
	int status;

	if (n == 0)
		return 0;
	copy = calloc(1, n);
	if (copy == NULL)
		return 0;
	memcpy(copy, data + 1, n - 1);
	switch (data[0] % 4) {
	case 0:
		fuzz_mtu(copy, n - 1);
		break;
	case 1:
		(void)proxy_answer(copy, n - 1, &status);
		break;
	case 2:
		fuzz_url((const char *)copy);
		break;
	default:
		fuzz_ports((const char *)copy);
	}
	free(copy);
	return 0;
}
