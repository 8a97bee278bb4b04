/* policy: who may reach whom. The text is coordd's to judge; it is passed on
 * as it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordctl/coordctl.h"

/* What a request to coordd may hold. */
#define POLICY_MAX (1u << 20)

static bool
is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

static const char *
file_title(const char *path)
{
	return is_stdin(path) ? "standard input" : path;
}

static int
read_policy(const char *path, struct text *t)
{
	FILE *in = is_stdin(path) ? stdin : fopen(path, "re");
	char buffer[8192];
	size_t n;
	int status = STATUS_DONE;

	if (in == NULL)
		return fail("%s: %s", path, strerror(errno));
	errno = 0;
	while (t->len <= POLICY_MAX &&
	    (n = fread(buffer, 1, sizeof(buffer), in)) > 0)
		text_add(t, buffer, n);
	if (ferror(in))
		status = fail("%s: %s", file_title(path), strerror(errno));
	else if (t->len > POLICY_MAX)
		status = fail("%s: it is over 1 MiB", file_title(path));
	else if (t->bad)
		out_of_memory();
	if (in != stdin)
		fclose(in);
	return status;
}

/* The body {"policy": text}. */
static int
policy_body(const char *path, json_t **body)
{
	struct text t = TEXT_EMPTY;
	int status = read_policy(path, &t);

	*body = NULL;
	/* coordd takes it for no policy, which opens everything. */
	if (status == STATUS_DONE && t.len == 0)
		status = fail("%s: it is empty; to let everybody reach "
			      "everybody write {}",
		    file_title(path));
	if (status == STATUS_DONE) {
		*body = json_pack("{s:s%}", "policy", t.p, t.len);
		if (*body == NULL)
			status = fail("%s: it is not UTF-8", file_title(path));
	}
	text_clear(&t);
	return status;
}

static int
put_policy(const struct ctl *ctl, int status, json_t *policy, const char *did)
{
	if (status == STATUS_DONE && !put_if_json(ctl, policy))
		say("%s: %s.", did, member(policy, "source"));
	json_decref(policy);
	return status;
}

int
policy_show(const struct ctl *ctl)
{
	json_t *policy;
	const char *text;
	int status = api_get(ctl, PATH("/policy"), &policy);

	if (status == STATUS_DONE && !put_if_json(ctl, policy)) {
		text = json_string_value(json_object_get(policy, "policy"));
		if (text == NULL)
			status = api_strange("it holds no policy");
		/* A copy is a copy; only terminals are spared. */
		else if (!isatty(STDOUT_FILENO))
			fputs(text, stdout);
		else
			put_lines(text);
	}
	json_decref(policy);
	return status;
}

/* Checks what is in force against the nodes that there are now. */
static int
body_in_force(const struct ctl *ctl, json_t **body)
{
	json_t *policy;
	int status = api_get(ctl, PATH("/policy"), &policy);

	*body = NULL;
	if (status == STATUS_DONE) {
		*body = json_pack(
		    "{s:O}", "policy", json_object_get(policy, "policy"));
		if (*body == NULL)
			status = api_strange("it holds no policy");
	}
	json_decref(policy);
	return status;
}

int
policy_check(const struct ctl *ctl)
{
	const char *file = ctl->args[0];
	struct ctl asked = *ctl;
	json_t *body, *answer;
	int status;

	status =
	    file != NULL ? policy_body(file, &body) : body_in_force(ctl, &body);
	if (status != STATUS_DONE)
		return status;
	asked.about = file != NULL ? file_title(file) : "the policy in force";
	status = api_send(&asked, "POST", PATH("/policy/check"), body, &answer);
	if (status == STATUS_DONE && !put_if_json(ctl, answer))
		say("%s is good.", asked.about);
	json_decref(answer);
	return status;
}

int
policy_set(const struct ctl *ctl)
{
	struct ctl asked = *ctl;
	json_t *body, *policy;
	int status = policy_body(ctl->args[0], &body);

	if (status != STATUS_DONE)
		return status;
	asked.about = file_title(ctl->args[0]);
	status = api_send(&asked, "PUT", PATH("/policy"), body, &policy);
	return put_policy(ctl, status, policy, "Policy put in force");
}

int
policy_reload(const struct ctl *ctl)
{
	json_t *policy;
	int status = api_do(ctl, "POST", PATH("/policy/reload"), &policy);

	return put_policy(ctl, status, policy, "Policy read again");
}

/* Parts "robot:22" or "[fd7a::1]:22"; dst is freed by the caller. */
static bool
target_parse(const char *text, char **dst, int64_t *port)
{
	const char *colon = strrchr(text, ':');
	size_t n;

	if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) > 5 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	*port = atoi(colon + 1);
	n = (size_t)(colon - text);
	if (*text == '[') {
		if (n < 3 || text[n - 1] != ']')
			return false;
		text++;
		n -= 2;
	} else if (n == 0 || memchr(text, ':', n) != NULL)
		return false;
	if ((*dst = strndup(text, n)) == NULL)
		out_of_memory();
	return *port >= 1 && *port <= 65535;
}

/* True for what coordd, too, knows to be protocols without ports. */
static bool
is_portless(const char *proto)
{
	static const char *const with[] = {
	    "tcp", "udp", "sctp", "6", "17", "132"};

	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		if (strcmp(proto, with[i]) == 0)
			return false;
	return true;
}

/* The port may be missing where there are none, and is 0 then. */
static bool
target_read(const char *text, const char *proto, char **dst, int64_t *port)
{
	size_t n = strlen(text);
	bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
	bool portless = proto != NULL && is_portless(proto);
	bool good = target_parse(text, dst, port);

	if (portless)
		*port = 0;
	if (good || !portless)
		return good;
	free(*dst);
	*dst = strndup(text + bracketed, n - 2 * (size_t)bracketed);
	if (*dst == NULL)
		out_of_memory();
	return true;
}

static void
put_explanation(const struct ctl *ctl, const json_t *v, int64_t port)
{
	const char *proto = ctl_text(ctl, FLAG_PROTO);
	bool allowed = is_true(v, "allowed");
	json_int_t line = json_integer_value(json_object_get(v, "line"));

	if (port == 0)
		say("%s %s reach %s by %s.", member(v, "src"),
		    allowed ? "may" : "may not", member(v, "dst"), proto);
	else
		say("%s %s reach %s port %d%s%s.", member(v, "src"),
		    allowed ? "may" : "may not", member(v, "dst"), (int)port,
		    proto != NULL ? "/" : "", proto != NULL ? proto : "");
	if (line > 0)
		say("line %lld: %s", (long long)line, member(v, "text"));
	else
		say(allowed ? "There is no policy: all may reach all."
			    : "No line of the policy lets it.");
}

int
policy_explain(const struct ctl *ctl)
{
	const char *proto = ctl_text(ctl, FLAG_PROTO);
	json_t *answer;
	int64_t port;
	char *dst = NULL;
	int status;

	if (!target_read(ctl->args[1], proto, &dst, &port)) {
		free(dst);
		return fail_usage("%s: %s: want NAME:PORT, ADDRESS:PORT or "
				  "[ADDRESS]:PORT",
		    ctl->command->words, ctl->args[1]);
	}
	status = api_send(ctl, "POST", PATH("/policy/explain"),
	    json_pack("{s:s, s:s, s:I, s:s*}", "src", ctl->args[0], "dst", dst,
		"port", (json_int_t)port, "proto", proto),
	    &answer);
	free(dst);
	if (status == STATUS_DONE && !put_if_json(ctl, answer))
		put_explanation(ctl, answer, port);
	json_decref(answer);
	return status;
}
