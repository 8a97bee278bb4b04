/*
 * log: formats one line and writes it with one write(2), so that lines of
 * several threads do not mix. Never allocates.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run/log.h"

#define LINE_MAX_BYTES 2048

static const char *log_program = "";
static enum log_level log_level = LOG_INFO_LEVEL;
static bool log_stamps = true;

void
log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_level = level;
	/* systemd sets this where standard error is the journal. */
	log_stamps = getenv("JOURNAL_STREAM") == NULL;
}

enum log_level
log_get_level(void)
{
	return log_level;
}

static size_t
line_begin(char *line, size_t cap)
{
	struct timespec ts;
	struct tm tm;
	size_t n = 0;

	if (log_stamps && clock_gettime(CLOCK_REALTIME, &ts) == 0 &&
	    gmtime_r(&ts.tv_sec, &tm) != NULL) {
		n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
		n += (size_t)snprintf(
		    line + n, cap - n, ".%03ldZ ", ts.tv_nsec / 1000000);
	}
	n += (size_t)snprintf(line + n, cap - n, "%s: ", log_program);
	return n;
}

static void __attribute__((format(printf, 1, 0)))
line_write(const char *fmt, va_list ap, int err)
{
	char line[LINE_MAX_BYTES];
	size_t cap = sizeof(line) - 1; /* the newline */
	size_t n = line_begin(line, cap);
	int r = vsnprintf(line + n, cap - n, fmt, ap);

	if (r > 0)
		n += (size_t)r < cap - n ? (size_t)r : cap - n - 1;
	if (err != 0 && n < cap - 1) {
		r = snprintf(line + n, cap - n, ": %s", strerror(err));
		if (r > 0)
			n += (size_t)r < cap - n ? (size_t)r : cap - n - 1;
	}
	line[n++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

static void __attribute__((format(printf, 3, 0)))
log_at(enum log_level level, int err, const char *fmt, va_list ap)
{
	int saved = errno;

	if (log_level >= level)
		line_write(fmt, ap, err);
	errno = saved;
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_ERROR_LEVEL, errno, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_ERROR_LEVEL, 0, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_INFO_LEVEL, 0, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_DEBUG_LEVEL, 0, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_QUIET, errno, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_QUIET, 0, fmt, ap);
	va_end(ap);
	exit(1);
}

const char *
log_escape(char *out, size_t cap, const void *bytes, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *p = bytes;
	size_t o = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
			if (o + 2 > cap)
				break;
			out[o++] = (char)p[i];
			continue;
		}
		if (o + 5 > cap)
			break;
		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex[p[i] >> 4];
		out[o++] = hex[p[i] & 15];
	}
	if (cap > 0)
		out[o] = '\0';
	return out;
}

uint64_t
log_allowed(struct log_limit *l, struct mono now)
{
	uint64_t n;

	if (!limit_allow(&l->limit, now)) {
		l->skipped++;
		return 0;
	}
	n = 1 + l->skipped;
	l->skipped = 0;
	return n;
}
