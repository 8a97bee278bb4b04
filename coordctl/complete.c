/*
 * complete: what the last word of a command line may become. The code for the
 * shells asks the program itself, so that commands and flags are written down
 * once; names of nodes, users, keys and logins come from coordd.
 */
#include <stdlib.h>
#include <string.h>

#include "coordctl/coordctl.h"

/* Nobody waits longer for a list while he types. */
#define TIMEOUT 2

/* One per line: a word, a tab, what it means. A line of ":file" or ":dir" asks
 * the shell for its own. */
static void
put_word(const char *prefix, const char *word, const char *help)
{
	if (strncmp(word, prefix, strlen(prefix)) == 0)
		printf("%s\t%s\n", word, help);
}

/* A word that no shell takes for anything else. */
static bool
is_plain(const char *s)
{
	return *s != '\0' &&
	    strspn(s,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._-@:/") == strlen(s);
}

static void
put_members(const struct ctl *ctl, const char *prefix, const char *list,
    const char *name, const char *help)
{
	const char *const path[] = {"/", list, NULL};
	json_t *v;
	const json_t *element;
	char *word, *means;
	size_t i;

	if (api_list(ctl, path, list, &v) != STATUS_DONE)
		return;
	json_array_foreach(v, i, element)
	{
		struct text safe = TEXT_EMPTY;

		word = value_text(json_object_get(element, name));
		means = value_text(json_object_get(element, help));
		text_safe(&safe, means);
		if (is_plain(word) && !safe.bad)
			put_word(prefix, word, safe.p);
		text_clear(&safe);
		free(word);
		free(means);
	}
	json_decref(v);
}

/* Of what kind is told by the name that the tables use. */
static void
put_kind(const struct ctl *ctl, const char *prefix, const char *kind)
{
	if (strcmp(kind, "NODE") == 0)
		put_members(ctl, prefix, "nodes", "name", "addresses");
	else if (strcmp(kind, "USER") == 0)
		put_members(ctl, prefix, "users", "name", "display_name");
	else if (strcmp(kind, "ID") == 0)
		put_members(ctl, prefix, "preauthkeys", "id", "prefix");
	else if (strcmp(kind, "LOGIN") == 0)
		put_members(ctl, prefix, "logins", "id", "hostname");
	else if (strcmp(kind, "FILE") == 0 || strcmp(kind, "PATH") == 0)
		puts(":file");
	else if (strcmp(kind, "DIR") == 0)
		puts(":dir");
	else if (strcmp(kind, "FORM") == 0) {
		put_word(prefix, "json", "as --json");
		put_word(prefix, "json-line", "in one line");
	} else if (strcmp(kind, "SHELL") == 0) {
		put_word(prefix, "bash", "");
		put_word(prefix, "zsh", "");
		put_word(prefix, "fish", "");
	}
}

static void
put_flag_words(const struct ctl *ctl, const char *prefix)
{
	uint64_t among = FLAGS_GLOBAL;
	char word[64];

	if (ctl->command != NULL)
		among |= ctl->command->need | ctl->command->may;
	for (const struct flag *f = flags; f->name != NULL; f++)
		if (f->help != NULL && (among >> f->id & 1) != 0) {
			snprintf(word, sizeof(word), "--%s", f->name);
			put_word(prefix, word, f->help);
		}
}

static void
put_command_words(const struct ctl *ctl, const char *prefix)
{
	const struct command *at = NULL;
	size_t n = strlen(ctl->noun);
	char noun[32];

	if (n == 0) {
		while (noun_next(&at, noun) != NULL)
			put_word(prefix, noun,
			    strchr(at->words, ' ') != NULL ? "" : at->help);
		return;
	}
	for (at = commands; at->words != NULL; at++)
		if (strncmp(at->words, ctl->noun, n) == 0 &&
		    at->words[n] == ' ')
			put_word(prefix, at->words + n + 1, at->help);
}

/* What the words before the last have come to. */
struct place {
	struct ctl ctl;
	const struct flag *flag; /* whose value comes next, or NULL */
	size_t nargs;
	bool ended; /* by "--" */
};

/* Takes a word that is complete. False if it fits nowhere. */
static bool
place_take(struct place *p, const char *word)
{
	uint64_t among = p->ctl.command == NULL ? FLAGS_GLOBAL
						: command_flags(p->ctl.command);
	const char *name;
	size_t n;

	if (p->flag != NULL) {
		/* Some shells make a word of their own of '='. */
		if (strcmp(word, "=") == 0)
			return true;
		if (p->flag->id == FLAG_SOCKET)
			p->ctl.socket = word;
		p->flag = NULL;
	} else if (!p->ended && strcmp(word, "--") == 0)
		p->ended = true;
	else if (!p->ended && word[0] == '-' && word[1] != '\0') {
		name = word + 1 + (word[1] == '-');
		n = strcspn(name, "=");
		p->flag = flag_find(name, n, among);
		if (p->flag == NULL)
			return false;
		if (p->flag->id == FLAG_SOCKET && name[n] == '=')
			p->ctl.socket = name + n + 1;
		if (p->flag->value == NULL || name[n] == '=')
			p->flag = NULL;
	} else if (p->ctl.command != NULL)
		p->nargs++;
	else if (*p->ctl.noun != '\0' || strcmp(word, "help") != 0)
		return ctl_add_word(&p->ctl, word);
	return true;
}

static void
put_candidates(const struct place *p, const char *last)
{
	const struct ctl *ctl = &p->ctl;
	const char *value = strchr(last, '=');
	struct arg_name a;

	if (p->flag != NULL)
		put_kind(
		    ctl, strcmp(last, "=") == 0 ? "" : last, p->flag->value);
	else if (!p->ended && *last == '-' && value == NULL)
		put_flag_words(ctl, last);
	else if (ctl->command == NULL)
		put_command_words(ctl, last);
	else if (command_arg(ctl->command, p->nargs, &a))
		put_kind(ctl, last, a.name);
}

int
complete_words(int argc, char **argv)
{
	const char *socket = getenv("COORDD_SOCKET");
	struct place p = {.ctl.timeout = TIMEOUT};

	p.ctl.socket =
	    socket != NULL && *socket != '\0' ? socket : COORDCTL_SOCKET;
	for (int i = 0; i + 1 < argc; i++)
		if (!place_take(&p, argv[i]))
			return STATUS_USAGE;
	put_candidates(&p, argc > 0 ? argv[argc - 1] : "");
	return STATUS_DONE;
}

/* The program is asked by the name that was typed: it has another one where
 * it is installed. */
static const char bash[] =
    "_coordctl()\n"
    "{\n"
    "	local line IFS=$'\\n' current=${COMP_WORDS[COMP_CWORD]}\n"
    "	COMPREPLY=()\n"
    "	[ \"$current\" != = ] || current=''\n"
    "	for line in $(\"${COMP_WORDS[0]}\" __complete \\\n"
    "	    \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null); do\n"
    "		case $line in\n"
    "		:file) compopt -o filenames\n"
    "			COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
    "		:dir) compopt -o filenames\n"
    "			COMPREPLY=($(compgen -d -- \"$current\")) ;;\n"
    "		*) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "		esac\n"
    "	done\n"
    "}\n"
    "complete -F _coordctl coordctl campusnet-coordctl\n";

static const char zsh[] =
    "#compdef coordctl campusnet-coordctl\n"
    "_coordctl()\n"
    "{\n"
    "	local line word\n"
    "	local -a found\n"
    "	for line in \"${(@f)$(\"${words[1]}\" __complete \\\n"
    "	    \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "		word=${line%%$'\\t'*}\n"
    "		case $line in\n"
    "		'') ;;\n"
    "		:file) _files ;;\n"
    "		:dir) _files -/ ;;\n"
    "		*) found+=(\"${word//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "		esac\n"
    "	done\n"
    "	_describe coordctl found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _coordctl ]; then\n"
    "	_coordctl \"$@\"\n"
    "else\n"
    "	compdef _coordctl coordctl campusnet-coordctl\n"
    "fi\n";

static const char fish[] =
    "function __coordctl\n"
    "	set -l words (commandline -opc) (commandline -ct)\n"
    "	for line in ($words[1] __complete $words[2..-1] 2>/dev/null)\n"
    "		switch $line\n"
    "			case :file\n"
    "				__fish_complete_path $words[-1]\n"
    "			case :dir\n"
    "				__fish_complete_directories $words[-1]\n"
    "			case '*'\n"
    "				echo $line\n"
    "		end\n"
    "	end\n"
    "end\n"
    "for program in coordctl campusnet-coordctl\n"
    "	complete -c $program -f -a '(__coordctl)'\n"
    "end\n";

int
completion(const struct ctl *ctl)
{
	const char *shell = ctl->args[0];

	if (strcmp(shell, "bash") == 0)
		fputs(bash, stdout);
	else if (strcmp(shell, "zsh") == 0)
		fputs(zsh, stdout);
	else if (strcmp(shell, "fish") == 0)
		fputs(fish, stdout);
	else
		return fail_usage(
		    "completion: %s: want bash, zsh or fish", shell);
	return STATUS_DONE;
}
