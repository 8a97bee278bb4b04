/* ops: what an administrator changes: checked, stored, then in force; and
 * nothing of it if the store fails. The mapper is counted, not run. */
#include "coordd/mapper.h"
#include "coordd/ops.h"
#include "tests/unit/store_help.h"

#define NOW INT64_C(1800000000)

static struct {
	int node, gone, users, policy;
} told;

int64_t
coordd_time(void)
{
	return NOW;
}

void
mapper_node_changed(struct coordd *c, struct node *n)
{
	(void)c;
	(void)n;
	told.node++;
}

void
mapper_node_gone(struct coordd *c, struct node *n)
{
	(void)c;
	(void)n;
	told.gone++;
}

void
mapper_users_changed(struct coordd *c, const struct user *u)
{
	(void)c;
	(void)u;
	told.users++;
}

void
mapper_policy_changed(struct coordd *c)
{
	(void)c;
	told.policy++;
}

static char dir[64];
static char no_text[] = "", domain[] = "campus.internal";
static struct coordd_conf conf = {.policy = no_text, .domain = domain};
static struct coordd c = {.conf = &conf};
static const struct ops_who who = {"tester"};
static struct ops_result r;

/* Memory and disk hold the same. */
static bool
same_as_stored(void)
{
	const struct authkey *k, *other;
	const struct user *u, *v;
	const struct node *n;
	struct model m;
	uint32_t at = 0;
	size_t users[2] = {0, 0}, keys[2] = {0, 0};
	bool same;

	must_load(c.store, &m);
	same = m.nnodes == c.model.nnodes;
	while ((n = model_next(&c.model, &at)) != NULL)
		same = same && same_node(n, model_node(&m, n->id));
	TAILQ_FOREACH (u, &c.model.users, entry) {
		v = model_user(&m, u->id);
		same = same && v != NULL && same_text(u->name, v->name) &&
		    same_text(u->display_name, v->display_name) &&
		    u->nodes == v->nodes;
		users[0]++;
	}
	TAILQ_FOREACH (u, &m.users, entry)
		users[1]++;
	TAILQ_FOREACH (k, &c.model.authkeys, entry) {
		other = model_authkey(&m, k->id);
		same = same && other != NULL && k->expires == other->expires &&
		    k->used == other->used &&
		    memcmp(k->hash, other->hash, sizeof(k->hash)) == 0;
		keys[0]++;
	}
	TAILQ_FOREACH (k, &m.authkeys, entry)
		keys[1]++;
	model_clear(&m);
	return same && users[0] == users[1] && keys[0] == keys[1];
}

static void
is_error(int status, const char *part, const char *what)
{
	ok(r.status == status && strstr(r.error, part) != NULL &&
		strchr(r.error, '\n') == NULL,
	    what);
	if (r.status != status || strstr(r.error, part) == NULL)
		printf("# got %d: %s\n", r.status, r.error);
}

struct newest {
	char line[1024];
};

static void
take_newest(void *arg, int64_t when, const char *name, const char *what,
    const char *detail)
{
	struct newest *n = arg;

	if (n->line[0] == '\0')
		snprintf(n->line, sizeof(n->line), "%lld %s: %s: %s",
		    (long long)when, name, what, detail);
}

static void
is_audited(const char *want, const char *what)
{
	struct newest n = {""};
	char line[1024];

	(void)store_audit_read(c.store, 1, take_newest, &n);
	snprintf(line, sizeof(line), "%lld tester: %s", (long long)NOW, want);
	eq_str(n.line, line, what);
}

static struct node *
add_node(unsigned number, struct user *u)
{
	struct node *n = make_node(number, u);

	n->authorized = true;
	if (store_put_node(c.store, n) == -1 || !model_add_node(&c.model, n))
		printf("Bail out! %s\n", store_error(c.store));
	return n;
}

static void
advertise(struct node *n, const char *text)
{
	struct ip_prefix v[4];
	size_t count = 0;

	for (const char *p = text; *p != '\0'; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		(void)ip_prefix_parse(&v[count++], p, len);
		p += len;
	}
	(void)node_set_advertised(n, v, count);
	(void)store_put_node(c.store, n);
}

