/*
 * meet_fuzz: what another says to a side of pair mode, by the relay or by UDP:
 * sealed by one that has the keys, or not at all. What a side holds stays
 * within its bounds, it ends, and it never sends faster than it says.
 *
 * Input: a first byte, whose bits choose the role, IPv6 and TCP; then pieces: a
 * byte for the time that passes, one that says what comes, one for its length,
 * bytes. With TCP those that tell of somebody who is gone tell of a connection.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/pair/knock_why.h"
#include "probes/natprobe/pair/meet.h"

static const struct key own = {{8, 1, [31] = 64}}, other = {{16, [31] = 64}};

static void
check(bool good)
{
	if (!good)
		abort();
}

static void
check_state(const struct meet *m)
{
	check(m->n_targets <= TARGETS_MAX && m->n_own <= CANDIDATES_MAX &&
	    m->n_pongs <= MEET_PONGS && m->n_peer_got <= TARGETS_MAX &&
	    m->direct.sent <= MEET_ROW && m->relayed.sent <= MEET_ROW &&
	    m->best < (int)m->n_targets);
	for (size_t i = 0; i < m->n_targets; i++)
		check(target_result(m, i) < TARGET_RESULTS);
	(void)meet_outcome(m);
	(void)meet_latency(&m->direct);
}

/* Sealed as the other side would, with any text. */
static size_t
seal(const struct meet *m, uint8_t out[static MESSAGE_MAX], const uint8_t *text,
    size_t n)
{
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {7};
	const size_t head = 6 + KEY_LEN;
	struct derpbox box;
	struct key pub;

	key_public(&pub, &other);
	memcpy(out, "TS\xf0\x9f\x92\xac", 6);
	memcpy(out + 6, pub.b, KEY_LEN);
	check(derpbox_init(&box, &m->pub, &other));
	derpbox_seal(&box, out + head, text, n, nonce);
	return head + DERPBOX_OVERHEAD + n;
}

/* Something happens to a connection: the first byte says what, the second to
 * which. */
static void
come_tcp(
    struct meet *m, bool sealed, const uint8_t *p, size_t n, struct mono now)
{
	struct stun_addr from = {{[10] = 0xff, [11] = 0xff, [12] = 9}, 9};
	struct knock *k = &m->knock[0];
	uint8_t packet[2 + MESSAGE_MAX];
	unsigned conn;

	if (n < 2)
		return;
	conn = p[1] % KNOCK_CONNS;
	switch (p[0] % 4) {
	case 0:
		meet_tcp_connected(m, 0, conn, now);
		break;
	case 1:
		knock_failed(k, conn, KNOCK_RESET + p[0] / 4 % 3, &from, now);
		break;
	case 2:
		(void)knock_guest(k, &from, now);
		break;
	default:
		if (!sealed) {
			meet_tcp_input(m, 0, conn, p + 2, n - 2, now);
			break;
		}
		n = seal(m, packet + 2, p + 2, n - 2);
		packet[0] = (uint8_t)(n >> 8);
		packet[1] = (uint8_t)n;
		meet_tcp_input(m, 0, conn, packet, n + 2, now);
	}
}

static void
come(struct meet *m, uint8_t how, const uint8_t *p, size_t n, struct mono now)
{
	struct stun_addr from = {
	    {[10] = 0xff, [11] = 0xff, [12] = how & 0xc0, [15] = 1},
	    (how & 8) != 0 ? 3478 : how};
	uint8_t packet[MESSAGE_MAX];
	struct key pub;

	if (m->tcp && (how & 6) == 6) {
		come_tcp(m, (how & 1) != 0, p, n, now);
		return;
	}
	key_public(&pub, &other);
	if ((how & 1) != 0)
		n = seal(m, packet, p, n);
	else
		memcpy(packet, p, n);
	if ((how & 6) == 6)
		meet_gone(m, &pub, now);
	else if ((how & 2) != 0)
		meet_input(m, &from, packet, n, now);
	else
		meet_relay_input(m, &pub, packet, n, now);
	if ((how & 0x30) == 0x30)
		meet_icmp(m, &from, 111, &from);
	if ((how & 0x30) == 0x20)
		meet_send_failed(m, &from, 101);
}

static void
drain(struct meet *m, struct mono now)
{
	struct meet_act act;
	struct knock_act tcp = {.n = 0};
	unsigned n = 0;
	int v6;

	while (meet_tcp_next(m, now, &v6, &tcp)) {
		check(tcp.conn < KNOCK_CONNS && ++n < 200);
		check(tcp.kind != KNOCK_ACT_SEND || tcp.n <= sizeof(tcp.p));
		if (tcp.kind == KNOCK_ACT_LISTEN)
			knock_listens(&m->knock[v6], true, now);
		/* A STUN server's second address may have any port. */
		check(tcp.kind != KNOCK_ACT_CONNECT ||
		    tcp.conn < KNOCK_SERVERS || tcp.to.port >= 1024);
	}
	for (v6 = 0; v6 < 2; v6++) {
		check(m->knock[v6].connects <= KNOCK_CONNECTS_MAX);
		(void)knock_judge(&m->knock[v6]);
	}
	for (n = 0;;) {
		meet_next(m, now, &act);
		if (act.kind == MEET_NOTHING)
			break;
		check(act.n <= MESSAGE_MAX && ++n < 200);
	}
	if (m->phase != MEET_OVER && mono_is_set(meet_wake(m, now)))
		check(meet_wake(m, now).us > now.us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct stun_addr server = {{[10] = 0xff, [11] = 0xff, [15] = 1}, 3478};
	struct stun_addr local = {
	    {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2}, 0};
	struct meet_options o = {.priv = own,
	    .servers = &server,
	    .n_servers = 1,
	    .local = &local,
	    .n_local = 1,
	    .rate = 100};
	struct mono now = {1000000};
	static struct meet m;
	char text[CODE_MAX + 1];
	struct key k;

	if (n == 0 || sodium_init() == -1)
		return 0;
	memset(text, 0, sizeof(text));
	memcpy(text, data, n < CODE_MAX ? n : CODE_MAX);
	(void)code_parse(&k, text);
	o.role = (data[0] & 1) != 0 ? ROLE_PEER : ROLE_LISTENER;
	key_public(&o.listener, &other);
	o.tcp = (data[0] & 4) != 0;
	o.bound[0] = server;
	o.bound[1].port = (data[0] & 2) != 0 ? 9 : 0;
	meet_init(&m, &o, now);
	meet_relay_up(&m, now);
	for (size_t at = 1; at + 3 <= n;) {
		size_t len = data[at + 2];

		len = len < n - at - 3 ? len : n - at - 3;
		now = mono_add_us(now, data[at] * INT64_C(4000));
		come(&m, data[at + 1], data + at + 3, len, now);
		drain(&m, now);
		check_state(&m);
		at += 3 + len;
	}
	for (int i = 0; i < 5000 && mono_is_set(meet_wake(&m, now)); i++) {
		now = meet_wake(&m, now);
		drain(&m, now);
		check_state(&m);
	}
	check(m.phase == MEET_OVER ||
	    (m.role == ROLE_LISTENER && m.phase == MEET_SEEK));
	return 0;
}
