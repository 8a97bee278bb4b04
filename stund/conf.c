/* conf: stund's options. Opens nothing but the -config FILE. */
#include "stund/stund.h"

static const struct conf_option table[] = {
    {.name = "listen",
	.type = CONF_ADDRS,
	.offset = offsetof(struct stund_conf, listen),
	.def = ":3478",
	.min = STUN_PORT,
	.help = "ADDR:PORT: answer requests here; may be given repeatedly, "
		":PORT is every address"},
    {.name = "metrics",
	.type = CONF_ADDR,
	.offset = offsetof(struct stund_conf, metrics),
	.def = "",
	.max = 1,
	.help = "ADDR:PORT: serve /metrics and /healthz here over HTTP"},
    {.name = "user",
	.type = CONF_STRING,
	.offset = offsetof(struct stund_conf, user),
	.def = "nobody",
	.help = "NAME: become this user when started as root"},
    {.name = "sandbox",
	.type = CONF_BOOL,
	.offset = offsetof(struct stund_conf, sandbox),
	.def = "true",
	.help = "forbid system calls that are not needed (seccomp); off for "
		"debuggers"},
    {.name = "log",
	.type = CONF_CHOICE,
	.offset = offsetof(struct stund_conf, log),
	.def = "info",
	.choices = "quiet|error|info|debug",
	.help = "LEVEL: what is written to standard error"},
    {.name = "check",
	.type = CONF_STRING,
	.offset = offsetof(struct stund_conf, check_uri),
	.def = "",
	.help = "URI: say what the server at stun:HOST[:PORT] or "
		"stuns:HOST[:PORT] is and does, and exit"},
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

enum conf_result
stund_conf_read(struct stund_conf *c, int argc, char **argv,
    char error[static STUND_ERROR_MAX])
{
	return conf_load(table, c, argc, argv, error);
}

void
stund_conf_clear(struct stund_conf *c)
{
	conf_clear(table, c);
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
