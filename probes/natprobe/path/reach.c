/* reach: see reach.h. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/path/reach.h"

/* ---- ports ---- */

static const struct reach_port usual[] = {{REACH_UDP, 0}, {REACH_TCP, 0},
    {REACH_UDP, 443}, {REACH_UDP, 41641}, {REACH_TCP, 443}, {REACH_TCP, 80}};

static bool
add_port(struct reach_ports *p, enum reach_how how, uint16_t port)
{
	if (p->n == REACH_PORTS)
		return false;
	p->v[p->n++] = (struct reach_port){how, port};
	return true;
}

static bool
parse_one(struct reach_ports *p, const char *s, size_t n)
{
	bool udp = n > 4 && strncmp(s, "udp:", 4) == 0;
	bool tcp = n > 4 && strncmp(s, "tcp:", 4) == 0;
	size_t skip = udp || tcp ? 4 : 0;
	unsigned long port;

	if (n == skip || n - skip > 5 ||
	    strspn(s + skip, "0123456789") < n - skip)
		return false;
	port = strtoul(s + skip, NULL, 10);
	if (port < 1 || port > 65535)
		return false;
	return (tcp || add_port(p, REACH_UDP, (uint16_t)port)) &&
	    (udp || add_port(p, REACH_TCP, (uint16_t)port));
}

bool
reach_ports_parse(
    struct reach_ports *p, const char *text, char error[static REACH_ERROR_MAX])
{
	size_t n;

	p->n = 0;
	if (strcmp(text, "none") == 0)
		return true;
	if (*text == '\0') {
		memcpy(p->v, usual, sizeof(usual));
		p->n = sizeof(usual) / sizeof(usual[0]);
		return true;
	}
	for (const char *s = text;; s += n + 1) {
		n = strcspn(s, ",");
		if (!parse_one(p, s, n)) {
			snprintf(error, REACH_ERROR_MAX,
			    p->n + 2 > REACH_PORTS
				? "\"%.*s\" is one too many; at most 64"
				: "\"%.*s\" is no port; want a list such as "
				  "udp:3478,tcp:443,80",
			    n > 60 ? 60 : (int)n, s);
			return false;
		}
		if (s[n] == '\0')
			return true;
	}
}

/* ---- names ---- */

const char *
reach_saw_name(enum reach_saw s)
{
	static const char *const names[REACH_SAWS] = {
	    [REACH_WAITS] = "not-known-yet",
	    [REACH_ANSWERS] = "answers",
	    [REACH_OPEN] = "open",
	    [REACH_REFUSED] = "refused",
	    [REACH_PROHIBITED] = "prohibited",
	    [REACH_UNREACHABLE] = "unreachable",
	    [REACH_SILENT] = "silent",
	    [REACH_NOT_SENT] = "not-sent",
	};

	return names[s];
}

const char *
reach_how_name(enum reach_how h)
{
	static const char *const names[] = {
	    [REACH_UDP] = "udp", [REACH_TCP] = "tcp", [REACH_ECHO] = "echo"};

	return names[h];
}

const char *
reach_verdict_name(enum reach_verdict v)
{
	static const char *const names[REACH_VERDICTS] = {
	    [REACH_UNKNOWN] = "unknown",
	    [REACH_FREE] = "no",
	    [REACH_PORTAL] = "captive-portal",
	    [REACH_SERVER_DOWN] = "server-down",
	    [REACH_BLOCKED] = "blocked",
	    [REACH_PORT_BLOCKED] = "port-blocked",
	    [REACH_ONLY_443] = "all-but-443",
	    [REACH_NO_NETWORK] = "no-network",
	};

	return names[v];
}

/* ---- rows ---- */

static bool
has_row(const struct reach *r, const struct reach_row *row)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].how == row->how &&
		    stun_addr_same(&r->rows[i].to, &row->to))
			return true;
	return false;
}

static void
add_row(struct reach *r, const struct reach_row *row)
{
	if (r->n < REACH_ROWS && !has_row(r, row))
		r->rows[r->n++] = *row;
}

void
reach_add(struct reach *r, const struct stun_addr *server,
    const struct reach_ports *ports)
{
	struct reach_row row;

	for (size_t i = 0; i < ports->n; i++) {
		const struct reach_port *p = &ports->v[i];

		row = (struct reach_row){.to = *server, .how = p->how};
		if (p->port != 0)
			row.to.port = p->port;
		add_row(r, &row);
	}
	row = (struct reach_row){.to = *server, .how = REACH_ECHO};
	row.to.port = 0;
	if (ports->n > 0)
		add_row(r, &row);
}

void
reach_serves(struct reach *r, const struct stun_addr *server)
{
	for (size_t i = 0; i < r->n; i++) {
		struct reach_row *row = &r->rows[i];

		if (row->how == REACH_ECHO || !stun_addr_same(&row->to, server))
			continue;
		row->stun = true;
		/* By TCP, few do. */
		row->listens |= row->how == REACH_UDP;
	}
}

void
reach_listens(struct reach *r, const struct stun_addr *relay)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].how == REACH_TCP &&
		    stun_addr_same(&r->rows[i].to, relay))
			r->rows[i].listens = true;
}