static void
test_users(void)
{
	struct user *a, *b;

	a = ops_user_create(&c, &who, "alpha", "Team Alpha", &r);
	ok(a != NULL && r.status == 200 && a->id != 0 && a->created == NOW,
	    "a user is made");
	is_audited("user create: alpha", "which is audited");
	b = ops_user_create(&c, &who, "beta@campus", NULL, &r);
	ok(b != NULL && b->display_name[0] == '\0', "without a display name");
	ok(ops_user_create(&c, &who, "alpha", NULL, &r) == NULL, "not twice");
	is_error(409, "user \"alpha\" exists already", "says so");
	ok(ops_user_create(&c, &who, "No Good\n", NULL, &r) == NULL,
	    "no name of all letters");
	is_error(400, "user name \"No Good\\x0a\": want", "says so, escaped");
	ok(ops_user_create(&c, &who, "12", NULL, &r) == NULL,
	    "no name that is a number");
	ok(ops_user_create(&c, &who, "gamma", "a\tb", &r) == NULL,
	    "no control characters");
	is_error(400, "display_name", "says so");
	ok(ops_find_user(&c, "alpha") == a && ops_find_user(&c, "1") == a &&
		ops_find_user(&c, "2") == b && ops_find_user(&c, "3") == NULL &&
		ops_find_user(&c, "") == NULL,
	    "found by name or id");
	ok(!ops_user_rename(&c, &who, a, "beta@campus", &r),
	    "not renamed to a name that is taken");
	is_error(409, "exists already", "says so");
	ok(ops_user_rename(&c, &who, a, "alpha", &r), "to its own, yes");
	ok(told.users == 0, "which nobody is told");
	ok(same_as_stored(), "memory and disk hold the same");
}

static void
test_rename_user(void)
{
	struct user *a = ops_find_user(&c, "alpha");
	struct node *n = add_node(1, a);

	told.node = told.users = 0;
	ok(ops_user_rename(&c, &who, a, "apex", &r), "a user is renamed");
	ok(strcmp(n->subject.user, "apex") == 0,
	    "and its nodes are under the new name for the policy");
	ok(told.users == 1 && told.node == 1, "the mapper hears of both");
	is_audited("user rename: alpha to apex", "audited");
	ok(ops_user_rename(&c, &who, a, "alpha", &r), "and back");
	ok(!ops_user_delete(&c, &who, a, &r), "who owns a node stays");
	is_error(409, "user \"alpha\" owns 1 node:", "says so");
	ok(same_as_stored(), "memory and disk hold the same");
}

static void
test_keys(void)
{
	static const char *const bad[] = {"camera"};
	struct authkey_wish w = {
	    .user = ops_find_user(&c, "alpha"), .expires = NOW + 60};
	char secret[AUTHKEY_SECRET_MAX], other[AUTHKEY_SECRET_MAX];
	struct authkey *k = ops_authkey_create(&c, &who, &w, secret, &r);

	if (!ok(k != NULL && strncmp(secret, "cnkey-", 6) == 0 &&
		    strlen(secret) == 70 && strstr(secret, "--") == NULL,
		"a key's secret has 256 bits"))
		return;
	ok(strlen(k->prefix) == 14 && strncmp(k->prefix, secret, 14) == 0,
	    "of which 32 are shown");
	ok(ops_authkey_find(&c, secret) == k, "it is found by the secret");
	secret[69] ^= 1;
	ok(ops_authkey_find(&c, secret) == NULL, "not by another");
	ok(ops_authkey_create(&c, &who, &w, other, &r) != NULL &&
		strcmp(secret, other) != 0,
	    "no two are alike");
	ok(authkey_is_usable(k, NOW + 59) && !authkey_is_usable(k, NOW + 60),
	    "usable until it expires");
	k->used = true;
	ok(!authkey_is_usable(k, NOW), "and once");
	k->reusable = true;
	ok(authkey_is_usable(k, NOW), "unless reusable");
	k->used = k->reusable = false;
	ok(ops_authkey_expire(&c, &who, k, &r) && k->expires == NOW &&
		!authkey_is_usable(k, NOW),
	    "expired at once");
	ok(same_as_stored(), "on the disk, too");
	w.tags = bad;
	w.ntags = 1;
	ok(ops_authkey_create(&c, &who, &w, secret, &r) == NULL &&
		secret[0] == '\0',
	    "a malformed tag gives no secret");
	is_error(400, "tag \"camera\": want tag:", "says so");
	ok(ops_authkey_delete(&c, &who, k, &r) && same_as_stored(),
	    "a key is deleted");
}

