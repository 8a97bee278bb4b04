/* conf's addresses: one or none, several, with a port or without; what is
 * wrong is told where it stands, and with what would be right. */
#include <stdlib.h>
#include <unistd.h>

#include "run/addr.h"
#include "run/conf.h"
#include "tests/tap.h"

struct sample {
	struct addr listen, metrics, resolver, unset;
	struct conf_addrs more, again;
};

#define AT(field) offsetof(struct sample, field)

/* clang-format off */
static const struct conf_option table[] = {
	{"listen", CONF_ADDR, AT(listen), ":443", 0, 0, NULL, "ADDR: one"},
	{"metrics", CONF_ADDR, AT(metrics), "", 0, 1, NULL, "ADDR: or none"},
	{"resolver", CONF_ADDR, AT(resolver), "192.0.2.1", 53, 1, NULL,
	    "ADDR: port 53 unless another is given"},
	{"unset", CONF_ADDR, AT(unset), NULL, 0, 1, NULL, "ADDR: no default"},
	{"more", CONF_ADDRS, AT(more), ":3478", 3478, 0, NULL, "ADDR: some"},
	{"again", CONF_ADDRS, AT(again), NULL, 0, 0, NULL, "ADDR: or none"},
	{0},
};
/* clang-format on */

static struct sample conf;
static char error[CONF_ERROR_MAX];
static char file_name[] = "/tmp/conf_addr_test.XXXXXX";

/* Loads the file's text, unless NULL, and at most one flag. */
static enum conf_result
load(const char *file, const char *flag)
{
	char program[] = "program", option[] = "-config", *argv[4] = {program};
	char copy[200];
	int argc = 1;
	FILE *f;

	if (file != NULL) {
		if ((f = fopen(file_name, "w")) == NULL ||
		    fputs(file, f) == EOF || fclose(f) == EOF)
			exit(1);
		argv[argc++] = option;
		argv[argc++] = file_name;
	}
	if (flag != NULL) {
		snprintf(copy, sizeof(copy), "%s", flag);
		argv[argc++] = copy;
	}
	conf_clear(table, &conf);
	memset(&conf, 0, sizeof(conf));
	return conf_load(table, &conf, argc, argv, error);
}

static bool
is(const struct addr *a, const char *want)
{
	char text[ADDR_TEXT_MAX];

	return a->len != 0 && strcmp(addr_text(a, text), want) == 0;
}

static void
test_defaults(void)
{
	eq_int(load(NULL, NULL), CONF_OK, "defaults");
	ok(is(&conf.listen, "[::]:443"), "an address");
	ok(conf.metrics.len == 0 && conf.unset.len == 0, "none");
	ok(is(&conf.resolver, "192.0.2.1:53"), "the port of the table");
	ok(conf.more.n == 1 && is(&conf.more.v[0], "[::]:3478"), "a list");
	ok(conf.again.n == 0, "an empty list");
	conf_clear(table, &conf);
	ok(conf.more.n == 0 && conf.more.v == NULL, "cleared");
}

static void
test_values(void)
{
	load(NULL, "-listen=192.0.2.7:80");
	ok(is(&conf.listen, "192.0.2.7:80"), "IPv4");
	load(NULL, "-listen=[2001:db8::7]:https");
	ok(is(&conf.listen, "[2001:db8::7]:443"), "IPv6, a port's name");
	load(NULL, "-metrics=localhost:0");
	ok(is(&conf.metrics, "127.0.0.1:0"), "port 0");
	load(NULL, "-resolver=192.0.2.8:5353");
	ok(is(&conf.resolver, "192.0.2.8:5353"), "another port");
	load(NULL, "-resolver=2001:db8::8");
	ok(is(&conf.resolver, "[2001:db8::8]:53"), "none, of IPv6");
	load("metrics :9\n", "-metrics=");
	ok(conf.metrics.len == 0, "an empty one takes the file's away");
	load("resolver \"\"\n", NULL);
	ok(conf.resolver.len == 0, "and the default's");
}