static bool
is_alive(const struct reach_row *row)
{
	return row->saw == REACH_ANSWERS || row->saw == REACH_OPEN ||
	    row->saw == REACH_REFUSED;
}

static bool
host_is_alive(const struct reach *r, const struct stun_addr *host)
{
	for (size_t i = 0; i < r->n; i++)
		if (is_alive(&r->rows[i]) &&
		    stun_addr_same_ip(&r->rows[i].to, host))
			return true;
	return false;
}

enum answer
reach_passes(
    const struct reach *r, const struct reach_row *row, const char **why)
{
	*why = "";
	if (is_alive(row))
		return ANSWER_YES;
	if (row->saw == REACH_PROHIBITED)
		return ANSWER_NO;
	if (row->saw != REACH_SILENT)
		*why = reach_saw_name(row->saw);
	else if (!row->listens)
		*why = "nobody-may-listen";
	else if (!host_is_alive(r, &row->to))
		*why = "host-may-be-down";
	else
		return ANSWER_NO;
	return ANSWER_UNKNOWN;
}

/* ---- UDP ---- */

static bool
saw(const struct reach *r, enum reach_how how, enum reach_saw what)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].how == how && r->rows[i].saw == what)
			return true;
	return false;
}

static bool
stun_saw(const struct reach *r, enum reach_how how, enum reach_saw what)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].how == how && r->rows[i].stun &&
		    r->rows[i].saw == what)
			return true;
	return false;
}

/* Of TCP, nothing passes but that port, though more was tried. */
static bool
only(const struct reach *r, const struct reach_facts *f, uint16_t port)
{
	bool passes = port == 443 && f->relay_443, others = false;

	if (f->relay_other || (port != 443 && f->relay_443))
		return false;
	for (size_t i = 0; i < r->n; i++) {
		const struct reach_row *row = &r->rows[i];

		if (row->how != REACH_TCP)
			continue;
		if (row->to.port == port)
			passes |= is_alive(row);
		else if (is_alive(row))
			return false;
		else
			others = true;
	}
	return passes && others;
}

static bool
tcp_is_alive(const struct reach *r, const struct reach_facts *f)
{
	return f->relay_443 || f->relay_other ||
	    saw(r, REACH_TCP, REACH_ANSWERS) || saw(r, REACH_TCP, REACH_OPEN) ||
	    saw(r, REACH_TCP, REACH_REFUSED);
}

static enum reach_verdict
say(const char **why, const char *evidence, enum reach_verdict v)
{
	*why = evidence;
	return v;
}

/* By what came back over UDP or instead of it; REACH_UNKNOWN: nothing did. */
static enum reach_verdict
judge_udp(const struct reach *r, const char **why)
{
	if (stun_saw(r, REACH_UDP, REACH_ANSWERS))
		return say(why, "what-answers-is-no-stun", REACH_SERVER_DOWN);
	if (stun_saw(r, REACH_UDP, REACH_REFUSED))
		return say(why, "icmp-port-unreachable", REACH_SERVER_DOWN);
	if (saw(r, REACH_UDP, REACH_REFUSED) ||
	    saw(r, REACH_UDP, REACH_ANSWERS))
		return say(why, "other-udp-ports-pass", REACH_PORT_BLOCKED);
	if (stun_saw(r, REACH_TCP, REACH_ANSWERS))
		return say(why, "stun-over-tcp-answers", REACH_BLOCKED);
	if (saw(r, REACH_UDP, REACH_PROHIBITED))
		return say(why, "icmp-prohibited", REACH_BLOCKED);
	return REACH_UNKNOWN;
}

enum reach_verdict
reach_judge(
    const struct reach *r, const struct reach_facts *f, const char **why)
{
	enum reach_verdict v;

	if (f->udp == ANSWER_YES)
		return say(why, "", REACH_FREE);
	if (f->no_socket)
		return say(why, reason_name(REASON_NO_SOCKET), REACH_UNKNOWN);
	if (f->portal)
		return say(why, "a-portal-answers-for-the-relay", REACH_PORTAL);
	if ((v = judge_udp(r, why)) != REACH_UNKNOWN)
		return v;
	if (only(r, f, 443))
		return say(why, "tcp-443-alone-passes", REACH_ONLY_443);
	/* A captive portal answers there for everybody. */
	if (only(r, f, 80))
		return say(why, "tcp-80-alone-answers", REACH_UNKNOWN);
	if (tcp_is_alive(r, f))
		return say(why, "tcp-passes", REACH_BLOCKED);
	if (saw(r, REACH_ECHO, REACH_ANSWERS))
		return say(why, "echo-alone-passes", REACH_UNKNOWN);
	if (saw(r, REACH_UDP, REACH_UNREACHABLE) ||
	    saw(r, REACH_TCP, REACH_UNREACHABLE))
		return say(why, "icmp-unreachable", REACH_SERVER_DOWN);
	if (r->n == 0 || saw(r, REACH_UDP, REACH_WAITS))
		return say(why, reason_name(REASON_NOT_ASKED), REACH_UNKNOWN);
	return say(why, "nothing-answers", REACH_NO_NETWORK);
}
