/* dns: see dns.h. PURE. */
#include <string.h>

#include "probes/natprobe/path/dns.h"

const char *
dns_word_name(enum dns_word w)
{
	static const char *const names[DNS_WORDS] = {
	    [DNS_UNKNOWN] = "unknown",
	    [DNS_KEPT] = "kept",
	    [DNS_REWRITTEN] = "rewritten",
	    [DNS_SAME] = "same",
	    [DNS_DIFFERS] = "differs",
	    [DNS_PRIVATE] = "private",
	    [DNS_NOT_IN_MAP] = "not-in-map",
	};

	return names[w];
}

bool
dns_is_private(const struct ip *ip)
{
	static const char *const nets[] = {"0.0.0.0/8", "10.0.0.0/8",
	    "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	    "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10"};
	struct ip_prefix p;

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (ip_prefix_parse(&p, nets[i], strlen(nets[i])) &&
		    ip_prefix_has(&p, ip))
			return true;
	return false;
}

static const struct dns_ask *
of_kind(const struct dns_ask *asks, size_t n, enum dns_kind kind)
{
	for (size_t i = 0; i < n; i++)
		if (asks[i].kind == kind)
			return &asks[i];
	return NULL;
}

enum dns_word
dns_judge_nonexistent(const struct dns_ask *asks, size_t n, const char **why)
{
	const struct dns_ask *invalid = of_kind(asks, n, DNS_INVALID);
	const struct dns_ask *below = of_kind(asks, n, DNS_BELOW);

	*why = "";
	if (invalid == NULL || !invalid->over) {
		*why = "no-answer";
		return DNS_UNKNOWN;
	}
	if (invalid->n > 0)
		return DNS_REWRITTEN;
	if (below != NULL && below->n > 0) {
		/* Or its owner wants it so: a wildcard. */
		*why = "every-name-below-the-relay-s-has-an-address";
		return DNS_UNKNOWN;
	}
	if (invalid->nonexistent)
		return DNS_KEPT;
	*why = "resolver-fails";
	return DNS_UNKNOWN;
}

enum dns_word
dns_judge_relay(const struct dns_ask *ask, const char **why)
{
	bool same = false, told = false, private = false;
	unsigned mine[2] = {0};

	*why = "";
	for (size_t i = 0; i < ask->n; i++) {
		bool v6 = !ip_is_v4(&ask->found[i]);

		private |= dns_is_private(&ask->found[i]);
		if (!ask->has_map[v6])
			continue;
		told = true;
		if (ip_compare(&ask->found[i], &ask->map[v6]) == 0) {
			same = true;
			mine[v6]++;
		}
	}
	for (size_t i = 0; i < ask->n; i++) {
		bool v6 = !ip_is_v4(&ask->found[i]);

		if (ask->has_map[v6] && mine[v6] == 0)
			return DNS_DIFFERS;
	}
	if (same)
		return DNS_SAME;
	if (ask->n > 0 && !told)
		return private ? DNS_PRIVATE : DNS_NOT_IN_MAP;
	*why = !ask->over      ? "no-answer"
	    : ask->nonexistent ? "no-such-name"
			       : "resolver-fails";
	return DNS_UNKNOWN;
}

static bool
shares_address(const struct dns_ask *a, const struct dns_ask *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			if (ip_compare(&a->found[i], &b->found[j]) == 0)
				return true;
	return false;
}

bool
dns_has_wpad(const struct dns_ask *asks, size_t n)
{
	const struct dns_ask *wpad = of_kind(asks, n, DNS_WPAD);
	const struct dns_ask *invalid = of_kind(asks, n, DNS_INVALID);

	return wpad != NULL && wpad->n > 0 &&
	    (invalid == NULL || !shares_address(wpad, invalid));
}
