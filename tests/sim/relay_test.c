/*
 * The whole relay but its sockets, in one thread: workers, mail, clients,
 * queues. Clients connect, clone each other, send, read slowly and vanish in
 * an order drawn from a seed; streams are cut anywhere; workers take turns in
 * any order. What a client sees must obey the protocol whatever the order.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "relayd/relayd.h"
#include "tests/sim/simio.h"
#include "tests/tap.h"

#define KEYS	60
#define CLIENTS 120
#define TX_MAX	(1 << 20)
#define RX_MAX	(1 << 20)

/* A packet's own account of itself: type of stream, who, to whom, number. */
struct stamp {
	uint32_t magic, disco, sender, serial, to, number, sum;
};

struct simclient {
	bool open, greeted, doomed;
	unsigned serial; /* of the connection, never used twice */
	unsigned key;
	int fd;
	struct derpbox box;
	uint8_t *tx, *rx;
	size_t ntx, nrx;
	unsigned frames;
	uint64_t ping, ponged;
	uint32_t sent[KEYS][2]; /* numbers given out */
	uint32_t got[CLIENTS * 8][2]; /* last number from a connection */
	uint32_t received;
	bool heard[KEYS];
};

struct world {
	struct relayd relay;
	struct relayd_conf conf;
	struct listener listener;
	struct key priv[KEYS], pub[KEYS];
	struct simclient clients[CLIENTS];
	unsigned serials;
	uint64_t random;
	bool clones, slow;
	/* What was seen. */
	uint64_t packets_sent, packets_got, gone, faults;
};

static struct world w;

static uint32_t
draw(uint32_t below)
{
	/* xorshift64*: the same everywhere for the same seed. */
	w.random ^= w.random >> 12;
	w.random ^= w.random << 25;
	w.random ^= w.random >> 27;
	return (uint32_t)((w.random * 0x2545f4914f6cdd1du) >> 33) % below;
}

static void
fault(const char *what, unsigned a, unsigned b)
{
	if (w.faults++ < 5)
		printf("# %s (%u, %u)\n", what, a, b);
}

/* ---- the clients' side of the protocol ---- */

static void
put(struct simclient *c, const void *p, size_t n)
{
	if (c->ntx + n > TX_MAX)
		abort();
	memcpy(c->tx + c->ntx, p, n);
	c->ntx += n;
}

static void
put_hello(struct simclient *c)
{
	static const char head[] =
	    "GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\n"
	    "Connection: Upgrade\r\nDerp-Fast-Start: 1\r\n\r\n";
	static const char text[] = "{\"version\":2,\"CanAckPings\":true}";
	uint8_t frame[256], nonce[DERPBOX_NONCE_LEN] = {7};
	size_t sealed = sizeof(text) - 1 + DERPBOX_OVERHEAD;
	struct wr out;

	wr_init(&out, frame, sizeof(frame));
	derp_write_header(&out, DERP_CLIENT_INFO, (uint32_t)(KEY_LEN + sealed));
	wr_bytes(&out, w.pub[c->key].b, KEY_LEN);
	derpbox_seal(
	    &c->box, wr_room(&out, sealed), text, sizeof(text) - 1, nonce);
	put(c, head, sizeof(head) - 1);
	put(c, frame, wr_len(&out));
}

static uint32_t
sum_of(const uint8_t *p, size_t n)
{
	uint32_t sum = 1;

	while (n-- > 0)
		sum = sum * 31 + *p++;
	return sum;
}

static void
put_packet(struct simclient *c, unsigned to, bool disco)
{
	static const uint8_t magic[6] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
	uint8_t data[4096], header[DERP_HEADER_LEN];
	size_t at = disco ? 62 : 0;
	size_t n = at + sizeof(struct stamp) + draw(draw(2) ? 64 : 3000);
	struct stamp s = {
	    0x51515151, disco, c->key, c->serial, to, ++c->sent[to][disco], 0};
	struct wr out;

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)draw(256);
	data[0] = 0;
	if (disco)
		memcpy(data, magic, sizeof(magic));
	s.sum = sum_of(data + at + sizeof(s), n - at - sizeof(s));
	memcpy(data + at, &s, sizeof(s));
	wr_init(&out, header, sizeof(header));
	derp_write_header(&out, DERP_SEND_PACKET, (uint32_t)(KEY_LEN + n));
	put(c, header, sizeof(header));
	put(c, w.pub[to].b, KEY_LEN);
	put(c, data, n);
	w.packets_sent++;
}

static void
put_ping(struct simclient *c)
{
	uint8_t frame[DERP_PONG_SIZE];
	uint64_t value = ++c->ping;

	derp_pong(frame, (const uint8_t *)&value);
	frame[0] = DERP_PING;
	put(c, frame, sizeof(frame));
}

