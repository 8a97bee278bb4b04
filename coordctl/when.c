/* when: durations and times, as people write and read them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordctl/coordctl.h"

#define SECONDS_MAX (INT64_C(200) * 365 * 86400)

static const struct {
	char letter;
	int64_t seconds;
} units[] = {
    {'y', INT64_C(365) * 86400},
    {'w', 7 * 86400},
    {'d', 86400},
    {'h', 3600},
    {'m', 60},
    {'s', 1},
};

#define UNITS (sizeof(units) / sizeof(units[0]))

/* Reads 1 to max digits. */
static bool
digits(const char **p, size_t max, int64_t *n)
{
	size_t i = 0;

	for (*n = 0; **p >= '0' && **p <= '9'; (*p)++) {
		if (++i > max)
			return false;
		*n = *n * 10 + (**p - '0');
	}
	return i > 0;
}

bool
duration_parse(const char *text, int64_t *seconds)
{
	size_t u = 0;
	int64_t n;

	*seconds = 0;
	if (strcmp(text, "0") == 0)
		return true;
	if (*text == '\0')
		return false;
	while (*text != '\0') {
		if (!digits(&text, 10, &n))
			return false;
		while (u < UNITS && units[u].letter != *text)
			u++;
		if (u == UNITS || n > SECONDS_MAX / units[u].seconds)
			return false;
		*seconds += n * units[u].seconds;
		if (*seconds > SECONDS_MAX)
			return false;
		text++;
		u++;
	}
	return true;
}

/* Reads "Z" or "+01:30". */
static bool
offset_parse(const char *p, int64_t *seconds)
{
	int64_t hours, minutes;
	bool west = *p == '-';
	const char *start;

	*seconds = 0;
	if ((*p == 'Z' || *p == 'z') && p[1] == '\0')
		return true;
	if (*p != '+' && *p != '-')
		return false;
	start = ++p;
	if (!digits(&p, 2, &hours) || p != start + 2 || *p != ':')
		return false;
	start = ++p;
	if (!digits(&p, 2, &minutes) || p != start + 2 || *p != '\0' ||
	    hours > 23 || minutes > 59)
		return false;
	*seconds = (hours * 60 + minutes) * (west ? -60 : 60);
	return true;
}

bool
time_parse(const char *text, int64_t *unix_s)
{
	struct tm tm = {0}, given;
	int64_t fraction, offset;
	const char *p;

	/* strptime takes less than two digits: the form is looked at here. */
	for (size_t i = 0; i < 19; i++)
		if (i == 4 || i == 7	     ? text[i] != '-'
			: i == 10	     ? text[i] != 'T' && text[i] != 't'
			: i == 13 || i == 16 ? text[i] != ':'
					     : text[i] < '0' || text[i] > '9')
			return false;
	tm.tm_year = atoi(text) - 1900;
	tm.tm_mon = atoi(text + 5) - 1;
	tm.tm_mday = atoi(text + 8);
	tm.tm_hour = atoi(text + 11);
	tm.tm_min = atoi(text + 14);
	tm.tm_sec = atoi(text + 17);
	p = text + 19;
	if (*p == '.' && (p++, !digits(&p, 9, &fraction)))
		return false;
	if (!offset_parse(p, &offset))
		return false;
	given = tm;
	*unix_s = timegm(&tm) - offset;
	/* timegm carries over what no calendar has. */
	return tm.tm_mon == given.tm_mon && tm.tm_mday == given.tm_mday &&
	    tm.tm_hour == given.tm_hour && tm.tm_min == given.tm_min &&
	    tm.tm_sec == given.tm_sec;
}

int64_t
time_now(void)
{
	return time(NULL);
}

char *
time_people(const char *rfc3339)
{
	size_t n = strlen(rfc3339);
	int64_t t;
	char *s = strdup(rfc3339);

	if (s == NULL)
		out_of_memory();
	if (n >= 20 && s[n - 1] == 'Z' && time_parse(rfc3339, &t)) {
		s[10] = ' ';
		s[19] = '\0';
	}
	return s;
}
