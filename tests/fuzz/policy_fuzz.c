/*
 * policy_fuzz: any bytes as a policy. One that is refused says where, in one
 * line. One that is taken makes filters that are JSON; who is let through by
 * it is seen; and nothing depends on what was asked before.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NODES 6

static const char *const server[] = {"tag:server"};
static const char *const others[] = {"tag:exit", "tag:router"};

static struct policy_subject subjects[NODES] = {
    {.user = "alice", .user_id = 1},
    {.user = "alice", .user_id = 1},
    {.user = "bob", .user_id = 2},
    {.user = "bob", .user_id = 2, .tags = server, .ntags = 1},
    {.user = "bob", .user_id = 2, .tags = others, .ntags = 2},
    {.user = "dave@example.com", .user_id = 3},
};
static struct ip_prefix routes[4];
static const struct policy_subject *list[NODES];
static const struct policy_world world = {.v = list, .n = NODES};

static void
world_init(void)
{
	static const char *const text[] = {
	    "10.33.0.0/16", "0.0.0.0/0", "::/0", "fd00:5::/64"};

	for (size_t i = 0; i < 4; i++)
		if (!ip_prefix_parse(&routes[i], text[i], strlen(text[i])))
			abort();
	for (uint8_t i = 0; i < NODES; i++) {
		subjects[i].ip4 = (struct ip){
		    {[10] = 0xff, 0xff, 100, 64, 0, (uint8_t)(i + 1)}};
		subjects[i].ip6 = (struct ip){{0xfd, 0x7a, 0x11, 0x5c, 0xa1,
		    0xe0, [15] = (uint8_t)(i + 1)}};
		list[i] = &subjects[i];
	}
	subjects[4].routes = routes;
	subjects[4].nroutes = 3;
	subjects[4].exit_node = true;
	subjects[5].routes = routes + 3;
	subjects[5].nroutes = 1;
}

static void
check_refused(const char *error)
{
	unsigned line, column;

	if (sscanf(error, "line %u, column %u: ", &line, &column) != 2 ||
	    line == 0 || column == 0 || strchr(error, '\n') != NULL ||
	    strlen(error) >= POLICY_ERROR_MAX)
		abort();
}

static char *
filter(struct policy *p, size_t i, const struct policy_bits *bits)
{
	struct text t = TEXT_EMPTY;
	json_t *root;
	char *text;

	policy_filter(p, &world, &subjects[i], bits, &t);
	text = text_take(&t);
	root = text == NULL ? NULL
			    : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_array(root))
		abort();
	json_decref(root);
	return text;
}

static void
check_filter(struct policy *p, size_t i, const struct policy_bits *bits)
{
	char *first = filter(p, i, bits), *second;

	policy_forget(p, bits->src);
	second = filter(p, i, bits);
	if (strcmp(first, second) != 0)
		abort();
	free(first);
	free(second);
}

static void
check_attributes(const struct policy *p, size_t i)
{
	struct text t = TEXT_EMPTY;
	json_t *root;

	text_str(&t, "{\"\":[]");
	policy_attributes(p, &subjects[i], &t);
	text_char(&t, '}');
	root = t.bad ? NULL : json_loads(t.p, 0, NULL);
	if (root == NULL)
		abort();
	json_decref(root);
	text_clear(&t);
}

/* Who may send is a peer. */
static void
check_pair(
    const struct policy *p, const struct policy_bits *bits, size_t i, size_t j)
{
	static const uint8_t protos[] = {0, 1, 6, 17, 47};
	bool sees =
	    policy_reaches(p, &subjects[i], &bits[i], &subjects[j], &bits[j]);

	for (size_t k = 0; k < sizeof(protos); k++) {
		size_t line;
		bool passes = policy_explain(p, &world, &subjects[i],
		    &subjects[j], &subjects[j].ip4, 22, protos[k], &line);

		if (passes ? !sees : line != 0)
			abort();
	}
}

static void
check_policy(struct policy *p)
{
	size_t words = policy_words(p);
	uint64_t *space = calloc(words, 2 * NODES * sizeof(*space));
	struct policy_bits bits[NODES];
	char error[POLICY_ERROR_MAX];

	if (space == NULL)
		abort();
	for (size_t i = 0; i < NODES; i++) {
		bits[i].src = space + 2 * i * words;
		bits[i].dst = bits[i].src + words;
		policy_match(p, &subjects[i], &bits[i]);
	}
	for (size_t i = 0; i < NODES; i++) {
		check_filter(p, i, &bits[i]);
		check_attributes(p, i);
		for (size_t j = 0; j < NODES; j++)
			check_pair(p, bits, i, j);
		for (size_t j = 0; j < 4; j++) {
			policy_reaches_route(
			    p, &subjects[i], &bits[i], &routes[j]);
			policy_approves(p, &subjects[i], &routes[j]);
		}
		policy_owns_tag(p, &subjects[i], "tag:server");
	}
	if (!policy_test(p, &world, error))
		check_refused(error);
	free(space);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[POLICY_ERROR_MAX];
	struct policy *p;

	if (list[0] == NULL)
		world_init();
	p = policy_parse((const char *)data, size, error);
	if (p == NULL) {
		check_refused(error);
		return 0;
	}
	if (error[0] != '\0')
		abort();
	check_policy(p);
	policy_free(p);
	return 0;
}