static void
test_find_node(void)
{
	struct node *n = model_node_labelled(&c.model, "robot-1"), *digits;
	char id[24];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)n->id);
	ok(ops_find_node(&c, id) == n, "a node is found by its id");
	ok(ops_find_node(&c, "robot-1") == n &&
		ops_find_node(&c, "ROBOT-1") == n &&
		ops_find_node(&c, "robot-1.campus.internal") == n &&
		ops_find_node(&c, "robot-1.campus.internal.") == n,
	    "by its name, short or full");
	ok(ops_find_node(&c, "100.64.0.1") == n &&
		ops_find_node(&c, "fd7a:115c:a1e0::2") == n,
	    "by its addresses");
	ok(ops_find_node(&c, "robot-1.elsewhere") == NULL &&
		ops_find_node(&c, "robot-1..") == NULL &&
		ops_find_node(&c, "100.64.0.9") == NULL &&
		ops_find_node(&c, "") == NULL && ops_find_node(&c, ".") == NULL,
	    "and by nothing else");
	digits = add_node(777, n->user);
	(void)model_relabel_node(&c.model, digits, "777");
	ok(ops_find_node(&c, "777") == digits,
	    "digits that are no id may be a name");
	(void)store_delete_node(c.store, digits);
	model_remove_node(&c.model, digits);
}

static void
test_node_simple(void)
{
	struct node *n = model_node_labelled(&c.model, "robot-1");

	told.node = 0;
	ok(ops_node_approve(&c, &who, n, true, &r) && told.node == 0,
	    "what is approved already changes nothing");
	ok(ops_node_approve(&c, &who, n, false, &r) && !n->authorized &&
		told.node == 1,
	    "approval is taken back");
	is_audited(
	    "node approve: robot-1 (id 1): no longer approved", "audited");
	ok(ops_node_expire(&c, &who, n, NOW + 10, &r) && n->expiry == NOW + 10,
	    "an expiry is set");
	is_audited(
	    "node expire: robot-1 (id 1): 2027-01-15T08:00:10Z", "audited");
	ok(ops_node_expire(&c, &who, n, 0, &r) && n->expiry == 0,
	    "and taken away");
	ok(ops_node_approve(&c, &who, n, true, &r) && same_as_stored(),
	    "memory and disk hold the same");
}

static void
test_node_rename(void)
{
	struct user *a = ops_find_user(&c, "alpha");
	struct node *n = model_node_labelled(&c.model, "robot-1");
	struct node *other = add_node(2, a);

	ok(ops_node_rename(&c, &who, n, "crane", &r) && n->label_set &&
		model_node_labelled(&c.model, "crane") == n &&
		model_node_labelled(&c.model, "robot-1") == NULL,
	    "a node is renamed");
	is_audited("node rename: robot-1 (id 1): renamed crane", "audited");
	ok(!ops_node_rename(&c, &who, other, "crane", &r),
	    "not to a taken one");
	is_error(409, "the node with id 1 has it", "says so");
	ok(!ops_node_rename(&c, &who, n, "Crane_1", &r), "nor a bad one");
	is_error(400, "node name \"Crane_1\": want", "says so");
	ok(!ops_node_rename(&c, &who, n, "42", &r), "nor a number");
	ok(same_as_stored(), "memory and disk hold the same");
	ok(ops_node_rename(&c, &who, other, "robot-1", &r),
	    "a name that was left is free");
	ok(ops_node_rename(&c, &who, n, "", &r) && !n->label_set,
	    "back to the hostname");
	eq_str(n->label, "robot-1-1", "or what is left of it");
	ok(ops_node_rename(&c, &who, other, "", &r) &&
		ops_node_rename(&c, &who, n, "", &r),
	    "both go back");
	eq_str(n->label, "robot-1", "to their own");
	ok(same_as_stored(), "memory and disk hold the same");
}

static void
test_node_move(void)
{
	struct user *a = ops_find_user(&c, "alpha");
	struct user *b = ops_find_user(&c, "beta@campus");
	struct node *n = model_node_labelled(&c.model, "robot-1"), *twin;

	ok(ops_node_move(&c, &who, n, b, &r) && n->user == b && a->nodes == 1 &&
		b->nodes == 1 && strcmp(n->subject.user, "beta@campus") == 0,
	    "a node gets another owner");
	is_audited("node move: robot-1 (id 1): from user alpha to beta@campus",
	    "audited");
	twin = make_node(3, a);
	twin->machine = n->machine;
	(void)store_put_node(c.store, twin);
	(void)model_add_node(&c.model, twin);
	ok(!ops_node_move(&c, &who, n, a, &r),
	    "not one who has a node of the same machine");
	is_error(409, "user \"alpha\" has a node of this machine: robot-3",
	    "says so");
	told.gone = 0;
	ok(ops_node_delete(&c, &who, twin, &r) && told.gone == 1 &&
		model_node_labelled(&c.model, "robot-3") == NULL,
	    "a node is deleted");
	ok(ops_node_move(&c, &who, n, a, &r) && same_as_stored(),
	    "then it moves back");
}

