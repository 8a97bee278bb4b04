/* api_policy: the API's part for the policy, and who may reach whom by it. */
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "coordd/api.h"

static bool
show(struct api_call *a)
{
	const struct coordd *c = a->c;

	text_str(&a->out, "{\"policy\":");
	text_json(&a->out, policy_source(c->policy));
	text_str(&a->out, ",\"source\":");
	text_json(&a->out, c->policy_from);
	text_str(&a->out, ",\"loaded\":");
	api_add_time(&a->out, c->policy_loaded);
	text_char(&a->out, '}');
	return true;
}

bool
api_policy_show(struct api_call *a)
{
	return show(a);
}

bool
api_policy_set(struct api_call *a)
{
	const char *text = api_string(a, "policy");

	return ops_policy_set(
		   a->c, a->who, text, strlen(text), "database", &a->r) &&
	    show(a);
}

bool
api_policy_check(struct api_call *a)
{
	const char *text = api_string(a, "policy");

	if (!ops_policy_check(a->c, text, strlen(text), &a->r))
		return false;
	text_str(&a->out, "{\"ok\":true}");
	return true;
}

bool
api_policy_reload(struct api_call *a)
{
	return ops_policy_load(a->c, a->who, &a->r) && show(a);
}

/* Who asks whom, as policy_explain wants it. */
struct question {
	const struct node *src, *dst; /* dst: NULL for a mere address */
	struct ip ip; /* of dst */
	uint16_t port;
	uint8_t proto; /* 0: TCP or UDP */
};

static bool
read_proto(struct api_call *a, uint8_t *proto)
{
	static const struct {
		const char *name;
		uint8_t number;
	} known[] = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"ipv6-icmp", 58},
	    {"sctp", 132}};
	const char *text = api_string(a, "proto");
	char shown[OPS_SHOW_MAX];
	size_t n;

	*proto = 0;
	if (text == NULL)
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text, known[i].name) == 0) {
			*proto = known[i].number;
			return true;
		}
	n = strlen(text);
	if (n > 0 && n <= 3 && strspn(text, "0123456789") == n &&
	    atoi(text) > 0 && atoi(text) < 256) {
		*proto = (uint8_t)atoi(text);
		return true;
	}
	return ops_fail(&a->r, HTTP_BADREQUEST,
	    "member \"proto\": \"%s\"; want tcp, udp, icmp, ipv6-icmp, sctp "
	    "or a number from 1 to 255",
	    ops_show(shown, text));
}

/* 0 is TCP or UDP. */
static bool
has_ports(uint8_t proto)
{
	return proto == 0 || proto == 6 || proto == 17 || proto == 132;
}

static bool
read_question(struct api_call *a, struct question *q)
{
	const char *dst = api_string(a, "dst");
	int64_t port = api_integer(a, "port", 0);
	char shown[OPS_SHOW_MAX];

	if (!read_proto(a, &q->proto))
		return false;
	if (port == 0 && !has_ports(q->proto))
		port = 1;
	if (port < 1 || port > 65535)
		return ops_fail(&a->r, HTTP_BADREQUEST,
		    "member \"port\": %lld; want 1 to 65535", (long long)port);
	q->port = (uint16_t)port;
	if ((q->src = api_find_node(a, api_string(a, "src"))) == NULL)
		return false;
	q->dst = ops_find_node(a->c, dst);
	if (ip_parse(&q->ip, dst, strlen(dst)))
		return true;
	if (q->dst == NULL)
		return ops_fail(&a->r, HTTP_NOTFOUND,
		    "no node \"%s\", and it is no address",
		    ops_show(shown, dst));
	q->ip = q->dst->ip4;
	return true;
}

/* The line as it is, without the blanks around it. */
static void
add_line(struct text *t, const char *source, size_t line)
{
	const char *p = source;
	size_t n;

	for (size_t i = 1; p != NULL && i < line; i++)
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	if (line == 0 || p == NULL)
		p = "";
	p += strspn(p, " \t");
	n = strcspn(p, "\r\n");
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	text_json_n(t, p, n);
}

/* "name (ip)", or the address alone. */
static void
add_end(struct text *t, const char *member, const struct node *n,
    const struct ip *ip)
{
	char text[IP_TEXT_MAX], end[LABEL_MAX + IP_TEXT_MAX + 4];

	ip_text(ip, text);
	if (n == NULL)
		snprintf(end, sizeof(end), "%s", text);
	else
		snprintf(end, sizeof(end), "%s (%s)", n->label, text);
	text_fmt(t, ",\"%s\":", member);
	text_json(t, end);
}

bool
api_policy_explain(struct api_call *a)
{
	const struct policy *p = a->c->policy;
	struct question q = {0};
	struct policy_world w;
	size_t line = 0;
	bool allowed;

	if (!read_question(a, &q))
		return false;
	if (!ops_world(a->c, &w))
		return ops_no_memory(&a->r);
	allowed = policy_explain(p, &w, &q.src->subject,
	    q.dst == NULL ? NULL : &q.dst->subject, &q.ip, q.port, q.proto,
	    &line);
	ops_world_free(&w);
	text_fmt(&a->out, "{\"allowed\":%s,\"line\":%zu,\"text\":",
	    allowed ? "true" : "false", line);
	add_line(&a->out, policy_source(p), line);
	add_end(
	    &a->out, "src", q.src, ip_is_v4(&q.ip) ? &q.src->ip4 : &q.src->ip6);
	add_end(&a->out, "dst", q.dst, &q.ip);
	text_char(&a->out, '}');
	return true;
}
