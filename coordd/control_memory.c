/*
 * control_memory: what nghttp2 allocates for a connection: 25 KiB at the
 * start, of which one that waits uses 5. The large pieces lie in pages of the
 * connection's own, so what is never written takes no memory, and all goes
 * back at the end:
 *
 *   |session 2.9 KiB|its streams 4|room for a frame 16 ...
 *
 * A frame's payload does not pass through here (send_data in request.c), so
 * two pages are written. All else that nghttp2 allocates is malloc's.
 */
#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>

#include "coordd/control_impl.h"

/* The large pieces of nghttp2 1.52 take 23.5 KiB; what finds no room is
 * malloc's. */
#define PAGES_BYTES ((size_t)24 * 1024)
/* Smaller ones are written in full, or come and go with each request. */
#define LARGE 2048

#define ALIGN 16

static bool
is_ours(const struct session_memory *m, const uint8_t *p)
{
	return m->pages != NULL && p >= m->pages && p < m->pages + PAGES_BYTES;
}

/* Zeros, or NULL: each byte of the pages is given once. */
static void *
take(struct session_memory *m, size_t n)
{
	uint8_t *p = m->pages + m->used;

	if (m->pages == NULL || n < LARGE || n > PAGES_BYTES - m->used)
		return NULL;
	m->used += (n + ALIGN - 1) / ALIGN * ALIGN;
	return p;
}

static void *
on_malloc(size_t n, void *arg)
{
	void *p = take(arg, n);

	return p != NULL ? p : malloc(n);
}

static void *
on_calloc(size_t n, size_t size, void *arg)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	p = take(arg, bytes);
	return p != NULL ? p : calloc(1, bytes);
}

static void
on_free(void *p, void *arg)
{
	if (!is_ours(arg, p))
		free(p);
}

static void *
on_realloc(void *p, size_t n, void *arg)
{
	const struct session_memory *m = arg;
	void *copy;
	size_t most;

	if (p == NULL)
		return on_malloc(n, arg);
	if (!is_ours(m, p))
		return realloc(p, n);
	/* How long it was is not known: what lies behind it does no harm. */
	most = (size_t)(m->pages + PAGES_BYTES - (uint8_t *)p);
	if ((copy = malloc(n)) != NULL)
		memcpy(copy, p, n < most ? n : most);
	return copy;
}

nghttp2_mem
session_memory_init(struct session_memory *m)
{
	uint8_t *p = mmap(NULL, PAGES_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*m = (struct session_memory){.pages = p == MAP_FAILED ? NULL : p};
	return (nghttp2_mem){m, on_malloc, on_free, on_calloc, on_realloc};
}

void
session_memory_clear(struct session_memory *m)
{
	if (m->pages != NULL)
		munmap(m->pages, PAGES_BYTES);
	m->pages = NULL;
}