static void
test_node_routes(void)
{
	struct node *n = model_node_labelled(&c.model, "robot-1");
	struct ip_prefix v[3], *many;

	advertise(n, "10.1.0.0/16 0.0.0.0/0 ::/0");
	(void)ip_prefix_parse(&v[0], "10.2.0.0/16", 11);
	(void)ip_prefix_parse(&v[1], "10.1.0.0/16", 11);
	v[2] = v[1];
	ok(ops_node_routes(&c, &who, n, v, 3, &r) && n->napproved == 2 &&
		n->nroutes == 1 && ip_prefix_equal(&n->routes[0], &v[1]),
	    "what is approved and offered is served");
	is_audited(
	    "node routes: robot-1 (id 1): 10.1.0.0/16, 10.2.0.0/16", "audited");
	(void)ip_prefix_parse(&v[0], "::/0", 4);
	ok(ops_node_routes(&c, &who, n, v, 1, &r) && n->nroutes == 2 &&
		n->subject.exit_node,
	    "one default route makes an exit node of both");
	ok(same_as_stored(), "memory and disk hold the same");
	many = calloc(NODE_ROUTES_MAX + 1, sizeof(*many));
	ok(!ops_node_routes(&c, &who, n, many, NODE_ROUTES_MAX + 1, &r),
	    "not too many");
	free(many);
	is_error(400, "4097 routes; at most 4096", "says so");
	ok(ops_node_routes(&c, &who, n, NULL, 0, &r) && n->nroutes == 0 &&
		!n->subject.exit_node,
	    "none");
	is_audited("node routes: robot-1 (id 1): none", "audited");
}

static const char tagged_policy[] =
    "{\"tagOwners\": {\"tag:cam\": [\"alpha@\"], \"tag:gate\": [\"alpha@\"]},\n"
    " \"acls\": [{\"action\": \"accept\", \"src\": [\"*\"],\n"
    "   \"dst\": [\"tag:cam:22\"]}],\n"
    " \"autoApprovers\": {\"routes\": {\"10.0.0.0/8\": [\"tag:gate\"]},\n"
    "   \"exitNode\": [\"tag:gate\"]}}";

static bool
set_policy(const char *text)
{
	return ops_policy_set(&c, &who, text, strlen(text), "database", &r);
}

static void
test_policy(void)
{
	const struct policy *before = c.policy;
	void *stored = NULL;

	told.policy = 0;
	ok(!set_policy("{\n \"acls\": [{]}"), "a bad policy is refused");
	is_error(400, "line 2, column ", "with its place");
	ok(c.policy == before && told.policy == 0, "the old one stays");
	ok(!ops_policy_check(&c, "{\"acl\":[]}", 10, &r), "nor checked good");
	ok(ops_policy_check(&c, tagged_policy, strlen(tagged_policy), &r) &&
		c.policy == before,
	    "a good one is checked, no more");
	ok(set_policy(tagged_policy) && told.policy == 1,
	    "a good one is in force");
	eq_str(policy_source(c.policy), tagged_policy, "as it was sent");
	eq_str(c.policy_from, "database", "from the database");
	ok(store_get(c.store, "policy", &stored) ==
		    (long)strlen(tagged_policy) &&
		memcmp(stored, tagged_policy, strlen(tagged_policy)) == 0,
	    "where it is");
	free(stored);
	is_audited("policy set: database", "audited");
	ok(!set_policy("{\"acls\": [], \"tests\": [{\"src\": \"alpha@\", "
		       "\"accept\": [\"100.64.0.2:22\"]}]}"),
	    "one whose tests fail is refused");
	eq_int(r.status, 400, "as bad");
	eq_str(policy_source(c.policy), tagged_policy, "the old one stays");
}

