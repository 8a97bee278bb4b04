/* check_print: PURE. The table of what was asked and came, and the verdicts. */
#include <stdio.h>
#include <string.h>

#include "stund/check.h"

/* Bytes of a server's are printed as \xNN where they are not plain text. */
static void
add_escaped(struct text *t, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] >= ' ' && p[i] <= '~' && p[i] != '\\' && p[i] != '"')
			text_char(t, (char)p[i]);
		else
			text_fmt(t, "\\x%02x", p[i]);
}

/* ---- one row ---- */

static void
add_success(struct text *t, const struct check *c, enum check_probe p)
{
	const struct check_slot *s = &c->slots[p];
	const struct check_answer *a = &s->answer;
	bool to_port = p == CHECK_PORT2 || p == CHECK_PORT4;
	char text[CHECK_ADDR_TEXT_MAX];

	text_str(t, check_answer_mapped(a) == NULL ? "no address" : "address");
	if (check_answer_mapped(a) != NULL && !a->xored.there)
		text_str(t, ", not XORed");
	if (a->other.there)
		text_str(t, ", other");
	if (a->origin.there)
		text_str(t, ", origin");
	if (a->changed.there)
		text_str(t, ", CHANGED-ADDRESS");
	if (a->padding)
		text_fmt(t, ", PADDING of %zu", a->padding_len);
	if (a->cookie)
		text_str(t, ", cookie");
	if (a->fingerprint)
		text_str(t, ", FINGERPRINT");
	if (to_port)
		text_str(t,
		    s->socket == (int)p ? ", not to that port"
					: ", to that port");
	if (!stun_addr_same(&s->from, &s->to))
		text_fmt(t, " from %s", check_addr_text(&s->from, text));
}

static void
add_answer(struct text *t, const struct check *c, enum check_probe p)
{
	const struct check_slot *s = &c->slots[p];

	if (s->state == CHECK_SILENT)
		text_str(t, "silence");
	else if (s->state == CHECK_FAILED)
		text_str(t, s->why);
	else if (s->answer.class == CHECK_SUCCESS)
		add_success(t, c, p);
	else {
		text_fmt(t, "error %u", s->answer.code);
		if (p == CHECK_UNKNOWN && s->answer.unknown)
			text_str(t, ", names it");
	}
}

static void
add_row(struct text *t, const struct check *c, enum check_probe p)
{
	const struct check_slot *s = &c->slots[p];
	struct text answer = TEXT_EMPTY;

	if (s->state == CHECK_SKIPPED)
		return;
	add_answer(&answer, c, p);
	text_fmt(t, "%-24s  %5zu  ", check_probe_name(c, p), s->request_len);
	if (s->state != CHECK_ANSWERED)
		text_fmt(t, "%s\n", answer.p);
	else {
		text_fmt(t, "%-44s  %5zu  ", answer.p, s->answer.len);
		/* Nobody can forge the source of a connection. */
		if (check_is_stream(p))
			text_fmt(t, "%6s", "");
		else
			text_fmt(t, "%6.1f",
			    (double)s->answer.len / (double)s->request_len);
		if (s->rtt_us >= 0)
			text_fmt(t, "  %6.1f", (double)s->rtt_us / 1000);
		text_char(t, '\n');
	}
	text_clear(&answer);
}

/* ---- what it is ---- */

static void
add_you(struct text *t, const struct check *c)
{
	const struct check_slot *s = check_plain(c);
	char text[CHECK_ADDR_TEXT_MAX], ip[IP_TEXT_MAX];

	if (s == NULL && (s = check_answered(c, CHECK_TAILNODE)) == NULL)
		s = check_answered(c, CHECK_STREAM);
	if (s == NULL || check_answer_mapped(&s->answer) == NULL)
		return;
	text_fmt(t, "you       %s, by way of %s here",
	    check_addr_text(check_answer_mapped(&s->answer), text),
	    ip_text(&c->local, ip));
	if (check_plain(c) != NULL)
		text_str(t,
		    check_nat_is_between(c) ? ": a NAT is between"
					    : ": no NAT is between");
	text_char(t, '\n');
}

static void
add_software(struct text *t, const struct check *c)
{
	const struct check_answer *a;

	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		a = &c->slots[p].answer;
		if (a->software_len == 0)
			continue;
		text_str(t, ", says \"");
		add_escaped(t, a->software, a->software_len);
		text_char(t, '"');
		return;
	}
}

static void
add_facts(struct text *t, const struct check *c)
{
	const struct check_slot *other = check_other(c);
	const struct check_tls *tls = &c->tls_info;
	const char *program = check_program(c);
	char text[CHECK_ADDR_TEXT_MAX];

	add_you(t, c);
	if (other != NULL)
		text_fmt(t, "other     %s\n",
		    check_addr_text(&other->answer.other.a, text));
	if (tls->there)
		text_fmt(t, "tls       %s, %s, certificate %s%s%s\n",
		    tls->version, tls->cipher,
		    tls->untrusted[0] == '\0' ? "trusted" : "refused: ",
		    tls->untrusted,
		    tls->alpn ? ", ALPN stun.nat-discovery" : "");
	text_fmt(t, "program   %s", program == NULL ? "not known" : program);
	add_software(t, c);
	text_char(t, '\n');
}

/* ---- verdicts ---- */

static bool
add_verdict(struct text *t, const struct check *c, const char *what,
    bool (*judge)(const struct check *c, struct text *why))
{
	struct text why = TEXT_EMPTY;
	bool unclear = judge(c, &why), fit = why.len == 0 && !why.bad;

	if (fit)
		text_fmt(t, "fit       %s\n", what);
	else
		text_fmt(t, "%s   %s: %s\n", unclear ? "unclear" : "not fit",
		    what, why.p == NULL ? "no memory" : why.p);
	text_clear(&why);
	return fit;
}

bool
check_print(const struct check *c, struct text *out)
{
	bool fit;

	text_fmt(out, "%-24s  %5s  %-44s  %5s  %6s  %6s\n", "asked", "bytes",
	    "answered", "bytes", "factor", "ms");
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		add_row(out, c, p);
	text_char(out, '\n');
	if (check_is_reachable(c))
		add_facts(out, c);
	check_judge_faults(c, "fault     ", out);
	fit = add_verdict(out, c, "for basic STUN (WebRTC)", check_judge_basic);
	add_verdict(out, c, "for Tailscale clients", check_judge_tailscale);
	add_verdict(
	    out, c, "for NAT behaviour discovery", check_judge_behaviour);
	return fit;
}
