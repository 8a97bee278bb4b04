/* stunsrv_forms: the 29 request forms of tests/stun_forms.txt. */
#include <stdlib.h>

#include "tests/unit/stunsrv_help.h"

#define FORMS	     "tests/stun_forms.txt"
#define LINE_MAX_LEN 1024

enum { WHAT, REQUEST, DEFAULT, ALWAYS, CLASSIC, COLUMNS };

/* Cuts "a | b | c" in place. */
static bool
cut(char *line, char **column)
{
	for (int i = 0; i < COLUMNS; i++) {
		if (line == NULL)
			return false;
		column[i] = line;
		if ((line = strstr(line, " | ")) != NULL) {
			*line = '\0';
			line += 3;
		}
	}
	return line == NULL;
}

/* Hexadecimal, and *N for N zeros. */
static size_t
read_hex(const char *text, uint8_t *out, size_t cap)
{
	size_t n = 0, zeros;
	unsigned byte;

	for (; sscanf(text, "%2x", &byte) == 1 && n < cap; text += 2)
		out[n++] = (uint8_t)byte;
	if (*text == '*') {
		zeros = strtoul(text + 1, NULL, 10);
		if (n + zeros <= cap) {
			memset(out + n, 0, zeros);
			n += zeros;
		}
	}
	return n;
}

static const char *
role_name(enum stunsrv_role role)
{
	static const char *const names[] = {"A1P1", "A1P2", "A2P1", "A2P2"};

	return names[role];
}

static const char *
kind(const uint8_t *p, size_t n)
{
	struct stun_attr a;

	if (!find(p, n, STUN_ERROR_CODE, &a))
		return "success";
	return a.value[2] == 4 && a.value[3] == 20 ? "420" : "400";
}

/* What is answered, in the words of the file. */
static void
describe(const uint8_t *p, size_t n, unsigned rules, char *out, size_t cap)
{
	static uint8_t answer[STUNSRV_ANSWER_MAX];
	const struct stunsrv_arrival a = {.from = &from_v4, .rules = rules};
	struct stunsrv_reply r;
	size_t len = serve(&four, &a, p, n, &r, answer);

	if (len == 0)
		snprintf(out, cap, "silence");
	else if (r.port != from_v4.port)
		snprintf(out, cap, "%s:%zu:%s:%u", kind(answer, len), len,
		    role_name(r.role), r.port);
	else if (r.role != STUNSRV_A1P1)
		snprintf(out, cap, "%s:%zu:%s", kind(answer, len), len,
		    role_name(r.role));
	else
		snprintf(out, cap, "%s:%zu", kind(answer, len), len);
}

static void
check(char **column)
{
	static const struct {
		int column;
		unsigned rules;
	} policies[] = {{DEFAULT, 0}, {ALWAYS, STUNSRV_ALWAYS},
	    {CLASSIC, STUNSRV_CLASSIC_TOO}};
	static uint8_t request[5000];
	size_t n = read_hex(column[REQUEST], request, sizeof(request));
	char got[64];

	for (size_t i = 0; i < 3; i++) {
		describe(request, n, policies[i].rules, got, sizeof(got));
		eq_str(got, column[policies[i].column], column[WHAT]);
	}
}

int
main(void)
{
	char line[LINE_MAX_LEN], *column[COLUMNS];
	FILE *f = fopen(FORMS, "re");
	int forms = 0;

	if (f == NULL) {
		printf("Bail out! cannot read " FORMS "\n");
		return 1;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (cut(line, column)) {
			check(column);
			forms++;
		} else
			ok(false, line);
	}
	fclose(f);
	eq_int(forms, 29, "29 forms");
	return tap_done();
}
