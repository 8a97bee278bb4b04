/* conf_check: which options for a partner, and for TLS, need or exclude each
 * other. Opens nothing. */
#include <stdarg.h>

#include "stund/stund.h"

static bool __attribute__((format(printf, 2, 3)))
bad(char error[static STUND_ERROR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, STUND_ERROR_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* All or none. */
static bool
check_together(const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	const char *missing = NULL, *there = NULL;
	const struct {
		const char *name;
		bool given;
	} parts[] = {
	    {"-partner", c->partner.len > 0},
	    {"-partner-listen", c->partner_listen.len > 0},
	    {"-partner-key", c->partner_key[0] != '\0'},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].given)
			there = parts[i].name;
		else
			missing = parts[i].name;
	if (there == NULL || missing == NULL)
		return true;
	return bad(error, "%s: needs %s, too", there + 1, missing);
}

/* The partner has one address where we have one: so each -listen is one, in
 * its family the only one, and the ports are the same in both. */
static bool
check_listen(const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	const struct addr *v = c->listen.v;
	char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

	for (size_t i = 0; i < c->listen.n; i++) {
		addr_text(&v[i], text);
		if (addr_is_any(&v[i]) || addr_port(&v[i]) == 0)
			return bad(error,
			    "partner: -listen %s must name one address and "
			    "one port for it",
			    text);
		for (size_t j = 0; j < i; j++) {
			addr_text(&v[j], other);
			if (addr_is_v4(&v[i]) == addr_is_v4(&v[j]))
				return bad(error,
				    "partner: -listen %s and %s are of the "
				    "same family; one of each is right",
				    other, text);
			if (addr_port(&v[i]) != addr_port(&v[j]))
				return bad(error,
				    "partner: -listen %s and %s have other "
				    "ports; the same are right",
				    other, text);
		}
	}
	return true;
}

bool
stund_conf_check_partner(
    const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	if (!check_together(c, error))
		return false;
	if (c->partner.len == 0 && c->partner_alternate_port != 0)
		return bad(error, "partner-alternate-port: needs -partner");
	if (c->partner.len == 0)
		return true;
	addr_text(&c->partner, a);
	addr_text(&c->partner_listen, b);
	if (addr_is_any(&c->partner) || addr_port(&c->partner) == 0)
		return bad(
		    error, "partner %s: must name one address and one port", a);
	if (addr_same_ip(&c->partner, &c->partner_listen) &&
	    addr_port(&c->partner) == addr_port(&c->partner_listen))
		return bad(error,
		    "partner %s: -partner-listen is the same; that of the "
		    "other host is right",
		    a);
	if (!addr_is_any(&c->partner_listen) &&
	    addr_is_v4(&c->partner) != addr_is_v4(&c->partner_listen))
		return bad(error,
		    "partner-listen %s: -partner %s is of the other family", b,
		    a);
	if (c->alternate.n > 0)
		return bad(error,
		    "alternate %s: with -partner %s the other address is the "
		    "partner's; one of both is right",
		    addr_text(&c->alternate.v[0], b), a);
	if (!check_listen(c, error))
		return false;
	if (c->partner_alternate_port == addr_port(&c->listen.v[0]))
		return bad(error,
		    "partner-alternate-port %lld: another port than that of "
		    "-listen is right",
		    (long long)c->partner_alternate_port);
	if (c->partner_alternate_port == 0 &&
	    addr_port(&c->listen.v[0]) == UINT16_MAX)
		return bad(error,
		    "partner-alternate-port: there is no port behind 65535; "
		    "name another one");
	return true;
}

bool
stund_conf_check_tls(
    const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	char text[ADDR_TEXT_MAX];

	if (c->tls_listen.n == 0 && c->certificate[0] != '\0')
		return bad(error, "certificate: needs -tls-listen");
	if (c->tls_listen.n == 0 && c->key[0] != '\0')
		return bad(error, "key: needs -tls-listen");
	if (c->tls_listen.n == 0)
		return true;
	addr_text(&c->tls_listen.v[0], text);
	if (c->certificate[0] == '\0')
		return bad(error, "tls-listen %s: needs -certificate", text);
	if (c->key[0] == '\0')
		return bad(error, "tls-listen %s: needs -key", text);
	return true;
}