static void
test_lists(void)
{
	load("more 192.0.2.1\nagain :1\nmore [2001:db8::1]:7\n", NULL);
	ok(conf.more.n == 2 && is(&conf.more.v[0], "192.0.2.1:3478") &&
		is(&conf.more.v[1], "[2001:db8::1]:7"),
	    "given again; the default is gone");
	ok(conf.again.n == 1 && is(&conf.again.v[0], "[::]:1"), "another");
	load("more 192.0.2.1\nmore 192.0.2.2\n", "-more=192.0.2.3");
	ok(conf.more.n == 1 && is(&conf.more.v[0], "192.0.2.3:3478"),
	    "flags begin it anew");
}

static void
test_faults(void)
{
	static const struct {
		const char *file, *flag, *error;
	} rows[] = {
	    {NULL, "-listen=443",
		"flag -listen: \"443\" is not ADDR, such as :443, "
		"192.0.2.1:443 or [2001:db8::1]:443"},
	    {NULL, "-listen=",
		"flag -listen: \"\" is not ADDR, such as :443, "
		"192.0.2.1:443 or [2001:db8::1]:443"},
	    {NULL, "-listen=192.0.2.1",
		"flag -listen: \"192.0.2.1\" is not ADDR, such as :443, "
		"192.0.2.1:443 or [2001:db8::1]:443"},
	    {NULL, "-metrics=host:80",
		"flag -metrics: \"host:80\" is not ADDR, such as :8080, "
		"192.0.2.1:8080 or [2001:db8::1]:8080; \"\" is none"},
	    {"listen :1\nresolver 192.0.2\n", NULL,
		"FILE:2: resolver: \"192.0.2\" is not ADDR, such as "
		":53, 192.0.2.1:53 or [2001:db8::1]:53; \"\" is none"},
	    {"more :1\n\nmore :70000\n", NULL,
		"FILE:3: more: \":70000\" is not ADDR, such as :3478, "
		"192.0.2.1:3478 or [2001:db8::1]:3478"},
	    {"again \"\"\n", NULL,
		"FILE:1: again: \"\" is not ADDR, such as :8080, "
		"192.0.2.1:8080 or [2001:db8::1]:8080"},
	    {"listen :1\nlisten :2\n", NULL,
		"FILE:2: \"listen\" is given a second time; once is right"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool in_file = rows[i].file != NULL;
		char want[CONF_ERROR_MAX];

		/* FILE stands for the file's name. */
		snprintf(want, sizeof(want), "%s%s", in_file ? file_name : "",
		    rows[i].error + (in_file ? 4 : 0));
		eq_int(load(rows[i].file, rows[i].flag), CONF_BAD, "a fault");
		eq_str(error, want, rows[i].error);
	}
}

static char *
printed(void)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	conf_print(table, &conf, out);
	fclose(out);
	return text;
}

static void
test_print(void)
{
	char *text, *again;

	load("metrics [::1]:9\nmore 192.0.2.1\nmore 0.0.0.0:7\n"
	     "resolver \"\"\n",
	    NULL);
	text = printed();
	eq_str(text,
	    "listen :443\n"
	    "metrics [::1]:9\n"
	    "resolver \"\"\n"
	    "unset \"\"\n"
	    "more 192.0.2.1:3478\n"
	    "more 0.0.0.0:7\n",
	    "printed");
	eq_int(load(text, NULL), CONF_OK, "and read");
	again = printed();
	eq_str(again, text, "means the same");
	free(again);
	free(text);
}

int
main(void)
{
	int fd = mkstemp(file_name);

	if (fd == -1) {
		printf("Bail out! no file to work with\n");
		return 1;
	}
	close(fd);
	test_defaults();
	test_values();
	test_lists();
	test_faults();
	test_print();
	conf_clear(table, &conf);
	unlink(file_name);
	return tap_done();
}
