/* args: what the command line says. Flags stand anywhere, those of a command
 * behind its words; "--" ends them. */
#include <stdlib.h>
#include <string.h>

#include "coordctl/coordctl.h"

#define TIMEOUT_DEFAULT 60

/* clang-format off */
const struct flag flags[] = {
	{"socket", 0, FLAG_SOCKET, "PATH", -1,
	    "coordd's socket, else $COORDD_SOCKET, else " COORDCTL_SOCKET},
	{"json", 0, FLAG_JSON, NULL, -1, "JSON for programs"},
	{"output", 'o', FLAG_OUTPUT, "FORM", -1,
	    "json as --json, or json-line for JSON in one line"},
	{"timeout", 0, FLAG_TIMEOUT, "TIME", -1,
	    "wait no longer for coordd, 60s; 0: for ever"},
	{"force", 0, FLAG_FORCE, NULL, -1,
	    "overwrite the file of backup; nothing else ever asks"},
	{"help", 'h', FLAG_HELP, NULL, -1, "say how to use it"},
	{"version", 0, FLAG_VERSION, NULL, -1, "print the version"},

	{"user", 'u', FLAG_USER, "USER", -1, "name or ID of a user"},
	{"tag", 0, FLAG_TAG, "TAG", -1, "nodes with this tag only"},
	{"tags", 't', FLAG_TAGS, "TAG,...", -1,
	    "tags, as tag:robot,tag:lab; \"\" for none"},
	{"reusable", 0, FLAG_REUSABLE, NULL, -1, "for any number of nodes"},
	{"ephemeral", 0, FLAG_EPHEMERAL, NULL, -1,
	    "its nodes are deleted once they are offline"},
	{"expiration", 'e', FLAG_EXPIRATION, "TIME", -1,
	    "how long it can be used: 90d, 12h, 1h30m; 0: for ever; else 1h"},
	{"expiry", 'e', FLAG_EXPIRY, "TIME", -1,
	    "2027-01-31T12:00:00Z, or 90d for then from now, or never"},
	{"disable", 'd', FLAG_DISABLE, NULL, -1, "as --expiry never"},
	{"revoke", 0, FLAG_REVOKE, NULL, -1, "take the approval back"},
	{"approve", 0, FLAG_APPROVE, "ROUTE,...", -1,
	    "approve these and no others; \"\" for none"},
	{"routes", 'r', FLAG_APPROVE, "ROUTE,...", -1, NULL},
	{"proto", 0, FLAG_PROTO, "PROTO", -1, "udp, icmp ...; else tcp or udp"},
	{"limit", 0, FLAG_LIMIT, "N", -1, "no more entries than this, 100"},
	{"state", 0, FLAG_STATE, "DIR", -1, "coordd's state folder"},
	{"coordd", 0, FLAG_COORDD, "PATH", -1,
	    "the program coordd, else the one beside coordctl"},
	{"display-name", 'd', FLAG_DISPLAY_NAME, "TEXT", -1,
	    "a name for people to read"},

	{"identifier", 'i', FLAG_IDENTIFIER, "ID", 0, NULL},
	{"name", 'n', FLAG_NAME, "USER", 0, NULL},
	{"new-name", 'r', FLAG_NEW_NAME, "NAME", 1, NULL},
	{"key", 'k', FLAG_KEY, "LOGIN", 0, NULL},
	{"auth-id", 0, FLAG_KEY, "LOGIN", 0, NULL},
	{"id", 'i', FLAG_ID, "ID", 0, NULL},
	{"file", 'f', FLAG_FILE, "FILE", 0, NULL},
	{NULL, 0, 0, NULL, -1, NULL},
};
/* clang-format on */

bool
command_arg(const struct command *c, size_t i, struct arg_name *a)
{
	const char *p = c->args;
	size_t n;

	for (; *p != '\0'; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		if (i-- > 0)
			continue;
		a->optional = *p == '[';
		snprintf(a->name, sizeof(a->name), "%.*s",
		    (int)(a->optional ? n - 2 : n), p + a->optional);
		return true;
	}
	return false;
}

