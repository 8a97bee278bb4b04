/* film: see film.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/film.h"

void
shots_add(struct shots *s, const uint8_t *p, size_t n, struct mono now)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 256 : s->cap * 2;
		s->v = realloc(s->v, s->cap * sizeof(*s->v));
	}
	if (s->v == NULL || n > sizeof(s->v->p))
		abort();
	s->v[s->n].at = now;
	s->v[s->n].n = n;
	memcpy(s->v[s->n++].p, p, n);
}

void
shots_clear(struct shots *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

void
show_difference(const char *run, const char *replay)
{
	size_t line = 0;

	for (size_t i = 0; run[i] != '\0' && run[i] == replay[i]; i++)
		if (run[i] == '\n')
			line = i + 1;
	printf("# run    %.*s\n# replay %.*s\n", (int)strcspn(run + line, "\n"),
	    run + line, (int)strcspn(replay + line, "\n"), replay + line);
}
