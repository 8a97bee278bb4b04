/* reading_path: what a result says of the way, names and proxies. PURE. */
#include "probes/natprobe/views/reading_path.h"

#include <string.h>

#include "probes/natprobe/nat/probe.h"

/* The way to the servers, which the family has; "path" of the result is about
 * sizes and ports. */
void
read_way_out(const struct from *f, struct reading_path *p)
{
	struct from in, icmp;

	if (json_object_get(f->o, "path") == NULL)
		return;
	in = inside(f, "path");
	icmp = inside(&in, "icmp_errors");
	p->has_way = true;
	p->icmp = get_answer(&icmp, "come");
	p->closed_said = get_count(&icmp, "closed_port_said");
}

static const char *
mtu_word(unsigned i)
{
	return mtu_word_name((enum mtu_word)i);
}

static const char *
reach_word(unsigned i)
{
	return reach_verdict_name((enum reach_verdict)i);
}

/* ---- the path: only there since it is looked at ---- */

/* Of what is unknown; "" also for a reason that came later. */
static const char *
read_why(const struct from *in)
{
	static const char *const all[] = {
	    "passes-whole", "outbound-ones-are-lost", "path-mtu-is-smaller"};
	const char *why = get_optional(in, "why");

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(why, all[i]) == 0)
			return all[i];
	for (unsigned i = 0; i < REASONS; i++)
		if (strcmp(why, reason_name((enum reason)i)) == 0)
			return reason_name((enum reason)i);
	return "";
}

static void
read_way(struct from in, struct mtu_way *w)
{
	w->word = get_word(&in, "verdict", mtu_word, MTU_WORDS);
	w->why = read_why(&in);
	w->passes = (uint16_t)get_number(&in, "passes", 65535);
	w->fails = (uint16_t)get_number(&in, "fails", 65535);
}

static void
read_mtu(struct from path, struct mtu_verdict *v)
{
	struct from m = inside(&path, "mtu");
	struct from f = inside(&path, "fragments");
	struct from part;

	read_way(inside(&m, "outbound"), &v->out);
	read_way(inside(&m, "inbound"), &v->in);
	v->fits = get_answer(&m, "tailscale_fits");
	v->needs = (uint16_t)get_number(&m, "tailscale_needs", 65535);
	part = inside(&f, "outbound");
	v->fragments_out = get_answer(&part, "passes");
	v->why_out = read_why(&part);
	part = inside(&f, "inbound");
	v->fragments_in = get_answer(&part, "passes");
	v->why_in = read_why(&part);
}

static void
read_family_path(
    const struct from *f, const char *family, struct reading_path *p)
{
	struct from all = inside(f, "path"), fam = inside(f, family), part;

	p->has_mtu = json_object_get(all.o, family) != NULL;
	if (p->has_mtu)
		read_mtu(inside(&all, family), &p->mtu);
	if (json_object_get(fam.o, "udp_blocked") != NULL) {
		part = inside(&fam, "udp_blocked");
		p->blocked =
		    get_word(&part, "verdict", reach_word, REACH_VERDICTS);
		p->maybe_portal = strcmp(get_optional(&part, "why"),
				      "tcp-80-alone-answers") == 0;
	}
	if (json_object_get(fam.o, "alg") != NULL) {
		part = inside(&fam, "alg");
		p->alg = get_answer(&part, "verdict");
	}
}

void
read_paths(const struct from *f, struct reading *r)
{
	static const char *const families[] = {"ipv4", "ipv6"};

	if (json_object_get(f->o, "path") == NULL)
		return;
	for (int v6 = 0; v6 < 2; v6++)
		if (r->site.asked[v6])
			read_family_path(f, families[v6], &r->path[v6]);
}

/* ---- names, and the proxy ---- */

static const char *
dns_word_of(unsigned i)
{
	return dns_word_name((enum dns_word)i);
}

void
read_dns(const struct from *f, struct reading_dns *d)
{
	struct from dns, part;
	const json_t *relay;
	size_t i;

	if (json_object_get(f->o, "dns") == NULL)
		return;
	dns = inside(f, "dns");
	part = inside(&dns, "nonexistent");
	d->asked = true;
	d->nonexistent = get_word(&part, "verdict", dns_word_of, DNS_WORDS);
	json_array_foreach(json_object_get(dns.o, "relays"), i, relay)
	{
		part = element(&dns, "relays", relay);
		d->differs |= get_word(&part, "verdict", dns_word_of,
				  DNS_WORDS) == DNS_DIFFERS;
	}
}

/* "not-asked" is of a relay that no_proxy excepts. */
static const char *
proxy_word_of(unsigned i)
{
	return i == PROXY_WORDS ? "not-asked"
				: proxy_word_name((enum proxy_word)i);
}

static void
read_proxy_try(struct from in, struct reading_proxy *p)
{
	unsigned word =
	    get_word(&in, "verdict", proxy_word_of, PROXY_WORDS + 1);
	enum answer needed = get_answer(&in, "needed");

	if (!get_bool(&in, "uses_proxy") || word == PROXY_WORDS)
		return;
	if (p->word == PROXY_UNKNOWN || p->word == PROXY_WORKS)
		p->word = (enum proxy_word)word;
	if (p->needed != ANSWER_YES)
		p->needed = needed;
}

void
read_proxy(const struct from *f, struct reading_proxy *p)
{
	const json_t *try;
	struct from in;
	size_t i;

	if (json_object_get(f->o, "proxy") == NULL)
		return;
	in = inside(f, "proxy");
	p->asked = true;
	p->set = *get_optional(&in, "https_proxy") != '\0';
	p->http_only = !p->set && get_bool(&in, "http_proxy");
	p->credentials = get_bool(&in, "credentials");
	p->wpad = get_answer(&in, "wpad");
	json_array_foreach(json_object_get(in.o, "relays"), i, try)
	    read_proxy_try(element(&in, "relays", try), p);
}
