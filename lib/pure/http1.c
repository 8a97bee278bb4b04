/* http1: request heads, parsed strictly. */
#include <string.h>
#include <strings.h>

#include "pure/http1.h"

bool
span_is(struct span s, const char *text)
{
	return strlen(text) == s.n && memcmp(s.p, text, s.n) == 0;
}

bool
span_is_nocase(struct span s, const char *text)
{
	return strlen(text) == s.n && strncasecmp(s.p, text, s.n) == 0;
}

size_t
http1_head_end(const uint8_t *p, size_t n, size_t *from)
{
	/* An end found later may begin up to two bytes before. */
	size_t start = *from > 2 ? *from - 2 : 0;
	const uint8_t *nl;

	for (size_t i = start; i < n; i = (size_t)(nl - p) + 1) {
		nl = memchr(p + i, '\n', n - i);
		if (nl == NULL)
			break;
		i = (size_t)(nl - p) + 1;
		if (i < n && p[i] == '\n')
			return i + 1;
		if (i + 1 < n && p[i] == '\r' && p[i + 1] == '\n')
			return i + 2;
	}
	*from = n;
	return 0;
}

/* RFC 9110 section 5.6.2: token characters. */
static bool
is_token_char(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool
is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_token_char((unsigned char)s.p[i]))
			return false;
	return s.n > 0;
}

/* Field values and targets: no control characters but the tab. */
static bool
is_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Cuts the next line, without its ending, off the front of s. */
static struct span
cut_line(struct span *s)
{
	const char *nl = memchr(s->p, '\n', s->n);
	struct span line = {s->p, nl == NULL ? s->n : (size_t)(nl - s->p)};

	s->n -= line.n + (nl == NULL ? 0 : 1);
	s->p += line.n + (nl == NULL ? 0 : 1);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* Cuts up to the byte c off the front of s; false if there is none. */
static bool
cut(struct span *s, char c, struct span *head)
{
	const char *at = s->n == 0 ? NULL : memchr(s->p, c, s->n);

	if (at == NULL)
		return false;
	*head = (struct span){s->p, (size_t)(at - s->p)};
	s->n -= head->n + 1;
	s->p = at + 1;
	return true;
}

static struct span
trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* RFC 9112 section 3.2.2: a server must take "http://host/path" as well, which
 * is what a client sends to a proxy. */
static struct span
without_authority(struct span target)
{
	size_t n = 0;

	if (target.n >= 7 && strncasecmp(target.p, "http://", 7) == 0)
		n = 7;
	else if (target.n >= 8 && strncasecmp(target.p, "https://", 8) == 0)
		n = 8;
	else
		return target;
	while (n < target.n && target.p[n] != '/' && target.p[n] != '?')
		n++;
	/* No path is "/": the slash before the authority serves as one. */
	if (n == target.n)
		return (struct span){memchr(target.p, '/', target.n), 1};
	return (struct span){target.p + n, target.n - n};
}

static int
parse_request_line(struct http1_request *req, struct span line)
{
	struct span target;

	if (!cut(&line, ' ', &req->method) || !cut(&line, ' ', &target) ||
	    !is_token(req->method) || target.n == 0 || !is_text(target))
		return 400;
	if (line.n != 8 || memcmp(line.p, "HTTP/", 5) != 0 || line.p[6] != '.')
		return 400;
	if (line.p[5] != '1' || (line.p[7] != '0' && line.p[7] != '1'))
		return 505;
	req->minor = line.p[7] - '0';
	target = without_authority(target);
	if (!cut(&target, '?', &req->path)) {
		req->path = target;
		req->query = (struct span){target.p + target.n, 0};
	} else
		req->query = target;
	return 0;
}

static int
parse_field(struct http1_request *req, struct span line)
{
	struct http1_field *f = &req->fields[req->nfields];

	if (req->nfields == HTTP1_FIELDS_MAX)
		return 431;
	/* A line that begins with a blank (obs-fold) has no token here. */
	if (!cut(&line, ':', &f->name) || !is_token(f->name))
		return 400;
	f->value = trim(line);
	if (!is_text(f->value))
		return 400;
	req->nfields++;
	return 0;
}

static int
judge_fields(struct http1_request *req)
{
	size_t hosts = 0;

	for (size_t i = 0; i < req->nfields; i++) {
		const struct http1_field *f = &req->fields[i];

		hosts += span_is_nocase(f->name, "Host");
		if (span_is_nocase(f->name, "Transfer-Encoding") ||
		    (span_is_nocase(f->name, "Content-Length") &&
			!span_is(f->value, "0")))
			req->has_body = true;
	}
	/* RFC 9112 section 3.2. */
	if (hosts > 1 || (hosts == 0 && req->minor == 1))
		return 400;
	if (req->minor == 1)
		req->keep_alive = !http1_has_token(req, "Connection", "close");
	else
		req->keep_alive =
		    http1_has_token(req, "Connection", "keep-alive");
	return 0;
}

int
http1_parse(struct http1_request *req, const uint8_t *p, size_t n)
{
	struct span head = {(const char *)p, n}, line;
	int status;

	memset(req, 0, offsetof(struct http1_request, fields));
	req->nfields = 0;
	req->has_body = false;
	if ((status = parse_request_line(req, cut_line(&head))) != 0)
		return status;
	while ((line = cut_line(&head)).n > 0)
		if ((status = parse_field(req, line)) != 0)
			return status;
	return judge_fields(req);
}

/* RFC 9112 section 4: "HTTP/1.1 204 No Content"; the words may be missing. */
static int
parse_status_line(struct http1_request *head, struct span line)
{
	int status = 0;

	if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
	    (line.p[7] != '0' && line.p[7] != '1') || line.p[8] != ' ' ||
	    (line.n > 12 && line.p[12] != ' '))
		return 0;
	head->minor = line.p[7] - '0';
	for (size_t i = 9; i < 12; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return 0;
		status = status * 10 + line.p[i] - '0';
	}
	return status >= 100 ? status : 0;
}

int
http1_parse_answer(struct http1_request *head, const uint8_t *p, size_t n)
{
	struct span rest = {(const char *)p, n}, line;
	int status;

	memset(head, 0, offsetof(struct http1_request, fields));
	head->nfields = 0;
	status = parse_status_line(head, cut_line(&rest));
	while (status != 0 && (line = cut_line(&rest)).n > 0)
		if (parse_field(head, line) != 0)
			return 0;
	return status;
}

const struct span *
http1_find(const struct http1_request *req, const char *name)
{
	for (size_t i = 0; i < req->nfields; i++)
		if (span_is_nocase(req->fields[i].name, name))
			return &req->fields[i].value;
	return NULL;
}

bool
http1_has_token(
    const struct http1_request *req, const char *name, const char *token)
{
	for (size_t i = 0; i < req->nfields; i++) {
		struct span list = req->fields[i].value, item;
		bool more = true;

		if (!span_is_nocase(req->fields[i].name, name))
			continue;
		while (more) {
			more = cut(&list, ',', &item);
			if (span_is_nocase(trim(more ? item : list), token))
				return true;
		}
	}
	return false;
}
