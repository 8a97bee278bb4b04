/*
 * log: one line per event on standard error.
 *
 * Bytes that came from the network are escaped by log_escape before they are
 * logged. Secrets are never passed to this module. Safe from any thread.
 */
#ifndef RUN_LOG_H
#define RUN_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/limit.h"
#include "pure/mono.h"

enum log_level { LOG_QUIET, LOG_ERROR_LEVEL, LOG_INFO_LEVEL, LOG_DEBUG_LEVEL };

/* Sets the program's name, which begins each line, and what is written.
 * Lines carry the UTC time unless the journal adds its own. */
void log_init(const char *program, enum log_level level);
enum log_level log_get_level(void);

/* log_warn adds the text of errno, log_warnx does not; both keep errno. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Only before a daemon is ready: logs and exits with status 1. */
_Noreturn void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
_Noreturn void fatalx(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/*
 * Copies n bytes to out (cap bytes, zero-terminated) with every byte outside
 * printable ASCII, and the backslash, written as \xNN. Cuts what does not
 * fit. Returns out.
 */
const char *log_escape(char *out, size_t cap, const void *bytes, size_t n);

/*
 * A bound on lines of one kind. Returns 0 if the line must be left out, else 1
 * plus the number of lines left out since the last one that was let through.
 */
struct log_limit {
	struct limit limit;
	uint64_t skipped;
};
uint64_t log_allowed(struct log_limit *l, struct mono now);

#endif
