/*
 * coordctl: the administrator's command line of coordd. One table of commands
 * (main.c), one file per noun; each command asks coordd's API, once or twice,
 * and prints what came. What came is believed in nothing: it may hold strange
 * bytes, lack members, or be no JSON at all.
 *
 *   main.c         the table of commands
 *   args.c         flags and arguments
 *   help.c         the help texts, made from the tables
 *   complete.c     completion for shells, made from the tables
 *   api.c          HTTP over the Unix socket
 *   answer.c PURE  what came, read piece by piece (answer.h)
 *   show.c table.c when.c
 *                  text for people (show.h)
 *   users.c preauthkeys.c nodes.c routes.c policy.c backup.c store.c
 */
#ifndef COORDCTL_COORDCTL_H
#define COORDCTL_COORDCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "coordctl/show.h"
#include "pure/text.h"

#define COORDCTL_SOCKET "/run/campusnet/coordd.sock"

/* Exit statuses. */
enum { STATUS_DONE, STATUS_REFUSED, STATUS_USAGE };

enum flag_id {
	FLAG_SOCKET,
	FLAG_JSON,
	FLAG_OUTPUT,
	FLAG_TIMEOUT,
	FLAG_FORCE,
	FLAG_HELP,
	FLAG_VERSION,
	FLAG_USER,
	FLAG_TAG,
	FLAG_TAGS,
	FLAG_REUSABLE,
	FLAG_EPHEMERAL,
	FLAG_EXPIRATION,
	FLAG_EXPIRY,
	FLAG_DISABLE,
	FLAG_REVOKE,
	FLAG_APPROVE,
	FLAG_PROTO,
	FLAG_LIMIT,
	FLAG_STATE,
	FLAG_COORDD,
	FLAG_DISPLAY_NAME,
	/* Headscale's ways to give an argument. */
	FLAG_IDENTIFIER,
	FLAG_NAME,
	FLAG_NEW_NAME,
	FLAG_KEY,
	FLAG_ID,
	FLAG_FILE,
};

#define FLAG(x) (UINT64_C(1) << FLAG_##x)
#define FLAGS_GLOBAL                                                \
	(FLAG(SOCKET) | FLAG(JSON) | FLAG(OUTPUT) | FLAG(TIMEOUT) | \
	    FLAG(FORCE) | FLAG(HELP) | FLAG(VERSION))

struct flag {
	const char *name;
	char letter; /* or 0 */
	enum flag_id id; /* several entries may have the same */
	const char *value; /* what it takes, in capitals; NULL: a switch */
	int stands_for; /* index of the argument that it gives, or -1 */
	const char *help; /* NULL: another spelling, not shown */
};

/* Ends with a NULL name. */
extern const struct flag flags[];

struct ctl;

struct command {
	const char *words;
	int (*run)(const struct ctl *ctl); /* returns the exit status */
	const char *args; /* "NODE [NAME]" */
	uint64_t need, may; /* flags */
	const char *help;
};

/* Ends with NULL words. */
extern const struct command commands[];

/* Another spelling. */
struct command_alias {
	const char *words, *command;
};

extern const struct command_alias command_aliases[];
extern const struct command_alias noun_aliases[];

#define ARGS_MAX 2

struct given {
	enum flag_id id;
	int stands_for; /* see struct flag */
	const char *value; /* NULL: a switch */
};

enum form { FORM_PEOPLE, FORM_JSON, FORM_JSON_LINE };

struct ctl {
	const char *socket;
	const char *about; /* the file whose lines coordd may speak of */
	int64_t timeout; /* seconds of silence; 0: no limit */
	enum form form;
	bool help, version;
	char noun[32]; /* as far as the words go */
	const struct command *command; /* NULL: not named (yet) */
	const char *args[ARGS_MAX]; /* NULL: not given */
	struct given *given;
	size_t ngiven;
};

/*
 * args.c
 */
/* Reads the command line. Returns STATUS_DONE, or STATUS_USAGE after it said
 * why. ctl_clear in both cases. */
