/* conf: stund's options. Opens nothing but the -config FILE. */
#include <stdlib.h>

#include "stund/stund.h"

static const struct conf_option table[] = {
    {.name = "listen",
	.type = CONF_STRINGS,
	.offset = offsetof(struct stund_conf, listen_text),
	.def = ":3478",
	.help = "ADDR:PORT: answer requests here; may be given repeatedly, "
		":PORT is every address"},
    {.name = "metrics",
	.type = CONF_STRING,
	.offset = offsetof(struct stund_conf, metrics_text),
	.def = "",
	.help = "ADDR:PORT: serve /metrics and /healthz here over HTTP"},
    {.name = "user",
	.type = CONF_STRING,
	.offset = offsetof(struct stund_conf, user),
	.def = "nobody",
	.help = "NAME: become this user when started as root"},
    {.name = "log",
	.type = CONF_CHOICE,
	.offset = offsetof(struct stund_conf, log),
	.def = "info",
	.choices = "quiet|error|info|debug",
	.help = "LEVEL: what is written to standard error"},
    {.name = "n",
	.type = CONF_BOOL,
	.offset = offsetof(struct stund_conf, check),
	.def = "false",
	.help = "check the configuration, print it and exit"},
    {.name = "version",
	.type = CONF_BOOL,
	.offset = offsetof(struct stund_conf, version),
	.def = "false",
	.help = "print the version and exit"},
    {.name = NULL},
};

static enum conf_result
bad_address(char *error, const char *option, const char *text)
{
	snprintf(error, STUND_ERROR_MAX,
	    "%s: \"%.100s\" is not an ADDR:PORT such as 192.0.2.1:3478, "
	    "[2001:db8::1]:3478 or :3478",
	    option, text);
	return CONF_BAD;
}

static enum conf_result
read_listen(struct stund_conf *c, char *error)
{
	const struct conf_strings *text = &c->listen_text;

	c->listen = calloc(text->n + 1, sizeof(*c->listen));
	if (c->listen == NULL) {
		snprintf(error, STUND_ERROR_MAX, "out of memory");
		return CONF_BAD;
	}
	for (; c->n_listen < text->n; c->n_listen++)
		if (!addr_parse(&c->listen[c->n_listen], text->v[c->n_listen],
			STUN_PORT))
			return bad_address(
			    error, "listen", text->v[c->n_listen]);
	return CONF_OK;
}

enum conf_result
stund_conf_read(struct stund_conf *c, int argc, char **argv,
    char error[static STUND_ERROR_MAX])
{
	enum conf_result res = conf_load(table, c, argc, argv, error);

	if (res == CONF_OK)
		res = read_listen(c, error);
	if (res != CONF_OK || c->metrics_text[0] == '\0')
		return res;
	c->has_metrics = true;
	if (!addr_parse(&c->metrics, c->metrics_text, -1))
		return bad_address(error, "metrics", c->metrics_text);
	return CONF_OK;
}

void
stund_conf_clear(struct stund_conf *c)
{
	conf_clear(table, c);
	free(c->listen);
	c->listen = NULL;
	c->n_listen = 0;
}

void
stund_conf_print(const struct stund_conf *c)
{
	conf_print(table, c, stdout);
}

void
stund_conf_usage(void)
{
	conf_usage(table, "stund", stdout);
}