uint64_t
command_flags(const struct command *c)
{
	static const struct {
		const char *noun, *arg;
		uint64_t flags;
	} old[] = {
	    {"users ", "USER", FLAG(IDENTIFIER) | FLAG(NAME)},
	    {"users rename", "NAME", FLAG(NEW_NAME)},
	    {"nodes ", "NODE", FLAG(IDENTIFIER)},
	    {"nodes ", "LOGIN", FLAG(KEY)},
	    {"preauthkeys ", "ID", FLAG(ID)},
	    {"policy ", "FILE", FLAG(FILE)},
	};
	uint64_t all = FLAGS_GLOBAL | c->need | c->may;
	struct arg_name a;

	for (size_t i = 0; command_arg(c, i, &a); i++)
		for (size_t k = 0; k < sizeof(old) / sizeof(old[0]); k++)
			if (strcmp(a.name, old[k].arg) == 0 &&
			    strncmp(c->words, old[k].noun,
				strlen(old[k].noun)) == 0)
				all |= old[k].flags;
	return all;
}

const struct flag *
flag_find(const char *name, size_t n, uint64_t among)
{
	for (const struct flag *f = flags; f->name != NULL; f++)
		if ((among >> f->id & 1) != 0 &&
		    ((strlen(f->name) == n && memcmp(f->name, name, n) == 0) ||
			(n == 1 && f->letter == *name)))
			return f;
	return NULL;
}

static uint64_t
flags_now(const struct ctl *ctl)
{
	return ctl->command == NULL ? FLAGS_GLOBAL
				    : command_flags(ctl->command);
}

/* What a message about the command line begins with. */
static const char *
where(const struct ctl *ctl)
{
	return ctl->command != NULL ? ctl->command->words : ctl->noun;
}

static int
fail_flag(const struct ctl *ctl, const char *arg, size_t n)
{
	uint64_t among = flags_now(ctl);
	char word[64], name[32];
	struct nearest near = {.word = word, .distance = SIZE_MAX};

	snprintf(word, sizeof(word), "%.*s", (int)n, arg);
	for (const struct flag *f = flags; f->name != NULL; f++)
		if ((among >> f->id & 1) != 0 && f->help != NULL) {
			snprintf(name, sizeof(name), "--%s", f->name);
			nearest_try(&near, name);
		}
	if (*near.best != '\0')
		return fail_usage("%s%s%s: no such flag; is it %s?", where(ctl),
		    *where(ctl) != '\0' ? " " : "", word, near.best);
	if (ctl->command == NULL)
		return fail_usage("%s: no such flag before a command; "
				  "coordctl --help lists them",
		    word);
	return fail_usage("%s %s: no such flag; coordctl %s --help lists them",
	    where(ctl), word, where(ctl));
}