static unsigned
key_index(const uint8_t *b)
{
	for (unsigned i = 0; i < KEYS; i++)
		if (memcmp(w.pub[i].b, b, KEY_LEN) == 0)
			return i;
	fault("a key that nobody has", 0, 0);
	return 0;
}

static void
take_packet(struct simclient *c, const uint8_t *p, size_t n)
{
	unsigned src = key_index(p);
	const uint8_t *data = p + KEY_LEN;
	bool disco = derp_is_disco(data, n - KEY_LEN);
	size_t at = disco ? 62 : 0;
	struct stamp s;

	memcpy(&s, data + at, sizeof(s));
	if (s.magic != 0x51515151 || s.sender != src || s.disco != disco ||
	    s.sum !=
		sum_of(data + at + sizeof(s), n - KEY_LEN - at - sizeof(s)))
		fault("a packet was changed", src, c->key);
	if (s.to != c->key)
		fault("a packet for somebody else", s.to, c->key);
	if (s.number <= c->got[s.serial][disco])
		fault("twice, or out of order", s.number,
		    c->got[s.serial][disco]);
	c->got[s.serial][disco] = s.number;
	c->heard[src] = true;
	c->received++;
	w.packets_got++;
}

static void
take_gone(struct simclient *c, const uint8_t *p)
{
	unsigned key = key_index(p);

	if (p[KEY_LEN] == DERP_GONE_NOT_HERE)
		return;
	w.gone++;
	/* A slow client may have lost the packets, and be told none the less. */
	if (!c->heard[key] && !w.slow)
		fault("told of the end of a stranger", key, c->key);
}

static void
take_pong(struct simclient *c, const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	if (value <= c->ponged || value > c->ping)
		fault("a pong without its ping", (unsigned)value, c->key);
	c->ponged = value;
}

static void
take_frame(struct simclient *c, uint8_t type, uint8_t *p, size_t n)
{
	const char *text;

	if (c->frames == 0 && (type != DERP_SERVER_KEY || n != 8 + KEY_LEN))
		fault("first frame is not ServerKey", type, (unsigned)n);
	if (c->frames == 1) {
		text = type != DERP_SERVER_INFO ? NULL
						: derpbox_open(&c->box, p, n);
		if (text == NULL || memcmp(text, "{\"version\":2}", 13) != 0)
			fault("second frame is not ServerInfo", type, 0);
		c->greeted = true;
	}
	if (c->frames++ < 2)
		return;
	if (type == DERP_RECV_PACKET)
		take_packet(c, p, n);
	else if (type == DERP_PEER_GONE)
		take_gone(c, p);
	else if (type == DERP_PONG)
		take_pong(c, p);
	else if (type != DERP_KEEP_ALIVE)
		fault("an unexpected frame", type, c->key);
}

static void
read_some(struct simclient *c, size_t most)
{
	struct derp_header h;
	struct rd r;
	size_t used = 0;

	c->nrx += sim_recv(c->fd, c->rx + c->nrx,
	    most < RX_MAX - c->nrx ? most : RX_MAX - c->nrx);
	for (;;) {
		rd_init(&r, c->rx + used, c->nrx - used);
		derp_read_header(&r, &h);
		if (r.bad || rd_left(&r) < h.len)
			break;
		take_frame(c, h.type, c->rx + used + DERP_HEADER_LEN, h.len);
		used += DERP_HEADER_LEN + h.len;
	}
	memmove(c->rx, c->rx + used, c->nrx - used);
	c->nrx -= used;
}

static void
send_some(struct simclient *c, size_t most)
{
	size_t n = c->ntx < most ? c->ntx : most;

	if (n == 0)
		return;
	sim_send(c->fd, c->tx, n);
	memmove(c->tx, c->tx + n, c->ntx - n);
	c->ntx -= n;
}

/* ---- the world ---- */

static void
world_begin(uint64_t seed, unsigned workers, bool clones, bool slow)
{
	uint8_t bytes[KEY_LEN];

	memset(&w, 0, sizeof(w));
	w.random = seed * 0x9e3779b97f4a7c15u + 1;
	w.clones = clones;
	w.slow = slow;
	for (unsigned i = 0; i <= KEYS; i++) {
		struct key *priv = i == KEYS ? &w.relay.priv : &w.priv[i];

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)draw(256);
		memcpy(priv->b, bytes, KEY_LEN);
		key_clamp(priv);
		key_public(i == KEYS ? &w.relay.pub : &w.pub[i], priv);
	}
	w.conf.derp = true;
	w.conf.accept_limit = 1e9;
	w.conf.accept_burst = 1;
	w.conf.tls_timeout_us = 30000000;
	w.conf.hello_timeout_us = 10000000;
	w.conf.write_timeout_us = 2000000;
	w.conf.queue_total = 1 << 28;
	w.relay.conf = &w.conf;
	w.relay.limits = (struct queue_limits){2048, 1 << 24, 0};
	w.relay.pages = (struct page_conf){true, ""};
	w.relay.nworkers = workers;
	for (unsigned i = 0; i < workers; i++)
		if ((w.relay.workers[i] = worker_new(&w.relay, i, NULL, 0)) ==
		    NULL)
			abort();
}

