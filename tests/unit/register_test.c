/* register: every row of the decision, with times on both sides of each
 * edge. */
#include <stdlib.h>

#include "coordd/register.h"
#include "tests/tap.h"

#define NOW  INT64_C(1800000000)
#define PAST 123 /* what clients send to log out */

static const uint8_t seed[KEYMAP_SEED_LEN] = {8};

static struct model m;
static struct user *alice, *bob;
static const struct key machine = {{1}}, other = {{2}};
static struct authkey key;
static struct register_request q;
static struct node *node;

static struct user *
add_user(uint64_t id, const char *name)
{
	struct user *u = calloc(1, sizeof(*u));

	if (u == NULL)
		abort();
	u->id = id;
	(void)model_set_text(&u->name, name);
	(void)model_set_text(&u->display_name, "");
	model_add_user(&m, u);
	return u;
}

static struct node *
add_node(uint64_t id, const struct key *of, struct user *u)
{
	struct node *n = calloc(1, sizeof(*n));
	char label[32];

	if (n == NULL)
		abort();
	snprintf(label, sizeof(label), "n%u", (unsigned)id);
	n->id = id;
	n->machine = *of;
	n->node_key.b[0] = (uint8_t)id;
	n->user = u;
	(void)model_set_text(&n->label, label);
	if (!model_add_node(&m, n))
		abort();
	return n;
}

/* A known machine that shows nothing but its node key. */
static void
begin(void)
{
	model_init(&m, seed);
	alice = add_user(1, "alice");
	bob = add_user(2, "bob");
	node = add_node(7, &machine, alice);
	q = (struct register_request){.node_key = node->node_key};
	key = (struct authkey){.id = 1, .user = alice};
}

static void
end(void)
{
	model_clear(&m);
}

static void
shows(const char *text)
{
	snprintf(q.auth_key, sizeof(q.auth_key), "%s", text);
}

static void
comes_back_with(const char *url)
{
	snprintf(q.followup, sizeof(q.followup), "%s", url);
}

static void
decides_from(const struct key *from, const struct authkey *k,
    enum register_step step, const struct node *n, const char *what)
{
	struct register_decision d = register_decide(&m, &q, from, k, NOW);

	ok(d.step == step && d.node == n &&
		(d.why != NULL) == (step == REGISTER_REFUSE),
	    what);
	if (d.step != step)
		printf("# step %d, want %d: %s\n", d.step, step,
		    d.why == NULL ? "" : d.why);
}

static void
decides(const struct authkey *k, enum register_step step, const struct node *n,
    const char *what)
{
	decides_from(&machine, k, step, n, what);
}

static void
test_logout(void)
{
	begin();
	q.expiry = PAST;
	decides(NULL, REGISTER_LOGOUT, node, "logout");
	q.expiry = NOW;
	decides(NULL, REGISTER_LOGOUT, node, "an end that is now");
	q.expiry = -1;
	decides(NULL, REGISTER_LOGOUT, node, "an end before 1970");
	q.expiry = PAST;
	shows("key");
	decides(&key, REGISTER_LOGOUT, node, "the old auth key counts nothing");
	decides(NULL, REGISTER_LOGOUT, node, "nor does one that is gone");
	node->expiry = NOW - 1;
	decides(&key, REGISTER_LOGOUT, node, "an ended key logs out, too");
	comes_back_with("http://x/register/1");
	decides(&key, REGISTER_LOGOUT, node, "nor does a login");
	decides_from(&other, &key, REGISTER_REFUSE, NULL,
	    "another machine cannot log it out");
	q.node_key.b[0] = 99;
	decides(&key, REGISTER_LOGOUT, NULL, "logout of one that is not known");
	end();
}

static void
test_known(void)
{
	begin();
	decides(NULL, REGISTER_KNOWN, node, "a restart");
	node->expiry = NOW + 1;
	decides(NULL, REGISTER_KNOWN, node, "its key ends in a second");
	node->expiry = NOW;
	decides(NULL, REGISTER_RENEW, node, "its key ends now");
	node->expiry = NOW - 1;
	decides(NULL, REGISTER_RENEW, node, "its key has ended");
	decides_from(
	    &other, NULL, REGISTER_REFUSE, NULL, "of another machine: no");
	node->expiry = 0;
	decides_from(&other, NULL, REGISTER_REFUSE, NULL,
	    "of another machine, without an end: no");
	shows("key");
	decides_from(&other, &key, REGISTER_REFUSE, NULL,
	    "of another machine with a good key: no");
	end();
}

