/*
 * metrics: builds a page of the Prometheus text format. The numbers of the
 * process come from /proc; nothing else is opened here.
 */
#include <sys/resource.h>

#include <sys/stat.h>

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/metrics.h"

void
metrics_init(struct metrics *m)
{
	memset(m, 0, sizeof(*m));
}

void
metrics_clear(struct metrics *m)
{
	free(m->text);
	metrics_init(m);
}

/* Makes room for n more bytes and a zero. */
static bool
grow(struct metrics *m, size_t n)
{
	size_t cap = m->cap == 0 ? 4096 : m->cap;
	char *text;

	if (m->bad)
		return false;
	while (cap - m->len <= n)
		cap *= 2;
	if (cap == m->cap)
		return true;
	text = realloc(m->text, cap);
	if (text == NULL) {
		m->bad = true;
		return false;
	}
	m->text = text;
	m->cap = cap;
	return true;
}

static void
put(struct metrics *m, const char *s, size_t n)
{
	if (!grow(m, n))
		return;
	memcpy(m->text + m->len, s, n);
	m->len += n;
	m->text[m->len] = '\0';
}

static void
put_str(struct metrics *m, const char *s)
{
	put(m, s, strlen(s));
}

/* HELP text ends at a newline: that and the backslash are escaped. */
static void
put_help(struct metrics *m, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '\n')
			put_str(m, "\\n");
		else if (*s == '\\')
			put_str(m, "\\\\");
		else
			put(m, s, 1);
}

void
metrics_family(struct metrics *m, const char *name, enum metrics_type type,
    const char *help)
{
	static const char *const names[] = {
	    [METRICS_COUNTER] = "counter",
	    [METRICS_GAUGE] = "gauge",
	    [METRICS_HISTOGRAM] = "histogram",
	    [METRICS_UNTYPED] = "untyped",
	};

	if (help != NULL) {
		put_str(m, "# HELP ");
		put_str(m, name);
		put_str(m, " ");
		put_help(m, help);
		put_str(m, "\n");
	}
	put_str(m, "# TYPE ");
	put_str(m, name);
	put_str(m, " ");
	put_str(m, names[type]);
	put_str(m, "\n");
}

static void
put_sample(
    struct metrics *m, const char *name, const char *labels, const char *value)
{
	put_str(m, name);
	if (labels != NULL) {
		put_str(m, "{");
		put_str(m, labels);
		put_str(m, "}");
	}
	put_str(m, " ");
	put_str(m, value);
	put_str(m, "\n");
}

void
metrics_int(struct metrics *m, const char *name, const char *labels, int64_t v)
{
	char value[32];

	snprintf(value, sizeof(value), "%lld", (long long)v);
	put_sample(m, name, labels, value);
}

void
metrics_real(struct metrics *m, const char *name, const char *labels, double v)
{
	char value[32];

	/* As short as reads back as the same number. */
	snprintf(value, sizeof(value), "%.15g", v);
	if (strtod(value, NULL) != v)
		snprintf(value, sizeof(value), "%.17g", v);
	if (isnan(v))
		snprintf(value, sizeof(value), "NaN");
	else if (isinf(v))
		snprintf(value, sizeof(value), v > 0 ? "+Inf" : "-Inf");
	put_sample(m, name, labels, value);
}

/* ---- the process, from /proc ---- */

/* The numbers that are wanted of proc(5)'s /proc/self/stat. */
struct proc_stat {
	unsigned long long utime, stime, start, vsize;
	long long rss;
};

static bool
read_stat(struct proc_stat *s)
{
	char line[1024];
	const char *p;
	FILE *f = fopen("/proc/self/stat", "re");
	bool good = false;

	if (f == NULL)
		return false;
	/* The second field, in parentheses, may hold anything. Behind it
	 * comes field 3; utime is 14, starttime 22, vsize 23, rss 24. */
	if (fgets(line, sizeof(line), f) != NULL &&
	    (p = strrchr(line, ')')) != NULL)
		good = sscanf(p + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
			   " %llu %llu %*d %*d %*d %*d %*d %*d %llu %llu %lld",
			   &s->utime, &s->stime, &s->start, &s->vsize,
			   &s->rss) == 5;
	fclose(f);
	return good;
}

/* When the machine started, in seconds since 1970, or 0. */
static double
boot_time(void)
{
	char line[256];
	long long at = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (f == NULL)
		return 0;
	while (at == 0 && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "btime %lld", &at) != 1)
			at = 0;
	fclose(f);
	return (double)at;
}

int64_t
metrics_open_files(void)
{
	DIR *dir;
	struct stat st;
	int64_t n = -1;

	/* Since Linux 6.2 the folder's size is the count, and there is no need
	 * to walk it, which takes milliseconds for thousands of sockets. */
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return st.st_size;
	if ((dir = opendir("/proc/self/fd")) == NULL)
		return -1;
	for (const struct dirent *e; (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.')
			n++;
	closedir(dir);
	return n;
}

static void
one(struct metrics *m, const char *name, enum metrics_type type,
    const char *help, double v)
{
	metrics_family(m, name, type, help);
	metrics_real(m, name, NULL, v);
}

void
metrics_process(struct metrics *m)
{
	double hz = (double)sysconf(_SC_CLK_TCK);
	double page = (double)sysconf(_SC_PAGESIZE);
	int64_t files = metrics_open_files();
	struct proc_stat s;
	struct rlimit limit;

	if (read_stat(&s)) {
		one(m, "process_cpu_seconds_total", METRICS_COUNTER,
		    "User and system CPU time in seconds.",
		    (double)(s.utime + s.stime) / hz);
		one(m, "process_resident_memory_bytes", METRICS_GAUGE,
		    "Resident memory in bytes.", (double)s.rss * page);
		one(m, "process_virtual_memory_bytes", METRICS_GAUGE,
		    "Virtual memory in bytes.", (double)s.vsize);
		one(m, "process_start_time_seconds", METRICS_GAUGE,
		    "Start of the process in seconds since 1970.",
		    boot_time() + (double)s.start / hz);
	}
	if (files >= 0)
		one(m, "process_open_fds", METRICS_GAUGE,
		    "Open file descriptors.", (double)files);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		one(m, "process_max_fds", METRICS_GAUGE,
		    "Most file descriptors that may be open.",
		    (double)limit.rlim_cur);
}
