/*
 * check_judge: PURE. What the answers mean: for which clients the server is
 * fit, what it does wrong, and which program it may be.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stund/check.h"

static bool
succeeded(const struct check *c, enum check_probe p)
{
	const struct check_slot *s = check_answered(c, p);

	return s != NULL && s->answer.class == CHECK_SUCCESS;
}

/* True if the mapped address is not the one that the request left with. */
bool
check_nat_is_between(const struct check *c)
{
	const struct check_slot *s = check_plain(c);
	struct stun_addr local;

	if (s == NULL)
		return false;
	memcpy(local.ip, c->local.b, sizeof(local.ip));
	local.port = c->ports[s - c->slots];
	return !stun_addr_same(check_answer_mapped(&s->answer), &local);
}

bool
check_is_misplaced(const struct check *c, enum check_probe p)
{
	const struct check_slot *s = check_answered(c, p);
	struct stun_addr want = check_expected(c, p);

	return s != NULL && !stun_addr_same(&s->from, &want);
}

double
check_factor(const struct check *c, enum check_probe *which)
{
	const struct check_slot *s;
	double most = 0, factor;

	for (enum check_probe p = 0; p < CHECK_STREAM; p++) {
		s = check_answered(c, p);
		if (s == NULL)
			continue;
		factor = (double)s->answer.len / (double)s->request_len;
		if (factor > most) {
			most = factor;
			*which = p;
		}
	}
	return most;
}

bool
check_is_reachable(const struct check *c)
{
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		if (check_answered(c, p) != NULL)
			return true;
	return false;
}

/* ---- which program ---- */

static bool
says(const struct check *c, const char *word)
{
	const struct check_answer *a;

	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		a = &c->slots[p].answer;
		if (memmem(a->software, a->software_len, word, strlen(word)) !=
		    NULL)
			return true;
	}
	return false;
}