/* What follows a switch's '='. */
static int
read_switch(const struct flag *f, const char *value, bool *on)
{
	*on = value == NULL || strcmp(value, "true") == 0 ||
	    strcmp(value, "1") == 0;
	if (*on || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		return STATUS_DONE;
	return fail_usage("--%s=%s: want true or false", f->name, value);
}

/* Reads the flag argv[*i] and, if it takes one, its value. */
static int
read_flag(struct ctl *ctl, int argc, char **argv, int *i)
{
	const char *arg = argv[*i], *name = arg + 1 + (arg[1] == '-');
	const char *value = strchr(name, '=');
	size_t n = value != NULL ? (size_t)(value++ - name) : strlen(name);
	const struct flag *f = flag_find(name, n, flags_now(ctl));
	bool on = true;

	if (f == NULL || (n == 1 && name == arg + 2))
		return fail_flag(ctl, arg, (size_t)(name - arg) + n);
	if (f->value == NULL) {
		if (read_switch(f, value, &on) != STATUS_DONE)
			return STATUS_USAGE;
		value = NULL;
	} else if (value == NULL) {
		if (*i + 1 >= argc)
			return fail_usage("%s: %s is missing", arg, f->value);
		value = argv[++*i];
	}
	if (on)
		ctl->given[ctl->ngiven++] =
		    (struct given){f->id, f->stands_for, value};
	return STATUS_DONE;
}

bool
ctl_add_word(struct ctl *ctl, const char *word)
{
	const struct command_alias *a;
	char words[80];
	size_t n;

	if (*ctl->noun == '\0')
		for (a = noun_aliases; a->words != NULL; a++)
			if (strcmp(a->words, word) == 0)
				word = a->command;
	snprintf(words, sizeof(words), "%s%s%s", ctl->noun,
	    *ctl->noun != '\0' ? " " : "", word);
	for (a = command_aliases; a->words != NULL; a++)
		if (strcmp(a->words, words) == 0)
			snprintf(words, sizeof(words), "%s", a->command);
	n = strlen(words);
	for (const struct command *c = commands; c->words != NULL; c++)
		if (strcmp(c->words, words) == 0) {
			ctl->command = c;
			return true;
		}
	if (*ctl->noun != '\0' || n >= sizeof(ctl->noun))
		return false;
	for (const struct command *c = commands; c->words != NULL; c++)
		if (strncmp(c->words, words, n) == 0 && c->words[n] == ' ') {
			memcpy(ctl->noun, words, n + 1);
			return true;
		}
	return false;
}

/* The words that could stand where this one does not fit. */
static int
fail_word(const struct ctl *ctl, const char *word)
{
	struct nearest near = {.word = word, .distance = SIZE_MAX};
	size_t n = strlen(ctl->noun);
	const struct command *at = NULL;
	char noun[32];

	if (n == 0)
		while (noun_next(&at, noun) != NULL)
			nearest_try(&near, noun);
	else
		for (at = commands; at->words != NULL; at++)
			if (strncmp(at->words, ctl->noun, n) == 0 &&
			    at->words[n] == ' ')
				nearest_try(&near, at->words + n + 1);
	if (*near.best != '\0')
		return fail_usage("%s%s%s: no such command; is it %s%s%s?",
		    ctl->noun, n > 0 ? " " : "", word, ctl->noun,
		    n > 0 ? " " : "", near.best);
	return fail_usage("%s%s%s: no such command; coordctl %s%s--help "
			  "lists them",
	    ctl->noun, n > 0 ? " " : "", word, ctl->noun, n > 0 ? " " : "");
}

static int
fail_missing(const struct ctl *ctl, const char *name)
{
	struct text usage = TEXT_EMPTY;
	int status;

	help_usage(&usage, ctl->command);
	status = fail_usage(
	    "%s: %s is missing; usage: coordctl %s", where(ctl), name, usage.p);
	text_clear(&usage);
	return status;
}

static int
check_args(const struct ctl *ctl)
{
	struct arg_name a;

	for (size_t i = 0; command_arg(ctl->command, i, &a); i++) {
		if (ctl->args[i] == NULL && !a.optional)
			return fail_missing(ctl, a.name);
		/* An empty name is coordd's to judge. */
		if (ctl->args[i] != NULL && *ctl->args[i] == '\0' &&
		    strcmp(a.name, "NAME") != 0)
			return fail_usage(
			    "%s: %s is empty", where(ctl), a.name);
	}
	return STATUS_DONE;
}

/* Gives the arguments their places: first those that are given by flags. */
static int
place_args(struct ctl *ctl, const char **words, size_t n)
{
	struct arg_name a;
	size_t next = 0, i;

	for (i = 0; i < ctl->ngiven; i++)
		if (ctl->given[i].stands_for >= 0)
			ctl->args[ctl->given[i].stands_for] =
			    ctl->given[i].value;
	for (i = 0; i < n; i++) {
		while (next < ARGS_MAX && ctl->args[next] != NULL)
			next++;
		if (!command_arg(ctl->command, next, &a))
			return fail_usage(
			    "%s: %s is too much", where(ctl), words[i]);
		ctl->args[next] = words[i];
	}
	return check_args(ctl);
}

static int
read_output(struct ctl *ctl)
{
	const char *form = ctl_text(ctl, FLAG_OUTPUT);
	const char *timeout = ctl_text(ctl, FLAG_TIMEOUT);

	if (ctl_has(ctl, FLAG_JSON))
		ctl->form = FORM_JSON;
	if (form != NULL && strcmp(form, "json") == 0)
		ctl->form = FORM_JSON;
	else if (form != NULL && strcmp(form, "json-line") == 0)
		ctl->form = FORM_JSON_LINE;
	else if (form != NULL && *form != '\0')
		return fail_usage("--output %s: want json or json-line", form);
	if (timeout != NULL && !duration_parse(timeout, &ctl->timeout))
		return fail_usage("--timeout %s: want a time as 30s or 5m, or "
				  "0 for no limit",
		    timeout);
	return STATUS_DONE;
}

/* All that only the whole line tells. */
static int
read_rest(struct ctl *ctl, const char **words, size_t n)
{
	const char *socket = getenv("COORDD_SOCKET");

	ctl->help |= ctl_has(ctl, FLAG_HELP);
	ctl->version = ctl_has(ctl, FLAG_VERSION);
	if (ctl->help || ctl->version)
		return STATUS_DONE;
	if (ctl->command == NULL)
		return STATUS_DONE;
	ctl->timeout = TIMEOUT_DEFAULT;
	ctl->socket = ctl_text(ctl, FLAG_SOCKET);
	if (ctl->socket == NULL)
		ctl->socket = socket != NULL && *socket != '\0'
		    ? socket
		    : COORDCTL_SOCKET;
	for (const struct flag *f = flags; f->name != NULL; f++)
		if ((ctl->command->need >> f->id & 1) != 0 &&
		    !ctl_has(ctl, f->id))
			return fail_usage("%s: --%s %s is missing", where(ctl),
			    f->name, f->value);
	if (read_output(ctl) != STATUS_DONE)
		return STATUS_USAGE;
	return place_args(ctl, words, n);
}

static int
read_all(struct ctl *ctl, int argc, char **argv, const char **words)
{
	bool ended = false;
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!ended && strcmp(arg, "--") == 0)
			ended = true;
		else if (!ended && arg[0] == '-' && arg[1] != '\0') {
			if (read_flag(ctl, argc, argv, &i) != STATUS_DONE)
				return STATUS_USAGE;
		} else if (ctl->command != NULL)
			words[n++] = arg;
		else if (*ctl->noun == '\0' && strcmp(arg, "help") == 0)
			ctl->help = true;
		else if (!ctl_add_word(ctl, arg))
			return fail_word(ctl, arg);
	}
	return read_rest(ctl, words, n);
}

