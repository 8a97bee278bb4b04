/*
 * tap: the unit tests' assertions. Each prints one TAP line; a failed one
 * also says where and what. One program per unit; main ends with tap_done().
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

static inline bool
tap_ok(bool good, const char *what, const char *file, int line)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tap_count, what);
	if (!good) {
		tap_failed++;
		printf("# at %s:%d\n", file, line);
	}
	return good;
}

static inline bool
tap_int(int64_t got, int64_t want, const char *what, const char *file, int line)
{
	bool good = tap_ok(got == want, what, file, line);

	if (!good)
		printf(
		    "# got %lld, want %lld\n", (long long)got, (long long)want);
	return good;
}

static inline bool
tap_str(const char *got, const char *want, const char *what, const char *file,
    int line)
{
	bool good =
	    tap_ok(got != NULL && strcmp(got, want) == 0, what, file, line);

	if (!good)
		printf("# got  \"%s\"\n# want \"%s\"\n",
		    got == NULL ? "(null)" : got, want);
	return good;
}

static inline bool
tap_mem(const void *got, const void *want, size_t n, const char *what,
    const char *file, int line)
{
	const uint8_t *g = got, *w = want;
	bool good = tap_ok(memcmp(got, want, n) == 0, what, file, line);

	for (size_t i = 0; !good && i < n; i++)
		if (g[i] != w[i]) {
			printf("# byte %zu of %zu: got %02x, want %02x\n", i, n,
			    g[i], w[i]);
			break;
		}
	return good;
}

static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#define ok(expr, what) tap_ok((expr), (what), __FILE__, __LINE__)
#define eq_int(got, want, what) \
	tap_int((got), (want), (what), __FILE__, __LINE__)
#define eq_str(got, want, what) \
	tap_str((got), (want), (what), __FILE__, __LINE__)
#define eq_mem(got, want, n, what) \
	tap_mem((got), (want), (n), (what), __FILE__, __LINE__)

#endif
