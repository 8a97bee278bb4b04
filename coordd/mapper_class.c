/*
 * mapper_class: nodes to which the policy does the same, as classes: a change
 * is held against each class, and then only against the nodes of those that
 * it can concern.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/mapper_impl.h"

static struct view_class *
class_new(struct mapper *m, const struct key *hash, const uint64_t *bits,
    size_t bytes)
{
	struct view_class *cl = malloc(sizeof(*cl) + bytes);

	if (cl == NULL)
		return NULL;
	*cl = (struct view_class){.hash = *hash};
	memcpy(cl->bits, bits, bytes);
	TAILQ_INIT(&cl->nodes);
	if (!keymap_put(&m->classes_by_hash, &cl->hash, cl)) {
		free(cl);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&m->classes, cl, entry);
	return cl;
}

void
class_leave(struct mapper *m, struct mapper_node *mn)
{
	struct view_class *cl = mn->cl;

	mn->cl = NULL;
	if (cl == NULL)
		return;
	TAILQ_REMOVE(&cl->nodes, mn, by_class);
	if (!TAILQ_EMPTY(&cl->nodes))
		return;
	(void)keymap_del(&m->classes_by_hash, &cl->hash);
	TAILQ_REMOVE(&m->classes, cl, entry);
	free(cl);
}

bool
class_enter(struct coordd *c, struct node *n)
{
	struct mapper *m = c->mapper;
	size_t words = policy_words(c->policy);
	size_t bytes = 2 * words * sizeof(uint64_t);
	uint64_t *b = calloc(2 * words, sizeof(*b));
	struct policy_bits bits = {b, b + words};
	struct view_class *cl;
	struct key hash;

	if (b == NULL)
		return false;
	policy_match(c->policy, &n->subject, &bits);
	crypto_generichash(
	    hash.b, sizeof(hash.b), (unsigned char *)b, bytes, NULL, 0);
	cl = keymap_get(&m->classes_by_hash, &hash);
	if (cl == NULL)
		cl = class_new(m, &hash, b, bytes);
	free(b);
	if (cl == NULL)
		return false;
	if (cl != n->mapped->cl) {
		class_leave(m, n->mapped);
		n->mapped->cl = cl;
		TAILQ_INSERT_TAIL(&cl->nodes, n->mapped, by_class);
	}
	return true;
}

struct policy_bits
class_bits(const struct coordd *c, const struct view_class *cl)
{
	/* A set of bits is lent to be read; the type has it both ways. */
	uint64_t *b = (uint64_t *)(uintptr_t)cl->bits;

	return (struct policy_bits){b, b + policy_words(c->policy)};
}

bool
class_has_destination(
    const struct coordd *c, const struct view_class *cl, const uint64_t *rules)
{
	const uint64_t *dst = class_bits(c, cl).dst;
	size_t words = policy_words(c->policy);

	for (size_t i = 0; i < words; i++)
		if ((rules[i] & dst[i]) != 0)
			return true;
	return false;
}

bool
class_may_see(const struct coordd *c, const struct view_class *a,
    const struct view_class *b)
{
	return class_has_destination(c, a, b->bits) ||
	    class_has_destination(c, b, a->bits);
}
