/* metrics: the Prometheus text format. */
#include <math.h>
#include <stdlib.h>

#include "run/metrics.h"
#include "tests/tap.h"

static void
test_families(void)
{
	struct metrics m;

	metrics_init(&m);
	metrics_family(&m, "a_total", METRICS_COUNTER, "What it counts.");
	metrics_int(&m, "a_total", NULL, 5);
	metrics_family(&m, "b", METRICS_GAUGE, NULL);
	metrics_int(&m, "b", "kind=\"x\",way=\"in\"", INT64_MIN);
	metrics_family(&m, "c", METRICS_HISTOGRAM, NULL);
	metrics_family(&m, "d", METRICS_UNTYPED, "A\nb\\c");
	eq_str(m.text,
	    "# HELP a_total What it counts.\n"
	    "# TYPE a_total counter\n"
	    "a_total 5\n"
	    "# TYPE b gauge\n"
	    "b{kind=\"x\",way=\"in\"} -9223372036854775808\n"
	    "# TYPE c histogram\n"
	    "# HELP d A\\nb\\\\c\n"
	    "# TYPE d untyped\n",
	    "families and samples");
	eq_int((int64_t)m.len, (int64_t)strlen(m.text), "the length is right");
	metrics_clear(&m);
	ok(m.text == NULL && m.len == 0, "cleared");
}

static void
test_reals(void)
{
	static const struct {
		double v;
		const char *text;
	} rows[] = {{0, "x 0\n"}, {0.1, "x 0.1\n"}, {1e21, "x 1e+21\n"},
	    {-1.5, "x -1.5\n"}, {1.0 / 3, "x 0.33333333333333331\n"},
	    {1732200000.25, "x 1732200000.25\n"}, {INFINITY, "x +Inf\n"},
	    {-INFINITY, "x -Inf\n"}, {NAN, "x NaN\n"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct metrics m;

		metrics_init(&m);
		metrics_real(&m, "x", NULL, rows[i].v);
		eq_str(m.text, rows[i].text, "a real number");
		metrics_clear(&m);
	}
}

static void
test_growth(void)
{
	struct metrics m;
	bool same = true;

	metrics_init(&m);
	for (int i = 0; i < 10000; i++)
		metrics_int(&m, "name", "label=\"value\"", 7);
	eq_int((int64_t)m.len, 10000 * 22, "ten thousand lines");
	for (size_t i = 0; i < m.len; i += 22)
		same &=
		    memcmp(m.text + i, "name{label=\"value\"} 7\n", 22) == 0;
	ok(same && !m.bad, "all the same");
	metrics_clear(&m);
}

/* The number behind a name at the beginning of a line, or -1. */
static double
number(const struct metrics *m, const char *name)
{
	char key[80];
	const char *p;

	snprintf(key, sizeof(key), "\n%s ", name);
	p = strstr(m->text, key);
	return p == NULL ? -1 : atof(p + strlen(key));
}

static void
test_process(void)
{
	struct metrics m;

	metrics_init(&m);
	metrics_process(&m);
	ok(number(&m, "process_cpu_seconds_total") >= 0, "CPU time");
	ok(number(&m, "process_resident_memory_bytes") > 100000, "memory");
	ok(number(&m, "process_virtual_memory_bytes") > 100000, "virtual");
	/* Later than 2020: it is seconds since 1970, not since boot. */
	ok(number(&m, "process_start_time_seconds") > 1577836800, "start");
	ok(number(&m, "process_open_fds") >= 3, "open files");
	ok(number(&m, "process_max_fds") >= number(&m, "process_open_fds"),
	    "files that may be open");
	metrics_clear(&m);
}

static void
test_metric(void)
{
	metric m = 0;

	metric_add(&m, 3);
	metric_add(&m, -1);
	eq_int(metric_get(&m), 2, "added");
	metric_set(&m, 9);
	eq_int(metric_get(&m), 9, "set");
}

int
main(void)
{
	test_families();
	test_reals();
	test_growth();
	test_process();
	test_metric();
	return tap_done();
}