static void
turns(unsigned rounds)
{
	while (rounds-- > 0)
		sim_turn(w.relay.workers[draw(w.relay.nworkers)]->loop);
}

static void
settle_all(void)
{
	for (int round = 0; round < 8; round++) {
		for (unsigned i = 0; i < w.relay.nworkers; i++)
			sim_turn(w.relay.workers[i]->loop);
		for (unsigned i = 0; i < CLIENTS; i++)
			if (w.clients[i].open) {
				send_some(&w.clients[i], TX_MAX);
				read_some(&w.clients[i], RX_MAX);
			}
	}
}

static struct simclient *
connect_one(unsigned slot, unsigned key)
{
	struct simclient *c = &w.clients[slot];
	struct addr from;
	size_t room = w.slow && draw(3) == 0 ? 2000 + draw(20000) : RX_MAX / 2;

	addr_parse(&from, "192.0.2.1", 1);
	memset(c, 0, sizeof(*c));
	c->open = true;
	c->serial = w.serials++;
	c->key = key;
	c->fd = (int)slot;
	c->tx = malloc(TX_MAX);
	c->rx = malloc(RX_MAX);
	if (c->tx == NULL || c->rx == NULL ||
	    !derpbox_init(&c->box, &w.relay.pub, &w.priv[key]))
		abort();
	sim_open(c->fd, room);
	client_accept(
	    w.relay.workers[draw(w.relay.nworkers)], &w.listener, c->fd, &from);
	put_hello(c);
	return c;
}

static void
disconnect(struct simclient *c)
{
	sim_close(c->fd);
	c->open = false;
	free(c->tx);
	free(c->rx);
	/* The relay frees its side after the turn; the slot may be used again
	 * only then. */
	for (unsigned i = 0; i < w.relay.nworkers; i++)
		sim_turn(w.relay.workers[i]->loop);
}

static void
world_end(const char *name)
{
	struct stats *s;
	int64_t connections = 0, queued = 0, keys = 0, sightings = 0;
	char what[128];

	for (unsigned i = 0; i < CLIENTS; i++)
		if (w.clients[i].open)
			disconnect(&w.clients[i]);
	settle_all();
	for (unsigned i = 0; i < w.relay.nworkers; i++) {
		s = &w.relay.workers[i]->stats;
		connections += metric_get(&s->connections);
		keys += metric_get(&s->keys) + metric_get(&s->dup_keys) +
		    metric_get(&s->dup_members);
		queued += (int64_t)w.relay.workers[i]->queued;
		sightings += (int64_t)w.relay.workers[i]->peers.nsightings;
	}
	snprintf(what, sizeof(what), "%s: the protocol was kept", name);
	eq_int((int64_t)w.faults, 0, what);
	snprintf(what, sizeof(what), "%s: nothing is left over", name);
	eq_int(connections + keys + queued + sightings, 0, what);
	for (unsigned i = 0; i < w.relay.nworkers; i++)
		worker_free(w.relay.workers[i]);
}

/* ---- the cases ---- */

static void
act(struct simclient *c)
{
	unsigned what = draw(100);

	if (!sim_is_open(c->fd))
		disconnect(c); /* the relay closed it: too slow */
	else if (what < 40 && c->greeted && c->ntx < TX_MAX / 2)
		put_packet(c, draw(KEYS), draw(4) == 0);
	else if (what < 60)
		send_some(c, 1 + draw(draw(4) == 0 ? 20 : 6000));
	else if (what < 85)
		read_some(c, 1 + draw(w.slow ? 500 : 60000));
	else if (what < 95 && c->ntx < TX_MAX / 2)
		put_ping(c);
	else if (what == 99 && draw(10) == 0)
		disconnect(c);
}

