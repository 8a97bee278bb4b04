/*
 * check_fault: PURE. What a server does that a standard forbids or that harms
 * others, whether or not its clients notice.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stund/check.h"

/* An answer to a bare request that tells an IPv6 address and nothing more:
 * no server needs to send more for what it gets. */
#define FACTOR_FAIR 2.2

struct faults {
	const struct check *c;
	const char *prefix;
	struct text *out;
};

static void fault(const struct faults *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
fault(const struct faults *f, const char *fmt, ...)
{
	char line[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_fmt(f->out, "%s%s\n", f->prefix, line);
}

/* What any answer may have. */
static void
fault_of_answer(
    const struct faults *f, enum check_probe p, const struct check_slot *s)
{
	const struct check_answer *a = &s->answer;
	const char *name = check_probe_name(f->c, p);
	char x[CHECK_ADDR_TEXT_MAX], y[CHECK_ADDR_TEXT_MAX];

	if (s->answers > s->sends)
		fault(f, "%s: %u answers to %u requests", name, s->answers,
		    s->sends);
	if (a->origin.there && !stun_addr_same(&a->origin.a, &s->from))
		fault(f,
		    "%s: RESPONSE-ORIGIN says %s, the answer came from "
		    "%s: a NAT in front of the server?",
		    name, check_addr_text(&a->origin.a, x),
		    check_addr_text(&s->from, y));
	if (a->mapped.there && a->xored.there &&
	    !stun_addr_same(&a->mapped.a, &a->xored.a))
		fault(f,
		    "%s: MAPPED-ADDRESS says %s, XOR-MAPPED-ADDRESS %s: "
		    "something between rewrites it, or it lies",
		    name, check_addr_text(&a->mapped.a, x),
		    check_addr_text(&a->xored.a, y));
	if (p < CHECK_AT_PORT && check_is_misplaced(f->c, p))
		fault(f, "%s: the answer came from %s, not from %s", name,
		    check_addr_text(&s->from, x), check_addr_text(&s->to, y));
	if (a->fingerprint_bad)
		fault(f, "%s: the FINGERPRINT of the answer is wrong", name);
	if (a->broken)
		fault(f, "%s: attributes of the answer run past its end", name);
}

static void
fault_of_address(const struct faults *f)
{
	const struct check_slot *s;
	const struct stun_addr *mapped, *first = NULL;
	char x[CHECK_ADDR_TEXT_MAX], y[CHECK_ADDR_TEXT_MAX];

	for (enum check_probe p = 0; p < CHECK_AT_PORT; p++) {
		s = check_answered(f->c, p);
		mapped = s == NULL ? NULL : check_answer_mapped(&s->answer);
		if (mapped == NULL)
			continue;
		if (check_mapped_fault(f->c, mapped) != NULL) {
			fault(f, "%s: the address that it tells, %s, %s",
			    check_probe_name(f->c, p),
			    check_addr_text(mapped, x),
			    check_mapped_fault(f->c, mapped));
			return;
		}
		if (first == NULL)
			first = mapped;
		if (memcmp(first->ip, mapped->ip, sizeof(mapped->ip)) != 0) {
			fault(f,
			    "it sees this host as %s and as %s: a NAT "
			    "with several addresses is between, or it lies",
			    check_addr_text(first, x),
			    check_addr_text(mapped, y));
			return;
		}
	}
}

static void
fault_of_unknown(const struct faults *f)
{
	const struct check_slot *s = check_answered(f->c, CHECK_UNKNOWN);

	if (s == NULL)
		return;
	if (s->answer.class == CHECK_SUCCESS)
		fault(f,
		    "it ignores attributes that must be understood "
		    "(RFC 8489 section 6.3.1 wants error 420)");
	else if (s->answer.code != 420)
		fault(f, "an unknown attribute gets error %u instead of 420",
		    s->answer.code);
	else if (!s->answer.unknown)
		fault(f, "error 420 does not list the unknown attribute");
}

static void
fault_of_behaviour(const struct faults *f)
{
	const struct check *c = f->c;
	const struct check_slot *s;

	if (check_answered(c, CHECK_BAD_FINGERPRINT) != NULL)
		fault(f,
		    "it does not look at FINGERPRINT: it answers a "
		    "request whose FINGERPRINT is wrong");
	s = check_answered(c, CHECK_CHANGE_BOTH);
	if (check_other(c) == NULL && s != NULL &&
	    s->answer.class == CHECK_SUCCESS)
		fault(f,
		    "it ignores CHANGE-REQUEST: clients take that for a "
		    "NAT that lets all in (RFC 5780 wants error 420)");
	if (c->slots[CHECK_CHANGE_NONE].state == CHECK_SILENT)
		fault(f,
		    "it is silent to a CHANGE-REQUEST that asks for no "
		    "change, which stuntman's client always sends");
	for (enum check_probe p = CHECK_PORT2; p <= CHECK_PORT4; p++) {
		s = check_answered(c, p);
		if (s != NULL && s->answer.class == CHECK_SUCCESS &&
		    s->socket == (int)p)
			fault(f, "%s is ignored", check_probe_name(c, p));
	}
	s = &c->slots[CHECK_STREAM_AGAIN];
	if (s->state == CHECK_SILENT || s->state == CHECK_FAILED)
		fault(f,
		    "a second request in the same connection gets no "
		    "answer");
}

static void
fault_of_size(const struct faults *f)
{
	enum check_probe p = CHECK_BARE;
	double factor = check_factor(f->c, &p);

	if (factor > FACTOR_FAIR)
		fault(f,
		    "it amplifies: %zu bytes (%s) bring %zu, so forged "
		    "requests flood others %.1f-fold",
		    f->c->slots[p].request_len, check_probe_name(f->c, p),
		    f->c->slots[p].answer.len, factor);
}

void
check_judge_faults(const struct check *c, const char *prefix, struct text *out)
{
	struct faults f = {.c = c, .prefix = prefix, .out = out};
	const struct check_slot *s;

	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		if ((s = check_answered(c, p)) != NULL)
			fault_of_answer(&f, p, s);
	fault_of_address(&f);
	fault_of_unknown(&f);
	fault_of_behaviour(&f);
	fault_of_size(&f);
	if (c->foreign > 0)
		fault(&f, "%u answers to requests that were never sent",
		    c->foreign);
}