static const char *
program_by_name(const struct check *c)
{
	static const struct {
		const char *word, *program;
	} known[] = {{"oturn", "coturn"}, {"eturnal", "eturnal"},
	    {"ejabberd", "ejabberd"}, {"P1 STUN", "ejabberd or eturnal"},
	    {"restund", "restund"}, {"pion", "pion"},
	    {"Vovida", "Vovida's stund"}, {"vovida", "Vovida's stund"},
	    {"rfc5766-turn-server", "coturn"}, {"reTURN", "reTurn"},
	    {"AnyTURN", "AnyTURN"}, {"turn-rs", "turn-rs"},
	    {"STUNner", "STUNner"}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (says(c, known[i].word))
			return known[i].program;
	return NULL;
}

/* Habits of servers that do not say who they are. */
static const char *
program_by_habit(const struct check *c)
{
	const struct check_slot *unknown = check_answered(c, CHECK_UNKNOWN);
	const struct check_slot *plain = check_plain(c);

	if (plain == NULL && succeeded(c, CHECK_TAILNODE))
		return "Tailscale's derper or stund";
	if (plain == NULL && check_answered(c, CHECK_CLASSIC) != NULL)
		return "a server of RFC 3489, such as Vovida's stund";
	if (plain == NULL)
		return NULL;
	if (unknown != NULL && unknown->answer.class == CHECK_SUCCESS &&
	    succeeded(c, CHECK_PORT2) && !succeeded(c, CHECK_PORT4))
		return "perhaps stuntman";
	if (unknown != NULL && unknown->answer.len > 64 &&
	    plain->answer.origin.there)
		return "perhaps coturn";
	return NULL;
}

static bool
is_ours(const struct check *c)
{
	return c->slots[CHECK_COOKIE].answer.cookie;
}

const char *
check_program(const struct check *c)
{
	const char *name;

	if (is_ours(c))
		return "campusnet's stund";
	if ((name = program_by_name(c)) != NULL)
		return name;
	return program_by_habit(c);
}

/* ---- fit for what ---- */

static void reason(struct text *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
reason(struct text *why, const char *fmt, ...)
{
	char line[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (why->len > 0)
		text_str(why, "; ");
	text_str(why, line);
}

/* What makes an answer useless to a client, whoever that is. */
static void
judge_answer(const struct check *c, enum check_probe p, struct text *why)
{
	const struct check_slot *s = &c->slots[p];
	char from[CHECK_ADDR_TEXT_MAX], to[CHECK_ADDR_TEXT_MAX];
	const struct stun_addr *mapped = check_answer_mapped(&s->answer);

	if (s->answer.class == CHECK_ERROR)
		reason(why, "it answers with error %u", s->answer.code);
	else if (mapped == NULL)
		reason(why, "its answer tells no address");
	else if (check_mapped_fault(c, mapped) != NULL)
		reason(why, "the address that it tells, %s, %s",
		    check_addr_text(mapped, to), check_mapped_fault(c, mapped));
	if (check_is_misplaced(c, p))
		reason(why, "it answers from %s, not from %s which was asked",
		    check_addr_text(&s->from, from),
		    check_addr_text(&s->to, to));
	if (s->answer.fingerprint_bad)
		reason(why, "the FINGERPRINT of its answer is wrong");
	if (s->answer.broken)
		reason(why, "its answer has attributes that run past the end");
}

static void
judge_request(const struct check *c, enum check_probe p, const char *silence,
    struct text *why)
{
	const struct check_slot *s = &c->slots[p];

	if (s->state == CHECK_ANSWERED)
		judge_answer(c, p, why);
	else if (s->state == CHECK_FAILED)
		reason(why, "%s", s->why);
	else if (!check_is_reachable(c))
		reason(why, "no answer");
	else
		reason(why, "%s", silence);
}

bool
check_judge_basic(const struct check *c, struct text *why)
{
	const struct check_slot *s = &c->slots[CHECK_BARE];

	if (c->tls) {
		judge_request(c, CHECK_STREAM, "no answer over TLS", why);
		if (c->tls_info.untrusted[0] != '\0')
			reason(why, "clients refuse its certificate: %s",
			    c->tls_info.untrusted);
		return false;
	}
	judge_request(c, CHECK_BARE,
	    "the 20-byte request that browsers send gets no answer", why);
	if (s->state == CHECK_ANSWERED && !s->answer.xored.there &&
	    s->answer.mapped.there)
		reason(why,
		    "no XOR-MAPPED-ADDRESS, only MAPPED-ADDRESS, "
		    "which some NATs rewrite");
	return false;
}

bool
check_judge_tailscale(const struct check *c, struct text *why)
{
	if (c->tls)
		reason(why, "they ask over UDP; check stun: too");
	else
		judge_request(c, CHECK_TAILNODE,
		    "their request gets no answer, and without one they take "
		    "UDP for blocked",
		    why);
	return false;
}

static void
judge_alternate(const struct check *c, enum check_probe p, struct text *why)
{
	char at[CHECK_ADDR_TEXT_MAX];

	if (!succeeded(c, p))
		reason(why, "no address from %s, so mapping cannot be told",
		    check_addr_text(&c->slots[p].to, at));
	else
		judge_answer(c, p, why);
}

static void
judge_change(const struct check *c, enum check_probe p, struct text *why)
{
	const struct check_slot *s = &c->slots[p];
	struct stun_addr want = check_expected(c, p);
	char from[CHECK_ADDR_TEXT_MAX], at[CHECK_ADDR_TEXT_MAX];
	const char *name = check_probe_name(c, p);

	if (s->state != CHECK_ANSWERED)
		reason(why,
		    "%s gets no answer: clients take that for a NAT that "
		    "filters",
		    name);
	else if (s->answer.class == CHECK_ERROR)
		reason(why, "%s gets error %u", name, s->answer.code);
	else if (check_is_misplaced(c, p))
		reason(why,
		    "%s is answered from %s instead of %s: clients take that "
		    "for a NAT that lets all in",
		    name, check_addr_text(&s->from, from),
		    check_addr_text(&want, at));
}

/*
 * A NAT here that gives a socket another port for each destination keeps the
 * answers to CHANGE-REQUESTs out, although the socket has asked there before.
 * One that leaves the port as it is has let them in.
 */
static bool
nat_may_hide(const struct check *c, enum check_probe p)
{
	const struct check_slot *s =
	    check_answered(c, p - CHECK_CHANGE_PORT + CHECK_AT_PORT);
	const struct stun_addr *mapped =
	    s == NULL ? NULL : check_answer_mapped(&s->answer);

	return c->slots[p].state != CHECK_ANSWERED && mapped != NULL &&
	    check_nat_is_between(c) &&
	    mapped->port != c->ports[check_socket_of(p)];
}

/* True if nothing is wrong but what may be hidden. */
static bool
judge_changes(const struct check *c, struct text *why)
{
	size_t before = why->len;
	bool hidden = false;

	for (enum check_probe p = CHECK_CHANGE_PORT; p <= CHECK_CHANGE_BOTH;
	     p++)
		if (nat_may_hide(c, p))
			hidden = true;
		else
			judge_change(c, p, why);
	if (!hidden || why->len > before)
		return false;
	reason(why,
	    "the NAT here may keep out the answers to CHANGE-REQUEST; check "
	    "from a host without one");
	return before == 0;
}

bool
check_judge_behaviour(const struct check *c, struct text *why)
{
	const struct check_slot *other = check_other(c);
	char text[CHECK_ADDR_TEXT_MAX];

	if (c->tls)
		reason(why, "that is done over UDP; check stun: too");
	else if (!check_is_reachable(c))
		reason(why, "no answer");
	else if (check_plain(c) == NULL)
		reason(why, "no answer with an address to such requests");
	else if (other == NULL)
		reason(why,
		    "no OTHER-ADDRESS: with one address nobody can tell an "
		    "easy NAT from a hard one");
	else if (check_other_fault(c) != NULL)
		reason(why, "OTHER-ADDRESS %s %s",
		    check_addr_text(&other->answer.other.a, text),
		    check_other_fault(c));
	if (why->len > 0)
		return false;
	if (other != &c->slots[CHECK_BARE])
		reason(why,
		    "OTHER-ADDRESS is told to long requests only, and the "
		    "usual clients send 20 bytes%s",
		    is_ours(c) ? " (stund's -behaviour always changes that)"
			       : "");
	for (enum check_probe p = CHECK_AT_PORT; p <= CHECK_AT_BOTH; p++)
		judge_alternate(c, p, why);
	return judge_changes(c, why);
}
