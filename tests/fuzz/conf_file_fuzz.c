/*
 * conf_file_fuzz: any bytes as a configuration file. What is taken is
 * printed, read again and printed again: both must be the same.
 */
#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/addr.h"
#include "run/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sample {
	bool sw;
	int64_t number, time, span;
	double real;
	char *text;
	struct conf_strings list;
	struct addr addr;
	struct conf_addrs addrs;
	int choice;
};

#define AT(field) offsetof(struct sample, field)

/* clang-format off */
static const struct conf_option table[] = {
	{"s", CONF_BOOL, AT(sw), "false", 0, 0, NULL, "a switch"},
	{"int", CONF_INT, AT(number), "7", INT64_MIN, INT64_MAX, NULL, "N: n"},
	{"real", CONF_REAL, AT(real), "+Inf", 0, 0, NULL, "R: a rate"},
	{"time", CONF_DURATION, AT(time), "10s", 0, INT64_C(86400000000), NULL,
	    "TIME: some time"},
	{"span", CONF_DURATION, AT(span), "0", -1000000000, 1000000000, NULL,
	    "TIME: to and fro"},
	{"text", CONF_STRING, AT(text), "", 0, 0, NULL, "TEXT: a text"},
	{"list", CONF_STRINGS, AT(list), NULL, 0, 0, NULL, "TEXT: some"},
	{"addr", CONF_ADDR, AT(addr), "", 0, 1, NULL, "ADDR:PORT: one or none"},
	{"addrs", CONF_ADDRS, AT(addrs), NULL, 53, 0, NULL, "ADDR: some"},
	{"choice", CONF_CHOICE, AT(choice), "bb", 0, 0, "a|bb|ccc", "C: one"},
	{0},
};
/* clang-format on */

static int fd = -1;

static enum conf_result
load(struct sample *conf, const void *text, size_t n, char *error)
{
	char program[] = "fuzz", flag[] = "-config", path[40];
	char *argv[] = {program, flag, path, NULL};

	if (fd == -1)
		fd = memfd_create("conf", 0);
	if (fd == -1 || ftruncate(fd, 0) == -1 ||
	    pwrite(fd, text, n, 0) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(conf, 0, sizeof(*conf));
	return conf_load(table, conf, 3, argv, error);
}

static char *
printed(const struct sample *conf, size_t *n)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, n);

	if (out == NULL)
		abort();
	conf_print(table, conf, out);
	fclose(out);
	return text;
}

/* Not the texts that quotes and escapes make longer than a line. */
static bool
is_plain(const char *s)
{
	return strlen(s) < 2000;
}

static bool
can_be_printed(const struct sample *conf)
{
	for (size_t i = 0; i < conf->list.n; i++)
		if (!is_plain(conf->list.v[i]))
			return false;
	return is_plain(conf->text);
}

static void
check_print(const struct sample *conf, char *error)
{
	struct sample again;
	size_t n, m;
	char *text = printed(conf, &n), *second;

	if (load(&again, text, n, error) != CONF_OK)
		abort();
	second = printed(&again, &m);
	if (n != m || memcmp(text, second, n) != 0)
		abort();
	conf_clear(table, &again);
	free(second);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[CONF_ERROR_MAX];
	struct sample conf;

	switch (load(&conf, data, size, error)) {
	case CONF_OK:
		if (error[0] != '\0')
			abort();
		if (can_be_printed(&conf))
			check_print(&conf, error);
		break;
	case CONF_BAD:
		if (error[0] == '\0' || strchr(error, '\n') != NULL ||
		    strlen(error) >= CONF_ERROR_MAX)
			abort();
		break;
	case CONF_HELP:
		abort();
	}
	conf_clear(table, &conf);
	return 0;
}