int
ctl_read(struct ctl *ctl, int argc, char **argv)
{
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	int status;

	*ctl = (struct ctl){0};
	ctl->given = calloc((size_t)argc + 1, sizeof(*ctl->given));
	if (words == NULL || ctl->given == NULL)
		out_of_memory();
	status = read_all(ctl, argc, argv, words);
	free(words);
	return status;
}

void
ctl_clear(struct ctl *ctl)
{
	free(ctl->given);
	ctl->given = NULL;
}

bool
ctl_has(const struct ctl *ctl, enum flag_id id)
{
	for (size_t i = 0; i < ctl->ngiven; i++)
		if (ctl->given[i].id == id)
			return true;
	return false;
}

const char *
ctl_text(const struct ctl *ctl, enum flag_id id)
{
	const char *value = NULL;

	for (size_t i = 0; i < ctl->ngiven; i++)
		if (ctl->given[i].id == id)
			value = ctl->given[i].value;
	return value;
}

json_t *
ctl_list(const struct ctl *ctl, enum flag_id id)
{
	json_t *list = json_array();
	size_t n;

	for (size_t i = 0; i < ctl->ngiven; i++) {
		const char *p = ctl->given[i].value;

		if (ctl->given[i].id != id)
			continue;
		for (; *p != '\0'; p += n + (p[n] == ',')) {
			n = strcspn(p, ",");
			if (n > 0 &&
			    json_array_append_new(list, json_stringn(p, n)) ==
				-1) {
				json_decref(list);
				return NULL;
			}
		}
	}
	return list;
}
