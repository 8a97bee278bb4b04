/* gateway_fence: at which hop the outermost filter is, with networks played by
 * a few lines: a filter at one hop, lost packets, mappings that differ. */
#include "probes/natprobe/gateway/fence.h"
#include "tests/tap.h"

static const struct mono start = {1000000};
static const struct stun_addr near = {
    {[10] = 0xff, 0xff, 203, 0, 113, 10}, 3478};
static const struct stun_addr far = {
    {[10] = 0xff, 0xff, 203, 0, 113, 11}, 3479};

struct net {
	unsigned filter; /* its hop; 0: none */
	bool dependent; /* another mapping for another address */
	unsigned deaf; /* this socket's answers are lost, counted from 1 */
	bool silent; /* the second address does not answer */
	unsigned packets, opened[FENCE_SOCKS]; /* up to which hop */
};

/* As which the servers see this host. */
static const struct stun_addr outside = {.port = 40000,
    .ip = {
	[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 7}};

static bool
is_open(const struct net *n, unsigned sock)
{
	return n->filter == 0 ||
	    (!n->dependent && n->opened[sock] >= n->filter);
}

static void
answer(struct engine *e, const struct act *act, const struct stun_msg *m,
    const struct stun_addr *from)
{
	uint8_t out[100];
	struct wr w;
	size_t len;

	wr_init(&w, out, sizeof(out));
	stun_begin(&w, STUN_SUCCESS, STUN_BINDING, &m->txid);
	stun_put_xor_address(&w, &outside, &m->txid);
	len = stun_end(&w);
	engine_input(e, act->sock, from, out, len, start);
}

static void
carry(struct net *n, struct engine *e, const struct act *act)
{
	unsigned reach = act->ttl == 0 ? 99 : act->ttl - 1u;
	struct stun_attr a;
	struct stun_msg m;
	bool change = false, quiet = false;
	struct rd r;

	n->packets++;
	if (stun_parse(&m, act->p, act->len) != STUN_FORM_OK)
		ok(false, "it sends STUN");
	r = stun_attrs(&m);
	while (stun_attr_next(&m, &r, &a)) {
		change |= a.type == STUN_CHANGE_REQUEST;
		quiet |= a.type == STUN_CN_SILENT;
	}
	if (memcmp(act->to.ip, far.ip, 16) == 0 && n->opened[act->sock] < reach)
		n->opened[act->sock] = reach;
	if (act->ttl != 0 || quiet || n->deaf == act->sock + 1u)
		return;
	if (!change)
		answer(e, act, &m, &act->to);
	else if (!n->silent && is_open(n, act->sock))
		answer(e, act, &m, &far);
}

static struct verdict_fence
run(struct net *n)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {7};
	struct probe p = {.has_place = {true, [PLACE_AA] = true},
	    .places = {near, [PLACE_AA] = far}};
	struct mono now = start;
	struct verdict_fence v;
	struct engine e;
	struct act act;

	engine_init(&e, seed, 1000, now);
	if (!fence_plan(&e, &p, now))
		ok(false, "it can be planned");
	while (mono_is_set(engine_wake(&e))) {
		while (engine_next(&e, now, &act))
			if (act.kind == ACT_OPEN)
				engine_opened(&e, act.sock, &near, now);
			else
				carry(n, &e, &act);
		if (mono_is_set(engine_wake(&e)))
			now = engine_wake(&e);
	}
	v = judge_fence(&e);
	engine_clear(&e);
	return v;
}

static void
is(struct net n, enum reason why, unsigned hop, const char *what)
{
	struct verdict_fence v = run(&n);

	if (!ok(v.why == why && v.hop == hop, what))
		printf("# got \"%s\", hop %u\n", reason_name(v.why), v.hop);
	ok(n.packets <= FENCE_PACKETS, "no more packets than are said");
}

int
main(void)
{
	struct probe one = {.has_place = {true}, .places = {near}};
	struct engine e;

	is((struct net){.filter = 1}, REASON_NONE, 1, "at the first hop");
	is((struct net){.filter = 2}, REASON_NONE, 2, "at the second");
	is((struct net){.filter = 3}, REASON_NONE, 3, "at the third");
	is((struct net){.filter = 0}, REASON_NONE, 0, "nowhere");
	is((struct net){.filter = 4}, REASON_BEYOND, 0, "farther than tried");
	is((struct net){.filter = 2, .deaf = 5}, REASON_NONE, 2,
	    "one socket that nobody hears changes nothing");
	is((struct net){.filter = 1, .silent = true}, REASON_NO_CONTROL, 0,
	    "a second address that does not answer");
	is((struct net){.filter = 1, .dependent = true}, REASON_NO_CONTROL, 0,
	    "mappings that depend on the destination");
	is((struct net){.filter = 1, .deaf = FENCE_SOCKS}, REASON_NO_CONTROL, 0,
	    "a control that fails");
	eq_int(judge_fence(NULL).why, REASON_NO_ALTERNATE, "never asked");
	memset(&e, 0, sizeof(e));
	ok(!fence_plan(&e, &one, start), "one address is not enough");
	return tap_done();
}