static void
test_tags(void)
{
	static const char *const good[] = {"tag:gate", "tag:cam", "tag:cam"};
	static const char *const bad[] = {"tag:other"};
	struct node *n = model_node_labelled(&c.model, "robot-1");
	const char *many[NODE_TAGS_MAX + 1];

	ok(!ops_node_tag(&c, &who, n, bad, 1, &r),
	    "a tag that the policy does not name is refused");
	is_error(400,
	    "tag \"tag:other\": the policy does not name it in tagOwners",
	    "says so");
	for (size_t i = 0; i <= NODE_TAGS_MAX; i++)
		many[i] = good[0];
	ok(!ops_node_tag(&c, &who, n, many, NODE_TAGS_MAX + 1, &r),
	    "so are too many");
	is_error(400, "65 of them; at most 64", "says so");
	ok(ops_node_tag(&c, &who, n, good, 3, &r) && n->ntags == 2,
	    "tags are set");
	is_audited("node tag: robot-1 (id 1): tag:cam, tag:gate", "audited");
	ok(n->nroutes == 3 && n->subject.exit_node,
	    "the routes that the tag may offer are approved by that");
	ok(same_as_stored(), "memory and disk hold the same");
	ok(ops_node_tag(&c, &who, n, NULL, 0, &r) && n->ntags == 0 &&
		n->nroutes == 3,
	    "without tags what was approved stays");
	ok(ops_node_routes(&c, &who, n, NULL, 0, &r), "until it is taken");
}

static void
test_auto_approvers(void)
{
	static const char text[] = "{\"autoApprovers\": {\"routes\": "
				   "{\"10.1.0.0/16\": [\"alpha@\"]}}}";
	struct node *n = model_node_labelled(&c.model, "robot-1");

	eq_int((int64_t)n->napproved, 0, "nothing is approved");
	told.node = 0;
	ok(set_policy(text) && n->nroutes == 1 && n->napproved == 1,
	    "a new policy approves what is offered already");
	eq_int(told.node, 1, "which the mapper hears");
	ok(same_as_stored(), "and is stored");
	ok(set_policy("") && n->nroutes == 1, "another one takes nothing away");
	ok(ops_node_routes(&c, &who, n, NULL, 0, &r), "people do");
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) == EOF || fclose(f) == EOF)
		printf("Bail out! %s\n", path);
}

static void
test_policy_file(void)
{
	char path[HELP_PATH], from[HELP_PATH + 8];

	conf.policy = path;
	(void)in_folder(dir, "policy.hujson", path);
	ok(!ops_policy_load(&c, &who, &r), "a file that is not there");
	is_error(400, "policy.hujson: No such file", "is named");
	write_file(path, "// all\n{\"acls\": [],}\n");
	ok(ops_policy_load(&c, &who, &r), "a file is loaded");
	snprintf(from, sizeof(from), "file:%s", path);
	eq_str(c.policy_from, from, "and told");
	write_file(path, "{\"acls\": [,]}");
	ok(!ops_policy_load(&c, &who, &r), "a bad one is refused");
	is_error(400, "policy.hujson: line 1, column ", "with its place");
	eq_str(policy_source(c.policy), "// all\n{\"acls\": [],}\n",
	    "the old one stays");
	ok(!set_policy("{}"), "with a file none is set");
	is_error(409, "the policy comes from the file", "says so");
	conf.policy = no_text;
	ok(ops_policy_load(&c, &who, &r) &&
		strcmp(c.policy_from, "database") == 0,
	    "without, the stored one counts");
}

/* At the start there is nothing to stay with. */
static void
test_policy_at_start(void)
{
	static const char text[] =
	    "{\"acls\": [], \"tests\": [{\"src\": \"alpha@\", "
	    "\"accept\": [\"100.64.0.2:22\"]}]}";

	(void)store_set(c.store, "policy", text, strlen(text));
	ok(!ops_policy_load(&c, &who, &r), "a failing test refuses a reload");
	policy_free(c.policy);
	c.policy = NULL;
	c.mapper = NULL;
	told.policy = 0;
	ok(ops_policy_load(&c, &who, &r) && c.policy != NULL,
	    "but not the start");
	eq_int(told.policy, 0, "when there is no mapper yet");
	c.mapper = (struct mapper *)&told;
	ok(set_policy(""), "no rules");
}