int ctl_read(struct ctl *ctl, int argc, char **argv);
void ctl_clear(struct ctl *ctl);
bool ctl_has(const struct ctl *ctl, enum flag_id id);
/* The value given last, or NULL. */
const char *ctl_text(const struct ctl *ctl, enum flag_id id);
/* The parts, by commas, of all values given: an array of JSON strings. */
json_t *ctl_list(const struct ctl *ctl, enum flag_id id);
/* The flags that a command takes, Headscale's spellings among them. */
uint64_t command_flags(const struct command *c);
const struct flag *flag_find(const char *name, size_t n, uint64_t among);
/* Takes the next word of a command's name. False if there is none such. */
bool ctl_add_word(struct ctl *ctl, const char *word);
/* The i-th argument's name, without brackets; false: there are fewer. */
struct arg_name {
	char name[16];
	bool optional;
};
bool command_arg(const struct command *c, size_t i, struct arg_name *a);

/*
 * help.c
 */
void help_all(FILE *out);
void help_noun(FILE *out, const char *noun);
void help_command(FILE *out, const struct command *c);
/* One line: "nodes expire NODE [--expiry TIME]". */
void help_usage(struct text *out, const struct command *c);
/* The next of the words that begin commands, each once; NULL at the end. */
const char *noun_next(const struct command **at, char noun[static 32]);
/* What is most like the word, or NULL if nothing is. */
struct nearest {
	const char *word;
	char best[32];
	size_t distance;
};
void nearest_try(struct nearest *n, const char *candidate);

/*
 * complete.c: `coordctl __complete WORD...` prints what the last word may
 * become. Returns the exit status.
 */
int complete_words(int argc, char **argv);
int completion(const struct ctl *ctl);

/*
 * api.c: one request, one connection. Return the exit status: 0 and *answer
 * an object, or the other and NULL after they said why.
 */
/* A path is a list of pieces; every second one, from the second, is an
 * argument and is escaped. */
#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})
int api_get(const struct ctl *ctl, const char *const *path, json_t **answer);
/* The same for a list that is the member `name` of the answer. */
int api_list(const struct ctl *ctl, const char *const *path, const char *name,
    json_t **list);
/* A request without a body; answer is NULL if none is expected. */
int api_do(const struct ctl *ctl, const char *method, const char *const *path,
    json_t **answer);
/* Takes body; NULL stands for one that could not be made, because an argument
 * is not UTF-8. */
int api_send(const struct ctl *ctl, const char *method, const char *const *path,
    json_t *body, json_t **answer);
/* The body of a GET, piece by piece. take returns STATUS_DONE to go on.
 * Ends early, and says so, if stop_fd (or -1) becomes readable. */
typedef int api_take_fn(void *arg, const void *p, size_t n);
int api_stream(const struct ctl *ctl, const char *const *path, int stop_fd,
    api_take_fn *take, void *arg);
/* Said of an answer that lacks something. Returns the exit status. */
int api_strange(const char *what);

/*
 * The commands.
 */
int users_create(const struct ctl *ctl);
int users_list(const struct ctl *ctl);
int users_rename(const struct ctl *ctl);
int users_delete(const struct ctl *ctl);
int preauthkeys_create(const struct ctl *ctl);
int preauthkeys_list(const struct ctl *ctl);
int preauthkeys_expire(const struct ctl *ctl);
int preauthkeys_delete(const struct ctl *ctl);
int nodes_list(const struct ctl *ctl);
int nodes_show(const struct ctl *ctl);
int nodes_logins(const struct ctl *ctl);
int nodes_register(const struct ctl *ctl);
int nodes_deny(const struct ctl *ctl);
int nodes_approve(const struct ctl *ctl);
int nodes_expire(const struct ctl *ctl);
int nodes_rename(const struct ctl *ctl);
int nodes_move(const struct ctl *ctl);
int nodes_tag(const struct ctl *ctl);
int nodes_routes(const struct ctl *ctl);
int nodes_delete(const struct ctl *ctl);
int policy_check(const struct ctl *ctl);
int policy_show(const struct ctl *ctl);
int policy_set(const struct ctl *ctl);
int policy_explain(const struct ctl *ctl);
int policy_reload(const struct ctl *ctl);
int status_show(const struct ctl *ctl);
int audit_show(const struct ctl *ctl);
int backup(const struct ctl *ctl);
int restore(const struct ctl *ctl);
int verify(const struct ctl *ctl);

#endif
