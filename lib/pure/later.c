/* later: a binary heap of (time, slot), the earliest on top. */
#include <stdint.h>
#include <stdlib.h>

#include "pure/later.h"

struct entry {
	struct mono due;
	size_t slot;
};

/* heap[n..used) hold the slots that are free again; beyond `used` none was
 * ever given out. */
struct later {
	size_t cap, size, n, used;
	struct entry *heap;
	unsigned char *slots;
};

struct later *
later_new(size_t cap, size_t size)
{
	struct later *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->cap = cap;
	/* Slots are aligned for anything. */
	l->size = (size + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) *
	    _Alignof(max_align_t);
	l->heap = calloc(cap, sizeof(*l->heap));
	l->slots = calloc(cap, l->size);
	if (l->heap == NULL || l->slots == NULL) {
		later_free(l);
		return NULL;
	}
	return l;
}

void
later_free(struct later *l)
{
	if (l == NULL)
		return;
	free(l->heap);
	free(l->slots);
	free(l);
}

static void
swap(struct later *l, size_t i, size_t j)
{
	struct entry e = l->heap[i];

	l->heap[i] = l->heap[j];
	l->heap[j] = e;
}

static bool
is_before(const struct later *l, size_t i, size_t j)
{
	return mono_diff_us(l->heap[i].due, l->heap[j].due) > 0;
}

void *
later_add(struct later *l, struct mono due)
{
	size_t i = l->n;

	if (i == l->cap)
		return NULL;
	if (i == l->used) {
		l->heap[i].slot = i;
		l->used++;
	}
	l->heap[i].due = due;
	l->n++;
	for (; i > 0 && is_before(l, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(l, i, (i - 1) / 2);
	/* The new one's slot, wherever it has risen to. */
	return l->slots + l->heap[i].slot * l->size;
}

struct mono
later_next(const struct later *l)
{
	return l->n == 0 ? MONO_NEVER : l->heap[0].due;
}

static void
sink(struct later *l)
{
	size_t i = 0, least;

	for (;;) {
		least = i;
		for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < l->n && is_before(l, child, least))
				least = child;
		if (least == i)
			return;
		swap(l, i, least);
		i = least;
	}
}

void *
later_take(struct later *l, struct mono now)
{
	if (l->n == 0 || !mono_reached(l->heap[0].due, now))
		return NULL;
	/* Its slot is free again behind the heap's end. */
	swap(l, 0, --l->n);
	sink(l);
	return l->slots + l->heap[l->n].slot * l->size;
}