static void
test_extend(void)
{
	begin();
	node->expiry = NOW + 100;
	q.expiry = NOW + 100;
	decides(NULL, REGISTER_KNOWN, node, "the end that it has");
	q.expiry = NOW + 99;
	decides(NULL, REGISTER_KNOWN, node, "an earlier one");
	q.expiry = NOW + 101;
	decides(NULL, REGISTER_REFUSE, NULL, "a later one: refused");
	node->expiry = 0;
	decides(NULL, REGISTER_KNOWN, node, "it has none: any");
	q.expiry = NOW + 1;
	decides(NULL, REGISTER_KNOWN, node, "not in the past: no logout");
	end();
}

static void
test_key(void)
{
	begin();
	q.node_key.b[0] = 99;
	shows("key");
	decides(&key, REGISTER_KEY, NULL, "a new machine with a key");
	decides(NULL, REGISTER_REFUSE, NULL, "a key that is none");
	key.expires = NOW + 1;
	decides(&key, REGISTER_KEY, NULL, "it ends in a second");
	key.expires = NOW;
	decides(&key, REGISTER_REFUSE, NULL, "it ends now");
	key.expires = NOW - 1;
	decides(&key, REGISTER_REFUSE, NULL, "it has ended");
	key.expires = 0;
	key.used = true;
	decides(&key, REGISTER_REFUSE, NULL, "for one use, and used");
	key.reusable = true;
	decides(&key, REGISTER_KEY, NULL, "reusable, and used");
	key.expires = NOW;
	decides(&key, REGISTER_REFUSE, NULL, "reusable, but it has ended");
	key.expires = 0;
	q.expiry = NOW + 5;
	decides(&key, REGISTER_KEY, NULL, "with a wish for its end");
	comes_back_with("http://x/register/1");
	decides(&key, REGISTER_KEY, NULL, "a key goes before a login");
	end();
}

/* Containers start with the same key again and again. */
static void
test_key_again(void)
{
	begin();
	shows("key");
	key.used = true;
	decides(&key, REGISTER_KNOWN, node, "a used key of its user");
	key.expires = NOW - 1;
	decides(&key, REGISTER_KNOWN, node, "and ended");
	decides(NULL, REGISTER_KNOWN, node, "and deleted");
	key.user = bob;
	decides(&key, REGISTER_REFUSE, NULL, "another user's used key");
	key.used = false;
	key.expires = 0;
	decides(&key, REGISTER_KEY, node, "another user's good key");
	key.user = alice;
	node->expiry = NOW + 1;
	decides(&key, REGISTER_KNOWN, node, "its own ends in a second");
	node->expiry = NOW;
	decides(&key, REGISTER_KEY, node, "its own has ended: a good key");
	key.used = true;
	decides(&key, REGISTER_REFUSE, NULL, "its own has ended: a used key");
	decides(NULL, REGISTER_REFUSE, NULL, "its own has ended: no such key");
	end();
}

static void
test_login(void)
{
	begin();
	q.node_key.b[0] = 99;
	decides(NULL, REGISTER_LOGIN, NULL, "nothing: a login");
	comes_back_with("http://x/register/1");
	decides(NULL, REGISTER_WAIT, NULL, "it comes back with the URL");
	q.node_key = node->node_key;
	decides(NULL, REGISTER_KNOWN, node, "it was let in meanwhile");
	node->expiry = NOW - 1;
	decides(NULL, REGISTER_WAIT, node, "its old key has ended");
	q.followup[0] = '\0';
	decides(NULL, REGISTER_RENEW, node, "before that: a new key");
	end();
}

static void
test_continues(void)
{
	struct node *second;

	begin();
	ok(register_continues(&m, &machine, alice) == node,
	    "the machine's node of this user");
	ok(register_continues(&m, &machine, bob) == NULL,
	    "of another user: a new one");
	ok(register_continues(&m, &other, alice) == NULL,
	    "another machine: a new one");
	second = add_node(8, &machine, bob);
	ok(register_continues(&m, &machine, bob) == second &&
		register_continues(&m, &machine, alice) == node,
	    "each user has one of a machine");
	node->expiry = NOW - 1;
	ok(register_continues(&m, &machine, alice) == node,
	    "after its key has ended, too");
	end();
}

int
main(void)
{
	test_logout();
	test_known();
	test_extend();
	test_key();
	test_key_again();
	test_login();
	test_continues();
	return tap_done();
}