/* What fails at the end of a transaction must leave no trace of its parts. */
static void
test_store_fails(void)
{
	struct user *a = ops_find_user(&c, "alpha");
	struct user *b = ops_find_user(&c, "beta@campus");
	struct node *n = model_node_labelled(&c.model, "robot-1");
	struct authkey_wish w = {.user = b};
	struct authkey *k;
	struct ip_prefix v;
	char secret[AUTHKEY_SECRET_MAX];
	static const char *const tags[] = {"tag:cam"};
	const struct policy *policy = c.policy;

	k = ops_authkey_create(&c, &who, &w, secret, &r);
	(void)ip_prefix_parse(&v, "10.1.0.0/16", 11);
	ok(run_sql(dir,
	       "CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN"
	       " SELECT RAISE(FAIL, 'the disk is in pieces'); END"),
	    "the audit log breaks");
	memset(&told, 0, sizeof(told));
	ok(ops_user_create(&c, &who, "gamma", NULL, &r) == NULL, "no user");
	is_error(500, "the disk is in pieces", "says why");
	is_error(500, ": nothing was changed", "and what it means");
	ok(!ops_user_rename(&c, &who, a, "apex", &r), "no name");
	ok(!ops_user_delete(&c, &who, b, &r), "no end of a user");
	ok(ops_authkey_create(&c, &who, &w, secret, &r) == NULL &&
		secret[0] == '\0',
	    "no key");
	ok(!ops_authkey_expire(&c, &who, k, &r) && k->expires == 0,
	    "no expiry of a key");
	ok(!ops_authkey_delete(&c, &who, k, &r), "no end of a key");
	ok(!ops_node_approve(&c, &who, n, false, &r) && n->authorized,
	    "no approval");
	ok(!ops_node_expire(&c, &who, n, NOW, &r) && n->expiry == 0,
	    "no expiry");
	ok(!ops_node_rename(&c, &who, n, "crane", &r) &&
		strcmp(n->label, "robot-1") == 0 && !n->label_set,
	    "no name of a node");
	ok(!ops_node_move(&c, &who, n, b, &r) && n->user == a, "no owner");
	ok(!ops_node_tag(&c, &who, n, tags, 1, &r) && n->ntags == 0, "no tags");
	ok(!ops_node_routes(&c, &who, n, &v, 1, &r) && n->nroutes == 0,
	    "no routes");
	ok(!ops_node_delete(&c, &who, n, &r) &&
		model_node_labelled(&c.model, "robot-1") == n,
	    "no end of a node");
	ok(!set_policy(tagged_policy) && c.policy == policy, "no policy");
	ok(told.node + told.gone + told.users + told.policy == 0,
	    "the mapper hears of nothing");
	eq_int(metric_get(&c.stats.store_failures), 14, "each is counted");
	ok(run_sql(dir, "DROP TRIGGER broken"), "the audit log is whole again");
	ok(same_as_stored(), "memory and disk hold the same");
}

static void
test_delete_user(void)
{
	struct user *a = ops_find_user(&c, "alpha");
	struct user *b = ops_find_user(&c, "beta@campus");

	ok(ops_user_delete(&c, &who, b, &r) &&
		ops_find_user(&c, "beta@campus") == NULL,
	    "a user goes");
	is_audited("user delete: beta@campus", "audited");
	ok(same_as_stored(), "and its keys go with it");
	for (unsigned i = 1; i <= 2; i++)
		(void)ops_node_delete(&c, &who,
		    ops_find_node(&c, i == 1 ? "robot-1" : "robot-2"), &r);
	ok(ops_user_delete(&c, &who, a, &r) && c.model.nnodes == 0 &&
		TAILQ_EMPTY(&c.model.authkeys) && same_as_stored(),
	    "after its nodes, the other");
}

int
main(void)
{
	log_init("ops_test", LOG_QUIET);
	c.store = must_open(new_folder(dir));
	c.mapper = (struct mapper *)&told;
	must_load(c.store, &c.model);
	ok(ops_policy_load(&c, &who, &r) &&
		strcmp(c.policy_from, "default") == 0,
	    "the policy of the first start");
	test_users();
	test_rename_user();
	test_keys();
	test_find_node();
	test_node_simple();
	test_node_rename();
	test_node_move();
	test_node_routes();
	test_policy();
	test_tags();
	test_auto_approvers();
	test_policy_file();
	test_policy_at_start();
	test_store_fails();
	test_delete_user();
	policy_free(c.policy);
	model_clear(&c.model);
	store_close(c.store);
	remove_folder(dir);
	return tap_done();
}
