/*
 * place: from options to sockets and what clients are told of them. Owns the
 * lists that the sites lend. Opens nothing.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "stund/stund.h"

bool
place_alias_parse(struct stunsrv_alias *alias, const char *text)
{
	const char *equals = strchr(text, '=');
	struct ip local, told;

	if (equals == NULL ||
	    !ip_parse(&local, text, (size_t)(equals - text)) ||
	    !ip_parse(&told, equals + 1, strlen(equals + 1)) ||
	    ip_is_v4(&local) != ip_is_v4(&told))
		return false;
	memcpy(alias->local, local.b, sizeof(alias->local));
	memcpy(alias->told, told.b, sizeof(alias->told));
	return true;
}

static void
place_init(struct stund_place *p, const struct stund_conf *c, size_t listen)
{
	const struct addr *a1 = &c->listen.v[listen], *a2;

	p->at[STUNSRV_A1P1] = *a1;
	p->site.wildcard = addr_is_any(a1);
	p->site.extras = true;
	p->site.here = STUNSRV_ROLE_BIT(STUNSRV_A1P1);
	/* An alternate has one -listen of its family: it is this one. */
	for (size_t i = 0; i < c->alternate.n; i++) {
		a2 = &c->alternate.v[i];
		if (addr_is_v4(a1) != addr_is_v4(a2))
			continue;
		p->at[STUNSRV_A1P2] = *a1;
		addr_set_port(&p->at[STUNSRV_A1P2], addr_port(a2));
		p->at[STUNSRV_A2P1] = *a2;
		addr_set_port(&p->at[STUNSRV_A2P1], addr_port(a1));
		p->at[STUNSRV_A2P2] = *a2;
		p->site.here = STUNSRV_ALL_ROLES;
	}
}

static int
init_lists(struct stund_places *p, const struct stund_conf *c)
{
	struct ip_prefix prefix;

	p->aliases = calloc(c->advertise.n + 1, sizeof(*p->aliases));
	/* Each socket as it is and as it is told. */
	p->own = calloc(2 * STUNSRV_ROLES * c->listen.n + 1, sizeof(*p->own));
	if (p->aliases == NULL || p->own == NULL)
		return -1;
	for (size_t i = 0; i < c->advertise.n; i++)
		if (place_alias_parse(
			&p->aliases[p->n_aliases], c->advertise.v[i]))
			p->n_aliases++;
	for (size_t i = 0; i < c->deny.n; i++)
		if (ip_prefix_parse(
			&prefix, c->deny.v[i], strlen(c->deny.v[i])))
			ip_set_add_prefix(&p->denied, &prefix);
	ip_set_close(&p->denied);
	return p->denied.bad ? -1 : 0;
}

int
places_init(struct stund_places *p, const struct stund_conf *c)
{
	uint8_t key[STUNSRV_COOKIE_KEY_LEN];

	p->v = calloc(c->listen.n + 1, sizeof(*p->v));
	if (p->v == NULL || init_lists(p, c) == -1)
		return -1;
	randombytes_buf(key, sizeof(key));
	for (; p->n < c->listen.n; p->n++) {
		struct stund_place *place = &p->v[p->n];

		place_init(place, c, p->n);
		memcpy(place->site.cookie_key, key, sizeof(key));
		place->site.aliases = p->aliases;
		place->site.n_aliases = p->n_aliases;
		if (p->denied.n > 0)
			place->site.denied = &p->denied;
	}
	sodium_memzero(key, sizeof(key));
	return 0;
}

static void
add_own(struct stund_places *p, const struct stun_addr *a)
{
	for (size_t i = 0; i < p->n_own; i++)
		if (memcmp(&p->own[i], a, sizeof(*a)) == 0)
			return;
	p->own[p->n_own++] = *a;
}

static void
settle(struct stund_places *p, struct stund_place *place, int role)
{
	struct stun_addr *told = &place->site.at[role];
	struct stun_addr local = {.port = addr_port(&place->at[role])};

	if (!place->site.wildcard)
		addr_ip16(&place->at[role], local.ip);
	add_own(p, &local);
	*told = local;
	for (size_t i = 0; i < p->n_aliases; i++)
		if (memcmp(p->aliases[i].local, local.ip, 16) == 0)
			memcpy(told->ip, p->aliases[i].told, 16);
	add_own(p, told);
}

void
places_settle(struct stund_places *p)
{
	for (size_t i = 0; i < p->n; i++)
		for (int role = 0; role < STUNSRV_ROLES; role++)
			if (p->v[i].at[role].len > 0)
				settle(p, &p->v[i], role);
	for (size_t i = 0; i < p->n; i++) {
		p->v[i].site.own = p->own;
		p->v[i].site.n_own = p->n_own;
	}
}

void
places_clear(struct stund_places *p)
{
	free(p->v);
	free(p->own);
	free(p->aliases);
	ip_set_clear(&p->denied);
	*p = (struct stund_places){0};
}
