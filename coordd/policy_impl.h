/*
 * policy_impl: what the files of the policy share; nobody else includes it.
 *
 * Names of the policy (users, groups, tags, hosts, addresses ...) are aliases,
 * each kept once. A list of sources is kept once, too: many rules share it,
 * and with it the addresses that it stands for at the moment.
 */
#ifndef COORDD_POLICY_IMPL_H
#define COORDD_POLICY_IMPL_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordd/policy.h"
#include "pure/hujson.h"
#include "pure/ip.h"
#include "pure/text.h"

#define POLICY_NONE	 UINT32_MAX
#define POLICY_RULES_MAX 65536

enum alias_kind {
	ALIAS_ANY, /* "*" */
	ALIAS_DANGER_ALL, /* really every source */
	ALIAS_USER,
	ALIAS_GROUP,
	ALIAS_TAG,
	ALIAS_MEMBER,
	ALIAS_TAGGED,
	ALIAS_SELF,
	ALIAS_INTERNET,
	ALIAS_ADDRESS, /* literal, or one of "hosts" */
};

struct alias {
	enum alias_kind kind;
	char *name; /* user: without the last @; tag: with "tag:" */
	char **members; /* group: names of users, sorted */
	size_t nmembers;
	struct ip_prefix prefix; /* address */
	uint32_t *sources; /* lists of sources that it is in */
	size_t nsources, cap_sources;
	uint32_t first_rule; /* of which it is the destination */
};

/* A list of sources. */
struct sources {
	uint32_t *aliases; /* sorted, each once */
	size_t n;
	uint32_t first_rule;
	char *text; /* JSON array of SrcIPs, NULL: not known now */
	bool none; /* text is known to hold nothing */
};

struct port_range {
	uint16_t first, last;
};

struct service {
	uint8_t proto; /* 0: TCP, UDP, ICMP and ICMPv6 */
	struct port_range *ports;
	size_t nports;
};

/* An acl's destination, or a grant: what rules are made from. */
struct entry {
	const char *section; /* "acls", "grants"; NULL: allows everything */
	size_t index; /* in the section */
	size_t first_dst; /* of its rules, in the array "dst" */
	uint32_t first_rule, nrules;
	struct service *services;
	size_t nservices;
	char *app; /* JSON object of capabilities, then no services */
	bool reverse; /* of an app: tells the sources of it */
};

struct rule {
	uint32_t sources, dst, entry;
	uint32_t next_of_sources, next_of_dst;
};

/* A key of the policy with a list of aliases: an owner, an approver ... */
struct listed {
	char *name; /* tag */
	struct ip_prefix prefix; /* route */
	char **attributes; /* of nodeAttrs */
	size_t nattributes;
	uint32_t *aliases;
	size_t n;
};

struct listing {
	struct listed *v;
	size_t n, cap;
};

struct policy_check {
	uint32_t alias;
	uint16_t port;
	size_t at; /* in "accept" or "deny" */
	bool accept;
};

/* One of "tests". */
struct policy_case {
	uint32_t src;
	uint8_t proto;
	struct policy_check *checks;
	size_t nchecks;
};

struct policy {
	char *source; /* as given */
	size_t source_len;

	struct alias *aliases;
	size_t naliases, cap_aliases;
	struct sources *sources;
	size_t nsources, cap_sources;
	struct entry *entries;
	size_t nentries, cap_entries;
	struct rule *rules;
	size_t nrules, cap_rules;

	/* Rules by what their aliases are, as bits. */
	uint64_t *self; /* the destination is autogroup:self */
	uint64_t *dst_routes; /* the destination may be behind a route */
	uint64_t *src_routes; /* a source may be */
	uint64_t *dst_outside; /* the destination is in the internet, not all of
				* it */

	struct listing owners, route_approvers, exit_approvers, attributes;
	bool random_port;
	struct policy_case *cases;
	size_t ncases, cap_cases;
};

/* What reading needs beside what it makes. */
struct policy_reader {
	struct policy *p;
	char *text; /* stripped */
	size_t n;
	json_t *root;
	json_t *groups, *hosts, *tags; /* sections, lent; may be NULL */
	json_t *alias_ids, *sources_ids; /* text to index */
	char *error;
};

