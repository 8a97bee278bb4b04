/* answer: see answer.h. Never allocates, never believes. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "coordctl/answer.h"

/* More digits than any body has, and no overflow. */
#define DIGITS_MAX 15

void
answer_init(struct answer *a)
{
	memset(a, 0, sizeof(*a));
}

static void
answer_fail(struct answer *a, const char *why)
{
	a->state = ANSWER_BAD;
	a->bad = why;
}

static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Reads digits of the base up to another byte, *end. */
static bool
number_parse(const char *p, int base, uint64_t *n, const char **end)
{
	size_t i;

	*n = 0;
	for (i = 0; digit_value(p[i]) < base; i++) {
		if (i == DIGITS_MAX)
			return false;
		*n = *n * (uint64_t)base + (uint64_t)digit_value(p[i]);
	}
	*end = p + i;
	return i > 0;
}

static void
take_status(struct answer *a)
{
	const char *p = a->line, *end;
	uint64_t status;

	if (strncmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') ||
	    p[8] != ' ' || !number_parse(p + 9, 10, &status, &end) ||
	    end != p + 12 || (*end != ' ' && *end != '\0')) {
		answer_fail(a, "it is no HTTP");
		return;
	}
	if (status < 200 || status > 599) {
		answer_fail(a, "its status is unknown");
		return;
	}
	a->status = (int)status;
	a->state = ANSWER_FIELDS;
}

static void
fields_end(struct answer *a)
{
	if (a->status == 204)
		a->state = ANSWER_DONE;
	else if (a->chunked == a->has_length)
		answer_fail(a, "it does not tell its length");
	else if (a->chunked)
		a->state = ANSWER_CHUNK_SIZE;
	else
		a->state = a->length > 0 ? ANSWER_BODY : ANSWER_DONE;
}

static void
take_field(struct answer *a)
{
	char *value = strchr(a->line, ':');
	const char *end;

	if (a->nline == 0) {
		fields_end(a);
		return;
	}
	if (value == NULL) {
		answer_fail(a, "it is no HTTP");
		return;
	}
	*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t n = strlen(value);
	     n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'); n--)
		value[n - 1] = '\0';
	if (strcasecmp(a->line, "content-length") == 0) {
		if (a->has_length ||
		    !number_parse(value, 10, &a->length, &end) || *end != '\0')
			answer_fail(a, "its length is no number");
		a->has_length = true;
	} else if (strcasecmp(a->line, "transfer-encoding") == 0) {
		if (a->chunked || strcasecmp(value, "chunked") != 0)
			answer_fail(a, "its coding is unknown");
		a->chunked = true;
	}
}

static void
take_chunk_size(struct answer *a)
{
	const char *end;

	if (!number_parse(a->line, 16, &a->length, &end) ||
	    strchr("; \t", *end) == NULL) {
		answer_fail(a, "a chunk has no size");
		return;
	}
	a->state = a->length > 0 ? ANSWER_CHUNK : ANSWER_TRAILER;
}

static void
take_line(struct answer *a)
{
	switch (a->state) {
	case ANSWER_STATUS:
		take_status(a);
		break;
	case ANSWER_FIELDS:
		take_field(a);
		break;
	case ANSWER_CHUNK_SIZE:
		take_chunk_size(a);
		break;
	case ANSWER_CHUNK_END:
		if (a->nline > 0)
			answer_fail(a, "a chunk is longer than its size");
		else
			a->state = ANSWER_CHUNK_SIZE;
		break;
	case ANSWER_TRAILER:
		if (a->nline == 0)
			a->state = ANSWER_DONE;
		break;
	default:
		break;
	}
}

/* Adds a byte to the line; a whole one goes to take_line. */
static void
take_byte(struct answer *a, uint8_t c)
{
	bool head = a->state == ANSWER_STATUS || a->state == ANSWER_FIELDS ||
	    a->state == ANSWER_TRAILER;

	if ((head && ++a->head > ANSWER_HEAD_MAX) ||
	    a->nline == ANSWER_LINE_MAX - 1) {
		answer_fail(a, "its head is too long");
		return;
	}
	if (c == '\0') {
		answer_fail(a, "it is no HTTP");
		return;
	}
	if (c != '\n') {
		a->line[a->nline++] = (char)c;
		return;
	}
	if (a->nline > 0 && a->line[a->nline - 1] == '\r')
		a->nline--;
	a->line[a->nline] = '\0';
	take_line(a);
	a->nline = 0;
}

static size_t
take_body(
    struct answer *a, const uint8_t *p, size_t n, struct answer_piece *piece)
{
	piece->p = p;
	piece->n = a->length < n ? (size_t)a->length : n;
	a->length -= piece->n;
	if (a->length == 0)
		a->state =
		    a->state == ANSWER_BODY ? ANSWER_DONE : ANSWER_CHUNK_END;
	return piece->n;
}

size_t
answer_take(
    struct answer *a, const uint8_t *p, size_t n, struct answer_piece *piece)
{
	size_t i;

	piece->p = NULL;
	piece->n = 0;
	for (i = 0; i < n && a->state < ANSWER_BODY; i++)
		take_byte(a, p[i]);
	if (i < n && (a->state == ANSWER_BODY || a->state == ANSWER_CHUNK))
		return i + take_body(a, p + i, n - i, piece);
	return i;
}
