/*
 * reading_fuzz: any bytes as a result of natprobe. What is refused is refused
 * in one line. What is taken has names that can be shown, the same prediction
 * from both sides, and a page in which nothing of it is code.
 */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/views/views.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
}

static void
check_words(const struct path *p)
{
	struct text t = TEXT_EMPTY;

	path_words(&t, p, "A", "B");
	if (t.bad || t.len == 0)
		abort();
	idle_words(&t, p, "A", "B");
	check_text(t.p);
	text_clear(&t);
}

/* Against itself at another address, and against a plain NAT. */
static void
check_predictions(const struct reading *r)
{
	static const struct verdicts plain = {.udp = ANSWER_YES,
	    .nat = ANSWER_YES,
	    .mapping = {.kind = BEHAVIOUR_EI},
	    .filter = {.kind = BEHAVIOUR_APD},
	    .poison = {.poisonable = ANSWER_NO}};
	struct site other = {.asked = {true, true}, .v = {plain, plain}};
	struct prediction there, back;

	predict(&there, &r->site, &r->site);
	check_words(&there.path[0]);
	predict(&there, &r->site, &other);
	predict(&back, &other, &r->site);
	for (int v6 = 0; v6 < 2; v6++) {
		if (there.path[v6].outcome !=
		    outcome_turned(back.path[v6].outcome))
			abort();
		check_words(&there.path[v6]);
		check_words(&back.path[v6]);
	}
}

static void
check_page(const struct reading *r)
{
	struct reading two[] = {*r, *r};
	struct report report = {
	    .r = two, .n = 2, .when = r->time, .left_out = ""};
	struct text t = TEXT_EMPTY;
	size_t tags = 0;

	strcpy(two[1].building, "\xff");
	report_page(&t, &report);
	if (t.bad || strstr(t.p, "<script") != NULL ||
	    strstr(t.p, "<img") != NULL)
		abort();
	for (const char *s = t.p; *s != '\0'; s++)
		tags += (*s == '<') - (*s == '>');
	if (tags != 0)
		abort();
	text_clear(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[READING_ERROR_MAX];
	static struct reading r;

	if (!reading_parse(&r, (const char *)data, size, error)) {
		if (error[0] == '\0')
			abort();
		check_text(error);
		return 0;
	}
	check_text(r.building);
	for (size_t i = 0; i < r.n_servers; i++)
		check_text(r.servers[i].name);
	for (size_t i = 0; i < r.n_relays; i++)
		check_text(r.relays[i].name);
	check_predictions(&r);
	check_page(&r);
	return 0;
}