/* Anything may happen; whatever arrives must be right. */
static void
test_chaos(uint64_t seed, unsigned workers, bool clones, bool slow)
{
	char name[64];
	struct simclient *c;
	unsigned slot;

	snprintf(name, sizeof(name), "chaos %llu, %u workers%s%s",
	    (unsigned long long)seed, workers, clones ? ", clones" : "",
	    slow ? ", slow" : "");
	world_begin(seed, workers, clones, slow);
	for (int step = 0; step < 30000; step++) {
		slot = draw(clones ? CLIENTS : KEYS);
		c = &w.clients[slot];
		if (!c->open && w.serials < CLIENTS * 8 && draw(10) == 0)
			connect_one(slot, slot % KEYS);
		else if (c->open)
			act(c);
		if (draw(4) == 0)
			turns(1);
		if (draw(50) == 0)
			sim_advance(draw(200000));
	}
	settle_all();
	ok(w.packets_got > 100, "packets were exchanged");
	world_end(name);
}

/* Nobody is slow, nobody leaves: every packet arrives, once and in order; and
 * a client that has read ServerInfo is known to everybody. */
static void
test_no_loss(unsigned workers)
{
	char name[64];
	uint64_t before;

	snprintf(name, sizeof(name), "no loss, %u workers", workers);
	world_begin(workers, workers, false, false);
	for (unsigned i = 0; i < KEYS; i++) {
		connect_one(i, i);
		while (!w.clients[i].greeted) {
			send_some(&w.clients[i], 1 + draw(100));
			turns(1);
			read_some(&w.clients[i], RX_MAX);
		}
		before = w.packets_got;
		for (unsigned j = 0; j < i; j++) {
			put_packet(&w.clients[j], i, draw(2) == 0);
			send_some(&w.clients[j], TX_MAX);
		}
		settle_all();
		if (w.packets_got - before != i)
			fault("a greeted client was not known", i,
			    (unsigned)(w.packets_got - before));
	}
	for (int n = 0; n < 20000; n++) {
		struct simclient *c = &w.clients[draw(KEYS)];

		put_packet(c, draw(KEYS), draw(4) == 0);
		if (draw(3) == 0)
			send_some(c, TX_MAX);
		if (draw(20) == 0)
			settle_all();
	}
	settle_all();
	eq_int((int64_t)w.packets_got, (int64_t)w.packets_sent,
	    "every packet arrives");
	world_end(name);
}

/* Keepalives at 60 to 65 s; a client that takes nothing is closed after the
 * write timeout, not before; its neighbours notice nothing. */
static void
test_time(void)
{
	struct simclient *a, *b, *slow;

	world_begin(3, 2, false, false);
	a = connect_one(0, 0);
	b = connect_one(1, 1);
	w.slow = true;
	slow = connect_one(2, 2);
	sim_open(3, RX_MAX);
	settle_all();
	eq_int(a->frames, 2, "ServerKey and ServerInfo");
	sim_advance(59900000);
	settle_all();
	eq_int(a->frames, 2, "no keepalive before its time");
	sim_advance(5200000);
	settle_all();
	eq_int(a->frames + b->frames, 6, "one keepalive each");
	for (int i = 0; i < 300; i++) {
		put_packet(a, 2, false);
		send_some(a, TX_MAX);
		turns(2);
	}
	sim_advance(1900000);
	turns(8);
	ok(slow->fd == 2 && sim_is_open(2), "slow, but in time");
	sim_advance(200000);
	turns(8);
	put_packet(a, 1, false);
	settle_all();
	eq_int(b->received, 1, "the neighbour gets its packet");
	world_end("time");
}

/* One key with very many connections costs every worker time: the oldest of
 * them go, and the newest gets the traffic. */
static void
test_many_duplicates(unsigned workers)
{
	unsigned open = 0;

	world_begin(7, workers, true, false);
	for (unsigned i = 0; i < 100; i++) {
		connect_one(i, 0);
		settle_all();
	}
	connect_one(100, 1);
	settle_all();
	for (unsigned i = 0; i < 100; i++)
		open += sim_is_open((int)i);
	ok(open >= 64 && open < 70, "about 64 of 100 duplicates stay");
	put_packet(&w.clients[100], 0, false);
	settle_all();
	eq_int(w.clients[99].received, 1, "the newest gets the packet");
	for (unsigned i = 0; i < 100; i++)
		if (!sim_is_open((int)i))
			disconnect(&w.clients[i]);
	world_end("duplicates");
}

int
main(void)
{
	log_init("sim", LOG_QUIET);
	if (sodium_init() == -1)
		abort();
	for (unsigned workers = 1; workers <= 4; workers++) {
		test_no_loss(workers);
		for (uint64_t seed = 1; seed <= 3; seed++) {
			test_chaos(seed, workers, false, false);
			test_chaos(seed, workers, true, false);
			test_chaos(seed, workers, true, true);
		}
	}
	test_time();
	test_many_duplicates(1);
	test_many_duplicates(2);
	return tap_done();
}
