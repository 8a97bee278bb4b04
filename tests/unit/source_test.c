/* source: what strangers of one source may take, and that others do not feel
 * it. */
#include <stdlib.h>

#include "coordd/source.h"
#include "pure/ip.h"
#include "tests/tap.h"

#define START  INT64_C(3600000000)
#define SECOND INT64_C(1000000)

static const uint8_t seed[KEYMAP_SEED_LEN] = {7};

static struct source *
enter(struct sources *all, const char *text)
{
	struct ip ip;

	if (!ip_parse(&ip, text, strlen(text)))
		abort();
	return source_enter(all, ip.b);
}

static struct mono
at(int64_t us)
{
	return (struct mono){START + us};
}

static void
leave(struct sources *all, struct source *s, size_t n, int64_t us)
{
	while (n-- > 0)
		source_leave(all, s, at(us));
}

/* How many get in. */
static size_t
crowd(struct sources *all, const char *text, size_t tries)
{
	size_t n = 0;

	while (tries-- > 0)
		n += enter(all, text) != NULL;
	return n;
}

static void
test_strangers(void)
{
	struct sources all;
	struct source *s;

	sources_init(&all, seed);
	eq_int(crowd(&all, "192.0.2.1", 3000), SOURCE_STRANGERS_MAX,
	    "so many of one address");
	s = enter(&all, "192.0.2.2");
	ok(s != NULL, "its neighbour is another");
	leave(&all, s, 1, 0);
	eq_int(crowd(&all, "2001:db8::1", 1500) +
		crowd(&all, "2001:db8::ffff:0:0:1", 1500),
	    SOURCE_STRANGERS_MAX, "one /64 is one source");
	ok(enter(&all, "2001:db8:0:1::1") != NULL, "the next is another");
	eq_int((int64_t)all.all.count, 3, "those with strangers are kept");

	s = keymap_get(
	    &all.all, &(struct key){{[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}});
	leave(&all, s, 1, 0);
	ok(enter(&all, "192.0.2.1") == s && enter(&all, "192.0.2.1") == NULL,
	    "one goes, one comes");
	leave(&all, s, SOURCE_STRANGERS_MAX, 0);
	eq_int((int64_t)all.all.count, 2, "who took nothing is forgotten");
	s = enter(&all, "2001:db8:0:1::2");
	leave(&all, s, 2, 0);
	s = keymap_get(&all.all, &(struct key){{0x20, 0x01, 0x0d, 0xb8}});
	leave(&all, s, SOURCE_STRANGERS_MAX, 0);
	sources_clear(&all);
}

static int
shakes(struct source *s, int64_t us, int tries)
{
	int n = 0;

	while (tries-- > 0)
		n += source_may_shake(s, at(us));
	return n;
}

static void
test_shakes(void)
{
	const int64_t full = SOURCE_SHAKES_BURST * SOURCE_SHAKES_US;
	struct sources all;
	struct source *s, *other;

	sources_init(&all, seed);
	s = enter(&all, "192.0.2.1");
	other = enter(&all, "192.0.2.2");
	eq_int(shakes(s, 0, 5000), SOURCE_SHAKES_BURST, "so many at once");
	ok(source_may_shake(other, at(0)), "others do not feel it");
	source_shook(s);
	eq_int(shakes(s, 0, 5), 1, "one that came to something is not counted");
	eq_int(shakes(s, SECOND, 5000), SECOND / SOURCE_SHAKES_US,
	    "then so many in a second");
	leave(&all, s, 1, SECOND);
	ok(enter(&all, "192.0.2.1") == s, "to come again");
	eq_int(shakes(s, SECOND, 5), 0, "does not help");
	leave(&all, s, 1, SECOND);
	leave(&all, other, 1, 2 * SECOND);
	sources_tick(&all, at(SECOND + full));
	eq_int((int64_t)all.all.count, 2, "both are remembered");
	sources_tick(&all, at(SECOND + full + 1));
	eq_int((int64_t)all.all.count, 1, "who left first is forgotten first");
	other = enter(&all, "192.0.2.2");
	sources_tick(&all, at(100 * full));
	eq_int((int64_t)all.all.count, 1, "but nobody who is there");
	leave(&all, other, 1, 100 * full);
	sources_clear(&all);
}

int
main(void)
{
	test_strangers();
	test_shakes();
	return tap_done();
}