static inline bool
bit_get(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static inline void
bit_set(uint64_t *bits, size_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/*
 * policy_error.c
 */
/* Writes the line, column and text of what is wrong; returns false. */
bool policy_refuse(struct policy_reader *r, const struct hujson_path *at,
    bool of_key, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
bool policy_no_memory(struct policy_reader *r);
/* The array with room for one more, NULL (and unchanged) if there is none. */
void *policy_grow(void *v, size_t n, size_t *cap, size_t size);
/* Where the value of a key goes, and how the key was written (if not NULL).
 * A list of them ends with a NULL. */
struct policy_field {
	const char *name;
	json_t **value;
	const char **key;
};
/* Sorts the members of an object by their names, in whatever case; refuses
 * others. Those that begin with # are left out. */
bool policy_fields(struct policy_reader *r, const struct hujson_path *at,
    json_t *object, const struct policy_field *fields);

/*
 * policy_alias.c
 */
/* Where an alias may stand. */
enum alias_place {
	PLACE_SOURCE,
	PLACE_DESTINATION,
	PLACE_TARGET, /* nodeAttrs */
	PLACE_OWNER, /* tagOwners, autoApprovers */
	PLACE_TEST_SOURCE,
	PLACE_TEST_DESTINATION,
};
/* The index of the alias that n bytes of text name; it is added if it is new.
 * False if it is none, or may not stand there. */
bool policy_alias(struct policy_reader *r, const struct hujson_path *at,
    const char *text, size_t n, enum alias_place place, uint32_t *index);
/* A JSON array of aliases. */
bool policy_aliases(struct policy_reader *r, const struct hujson_path *at,
    const json_t *list, enum alias_place place, uint32_t **v, size_t *n);
/* The index of the list of sources, which is added if it is new. */
bool policy_sources(struct policy_reader *r, const uint32_t *aliases, size_t n,
    uint32_t *index);

/*
 * policy_rules.c
 */
bool policy_read_acls(struct policy_reader *r, const char *key, json_t *acls);
bool policy_read_grants(
    struct policy_reader *r, const char *key, json_t *grants);
/* The rule of a policy without rules. */
bool policy_allow_all(struct policy_reader *r);
/* Reads "alias:ports"; an IPv6 address may stand in brackets. */
bool policy_destination(struct policy_reader *r, const struct hujson_path *at,
    const json_t *value, enum alias_place place, uint32_t *alias,
    struct service *s);

/*
 * policy_ports.c
 */
bool policy_read_proto(struct policy_reader *r, const struct hujson_path *at,
    const char *text, size_t n, uint8_t *proto);
bool policy_read_ports(struct policy_reader *r, const struct hujson_path *at,
    const char *text, struct service *s);
bool policy_service_has_ports(uint8_t proto);
bool policy_service_allows(
    const struct service *s, uint16_t port, uint8_t proto);

/*
 * policy_lists.c: owners, approvers, attributes, tests.
 */
bool policy_read_owners(struct policy_reader *r, const char *key, json_t *tags);
bool policy_read_approvers(
    struct policy_reader *r, const char *key, json_t *approvers);
bool policy_read_attributes(
    struct policy_reader *r, const char *key, json_t *list);
bool policy_read_cases(struct policy_reader *r, const char *key, json_t *list);

/*
 * policy_match.c
 */
/* Links the rules with their aliases and makes the sets of bits, once all are
 * read. False if memory is short. */
bool policy_index(struct policy *p);
/* True if the subject is meant by the alias because of who it is. */
bool alias_is_subject(const struct alias *a, const struct policy_subject *s);
/* autogroup:self: both are untagged devices of one user. */
bool subject_same_user(
    const struct policy_subject *a, const struct policy_subject *b);
/* True if the alias means this address, which is the subject's, if any. */
bool alias_has(const struct alias *a, const struct policy_subject *s,
    const struct ip *ip, bool source);
bool alias_overlaps(const struct alias *a, const struct ip_range *r);
/* 0.0.0.0/0, ::/0 or all of the internet. */
bool alias_is_internet(const struct alias *a);
/* Its addresses are part of autogroup:internet. */
bool alias_is_outside(const struct alias *a);
/* autogroup:internet as sorted ranges, NULL at the end. */
const struct ip_range *internet_range(size_t i);
/* "*" as a source, the same way. */
const struct ip_range *tailnet_range(size_t i);

/*
 * policy_explain.c
 */
/* One packet that somebody might send. */
struct policy_packet {
	const struct policy_subject *src, *dst; /* NULL: of no node */
	struct ip src_ip, dst_ip;
	uint16_t port;
	uint8_t proto; /* 0: TCP or UDP */
};
bool policy_rule_allows(
    const struct policy *p, uint32_t rule, const struct policy_packet *k);
/* The same for port and protocol alone. */
bool policy_rule_serves(
    const struct policy *p, uint32_t rule, uint16_t port, uint8_t proto);

#endif
