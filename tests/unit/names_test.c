/* names: DNS labels from whatever a client calls itself. */
#include <stdlib.h>

#include "coordd/names.h"
#include "tests/tap.h"

static const uint8_t seed[KEYMAP_SEED_LEN] = {5, 5, 5};

static struct user owner = {.id = 1};

static struct node *
add(struct model *m, uint64_t id, const char *label)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		abort();
	n->id = id;
	n->user = &owner;
	memcpy(n->node_key.b, &id, sizeof(id));
	if (!model_set_text(&n->label, label) || !model_add_node(m, n))
		abort();
	return n;
}

static void
test_sanitise(void)
{
	static const char long_name[] =
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "bcd";
	static const struct {
		const char *hostname, *label;
	} cases[] = {
	    {"robot", "robot"},
	    {"Robot-7", "robot-7"},
	    {"robot.lab.example", "robot"},
	    {"robot 7", "robot-7"},
	    {"robot__7", "robot-7"},
	    {"--robot--7--", "robot-7"},
	    {"r\xc3\xb6"
	     "bot",
		"r-bot"},
	    {"\xff\xfe", "node"},
	    {"\xe6\x97\xa5\xe6\x9c\xac", "node"},
	    {"", "node"},
	    {"-", "node"},
	    {".", "node"},
	    {".robot", "node"},
	    {"a\"b\\c\n<d>", "a-b-c-d"},
	    {"7", "7"},
	    {"xn--bcher-kva", "xn-bcher-kva"},
	    {"\x01\x7f", "node"},
	    {"a.", "a"},
	};
	char label[LABEL_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		names_sanitise(cases[i].hostname, label);
		eq_str(label, cases[i].label, cases[i].label);
		ok(names_label_ok(label), "which is a label");
	}
	names_sanitise(long_name, label);
	eq_int((int64_t)strlen(label), LABEL_MAX, "63 characters are kept");
	ok(strspn(label, "a") == LABEL_MAX, "the first ones");
}

/* What is cut off must not leave a '-' at the end. */
static void
test_cut_at_dash(void)
{
	char name[100], label[LABEL_MAX + 1];

	memset(name, 'x', sizeof(name));
	name[99] = '\0';
	name[LABEL_MAX - 1] = '_';
	names_sanitise(name, label);
	eq_int((int64_t)strlen(label), LABEL_MAX - 1, "cut before the dash");
	ok(names_label_ok(label), "and a label");
}

static void
test_unique(void)
{
	char label[LABEL_MAX + 1], want[32];
	struct node *first;
	struct model m;
	bool good = true;

	model_init(&m, seed);
	ok(names_make_label(&m, "robot", NULL, label), "the first");
	eq_str(label, "robot", "gets it as it is");
	first = add(&m, 1, label);
	for (unsigned i = 1; i <= 300; i++) {
		snprintf(want, sizeof(want), "robot-%u", i);
		good = good && names_make_label(&m, "Robot", NULL, label) &&
		    strcmp(label, want) == 0;
		add(&m, 1 + i, label);
	}
	ok(good, "300 more get numbers in turn");
	(void)names_make_label(&m, "robot", first, label);
	eq_str(label, "robot", "who has it keeps it");
	(void)names_make_label(&m, "robot-7", NULL, label);
	eq_str(label, "robot-7-1", "a number that is taken");
	model_remove_node(&m, model_node_labelled(&m, "robot-3"));
	(void)names_make_label(&m, "robot", NULL, label);
	eq_str(label, "robot-3", "one that is free again");
	model_clear(&m);
}

static void
test_unique_long(void)
{
	char name[100], label[LABEL_MAX + 1];
	struct model m;
	bool good = true;

	memset(name, 'x', sizeof(name));
	name[99] = '\0';
	model_init(&m, seed);
	for (unsigned i = 0; i < 120; i++) {
		good = good && names_make_label(&m, name, NULL, label) &&
		    strlen(label) <= LABEL_MAX && names_label_ok(label) &&
		    model_node_labelled(&m, label) == NULL;
		add(&m, 1 + i, label);
	}
	ok(good, "120 long names: the numbers fit");
	eq_int(label[LABEL_MAX - 4] == '-', 1, "the name makes room for -119");
	model_clear(&m);
}

/* "a-" and a number would be "a--1". */
static void
test_unique_cut_at_dash(void)
{
	char name[LABEL_MAX + 1], label[LABEL_MAX + 1];
	struct model m;

	memset(name, 'x', LABEL_MAX);
	name[LABEL_MAX] = '\0';
	name[LABEL_MAX - 3] = '-';
	model_init(&m, seed);
	(void)names_make_label(&m, name, NULL, label);
	add(&m, 1, label);
	(void)names_make_label(&m, name, NULL, label);
	ok(names_label_ok(label) && strcmp(label, name) != 0,
	    "a name that is cut at a dash stays a label");
	model_clear(&m);
}

static void
test_label_ok(void)
{
	static const char *const good[] = {"a", "7", "a-b", "robot-1"};
	static const char *const bad[] = {"", "-", "-a", "a-", "A", "a.b",
	    "a b", "a_b", "\xc3\xb6", "a\n",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(names_label_ok(good[i]), good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!names_label_ok(bad[i]), "no label");
}

int
main(void)
{
	test_sanitise();
	test_cut_at_dash();
	test_unique();
	test_unique_long();
	test_unique_cut_at_dash();
	test_label_ok();
	return tap_done();
}
