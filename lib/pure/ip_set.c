/* ip_set: sets of addresses, as sorted ranges. */
#include <stdlib.h>
#include <string.h>

#include "pure/ip.h"

void
ip_set_clear(struct ip_set *s)
{
	free(s->v);
	*s = (struct ip_set){0};
}

static bool
set_reserve(struct ip_set *s, size_t more)
{
	size_t cap = s->cap == 0 ? 8 : s->cap;
	struct ip_range *v;

	if (s->bad)
		return false;
	if (s->cap - s->n >= more)
		return true;
	while (cap - s->n < more)
		cap *= 2;
	v = reallocarray(s->v, cap, sizeof(*v));
	if (v == NULL) {
		s->bad = true;
		return false;
	}
	s->v = v;
	s->cap = cap;
	return true;
}

void
ip_set_add(struct ip_set *s, const struct ip_range *r)
{
	if (set_reserve(s, 1))
		s->v[s->n++] = *r;
}

void
ip_set_add_prefix(struct ip_set *s, const struct ip_prefix *p)
{
	struct ip_range r = ip_prefix_range(p);

	ip_set_add(s, &r);
}

void
ip_set_add_set(struct ip_set *s, const struct ip_set *other)
{
	s->bad |= other->bad;
	if (other->n == 0 || !set_reserve(s, other->n))
		return;
	memcpy(s->v + s->n, other->v, other->n * sizeof(*s->v));
	s->n += other->n;
}

static int
range_order(const void *a, const void *b)
{
	const struct ip_range *x = a, *y = b;
	int lo = ip_compare(&x->lo, &y->lo);

	return lo != 0 ? lo : ip_compare(&x->hi, &y->hi);
}

/* True if b, which begins no earlier, overlaps a or follows it at once. */
static bool
range_meets(const struct ip_range *a, const struct ip_range *b)
{
	struct ip next = a->hi;

	if (ip_compare(&b->lo, &a->hi) <= 0)
		return true;
	return ip_next(&next) && ip_compare(&b->lo, &next) == 0;
}

void
ip_set_close(struct ip_set *s)
{
	size_t n = 0;

	if (s->n < 2)
		return;
	qsort(s->v, s->n, sizeof(*s->v), range_order);
	for (size_t i = 1; i < s->n; i++) {
		struct ip_range *last = &s->v[n];

		if (!range_meets(last, &s->v[i]))
			s->v[++n] = s->v[i];
		else if (ip_compare(&s->v[i].hi, &last->hi) > 0)
			last->hi = s->v[i].hi;
	}
	s->n = n + 1;
}

/* The first range that ends at or behind a. */
static size_t
set_search(const struct ip_set *s, const struct ip *a)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip_compare(&s->v[mid].hi, a) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
ip_set_remove(struct ip_set *s, const struct ip_range *r)
{
	size_t first = set_search(s, &r->lo), end = first, n = 0;
	struct ip_range rest[2];

	while (end < s->n && ip_compare(&s->v[end].lo, &r->hi) <= 0)
		end++;
	if (first == end)
		return;
	if (ip_compare(&s->v[first].lo, &r->lo) < 0) {
		rest[n] = (struct ip_range){s->v[first].lo, r->lo};
		ip_previous(&rest[n++].hi);
	}
	if (ip_compare(&s->v[end - 1].hi, &r->hi) > 0) {
		rest[n] = (struct ip_range){r->hi, s->v[end - 1].hi};
		ip_next(&rest[n++].lo);
	}
	if (n > end - first && !set_reserve(s, 1))
		return;
	memmove(s->v + first + n, s->v + end, (s->n - end) * sizeof(*s->v));
	memcpy(s->v + first, rest, n * sizeof(*rest));
	s->n = s->n - (end - first) + n;
}

bool
ip_set_has(const struct ip_set *s, const struct ip *a)
{
	size_t i = set_search(s, a);

	return i < s->n && ip_compare(&s->v[i].lo, a) <= 0;
}

bool
ip_set_overlaps(const struct ip_set *s, const struct ip_range *r)
{
	size_t i = set_search(s, &r->lo);

	return i < s->n && ip_compare(&s->v[i].lo, &r->hi) <= 0;
}

bool
ip_set_overlaps_set(const struct ip_set *a, const struct ip_set *b)
{
	size_t i = 0, j = 0;

	while (i < a->n && j < b->n) {
		if (ip_compare(&a->v[i].hi, &b->v[j].lo) < 0)
			i++;
		else if (ip_compare(&b->v[j].hi, &a->v[i].lo) < 0)
			j++;
		else
			return true;
	}
	return false;
}

bool
ip_set_covers(const struct ip_set *s, const struct ip_range *r)
{
	size_t i = set_search(s, &r->lo);

	return i < s->n && ip_compare(&s->v[i].lo, &r->lo) <= 0 &&
	    ip_compare(&s->v[i].hi, &r->hi) >= 0;
}
