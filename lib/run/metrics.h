/*
 * metrics: counters, and the Prometheus text format (version 0.0.4).
 */
#ifndef RUN_METRICS_H
#define RUN_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * A number with one writing thread and any number of reading ones. Not an
 * atomic add: a relaxed load and store cost no more than plain ones.
 */
typedef _Atomic int64_t metric;

static inline void
metric_add(metric *m, int64_t n)
{
	atomic_store_explicit(m,
	    atomic_load_explicit(m, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static inline void
metric_set(metric *m, int64_t n)
{
	atomic_store_explicit(m, n, memory_order_relaxed);
}

static inline int64_t
metric_get(const metric *m)
{
	return atomic_load_explicit(m, memory_order_relaxed);
}

enum metrics_type {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM,
	METRICS_UNTYPED,
};

/* Text under construction; grows by malloc. `bad` after a failed one. */
struct metrics {
	char *text;
	size_t len, cap;
	bool bad;
};

void metrics_init(struct metrics *m);
void metrics_clear(struct metrics *m);

/* Writes the # HELP (unless help is NULL) and # TYPE lines of a family. */
void metrics_family(struct metrics *m, const char *name, enum metrics_type type,
    const char *help);

/* Writes one sample. labels is the text between the braces, already escaped
 * (`reason="x",kind="y"`), or NULL. */
void metrics_int(
    struct metrics *m, const char *name, const char *labels, int64_t v);
void metrics_real(
    struct metrics *m, const char *name, const char *labels, double v);

/* process_cpu_seconds_total, process_resident_memory_bytes,
 * process_open_fds, process_max_fds, process_start_time_seconds, under the
 * names of Prometheus's own clients. Reads /proc. */
void metrics_process(struct metrics *m);

/* How many descriptors this process has open, -1 if that cannot be known. */
int64_t metrics_open_files(void);

/*
 * An HTTP listener on loop for /metrics and /healthz (200 "ok"), on libevent's
 * evhttp. render fills the page. Returns NULL, errno set, if the address
 * cannot be had.
 */
struct loop;
struct addr;
struct metrics_server;
typedef void metrics_render(struct metrics *m, void *arg);
struct metrics_server *metrics_serve(
    struct loop *l, const struct addr *a, metrics_render *render, void *arg);
/* Where it listens: port 0 is the kernel's choice then. */
const struct addr *metrics_server_addr(const struct metrics_server *s);
void metrics_server_free(struct metrics_server *s);

#endif
