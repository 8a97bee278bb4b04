/* main: the table of commands. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "coordctl/coordctl.h"
#include "run/version.h"

/* Commands of one noun stand together. */
/* clang-format off */
const struct command commands[] = {
	{"users create", users_create, "NAME", 0, FLAG(DISPLAY_NAME),
	    "Create a user"},
	{"users list", users_list, "[USER]", 0, 0, "List the users"},
	{"users rename", users_rename, "USER NAME", 0, 0,
	    "Give a user another name"},
	{"users delete", users_delete, "USER", 0, 0,
	    "Delete a user that owns no node, and its keys"},

	{"preauthkeys create", preauthkeys_create, "", FLAG(USER),
	    FLAG(REUSABLE) | FLAG(EPHEMERAL) | FLAG(EXPIRATION) | FLAG(TAGS),
	    "Create a key with which a node can join, and print it"},
	{"preauthkeys list", preauthkeys_list, "", 0, FLAG(USER),
	    "List the keys"},
	{"preauthkeys expire", preauthkeys_expire, "ID", 0, 0,
	    "End the time of a key"},
	{"preauthkeys delete", preauthkeys_delete, "ID", 0, 0,
	    "Delete a key"},

	{"nodes list", nodes_list, "", 0, FLAG(USER) | FLAG(TAG),
	    "List the nodes"},
	{"nodes show", nodes_show, "NODE", 0, 0, "Tell all about a node"},
	{"nodes logins", nodes_logins, "", 0, 0,
	    "List the logins that wait for register"},
	{"nodes register", nodes_register, "LOGIN", FLAG(USER), FLAG(TAGS),
	    "Let a node in that waits with this ID"},
	{"nodes deny", nodes_deny, "LOGIN", 0, 0,
	    "Refuse a node that waits with this ID"},
	{"nodes approve", nodes_approve, "NODE", 0, FLAG(REVOKE),
	    "Approve the device, where devices need it"},
	{"nodes expire", nodes_expire, "NODE", 0, FLAG(EXPIRY) | FLAG(DISABLE),
	    "End the time of a node's key now, or say when it ends"},
	{"nodes rename", nodes_rename, "NODE [NAME]", 0, 0,
	    "Give a node another name, or again its hostname"},
	{"nodes move", nodes_move, "NODE", FLAG(USER), 0,
	    "Give a node to another user"},
	{"nodes tag", nodes_tag, "NODE", FLAG(TAGS), 0,
	    "Replace the tags of a node"},
	{"nodes routes", nodes_routes, "[NODE]", 0, FLAG(APPROVE),
	    "List the routes of one or all nodes, or approve them"},
	{"nodes delete", nodes_delete, "NODE", 0, 0, "Delete a node"},

	{"policy show", policy_show, "", 0, 0, "Print the policy in force"},
	{"policy check", policy_check, "[FILE]", 0, 0,
	    "Check a policy, or the one in force, against nodes and users"},
	{"policy set", policy_set, "FILE", 0, 0,
	    "Put a policy in force, which coordd keeps"},
	{"policy reload", policy_reload, "", 0, 0,
	    "Have coordd read its policy file again"},
	{"policy explain", policy_explain, "NODE TARGET", 0, FLAG(PROTO),
	    "Say whether a node reaches ADDRESS:PORT, and by which line"},

	{"status", status_show, "", 0, 0, "Tell how coordd is"},
	{"audit", audit_show, "", 0, FLAG(LIMIT), "Tell who changed what"},
	{"backup", backup, "FILE", 0, 0,
	    "Copy the database to a new file, or to standard output (-)"},
	{"restore", restore, "FILE", FLAG(STATE), FLAG(COORDD),
	    "Put a copy in place of the database, while coordd is stopped"},
	{"verify", verify, "[FILE]", 0, FLAG(COORDD),
	    "Check a copy, or the database in use, for damage"},
	{"completion", completion, "SHELL", 0, 0,
	    "Print completion code for bash, zsh or fish"},
	{NULL, NULL, NULL, 0, 0, NULL},
};

const struct command_alias noun_aliases[] = {
	{"user", "users"},
	{"preauthkey", "preauthkeys"},
	{"authkey", "preauthkeys"},
	{"pre", "preauthkeys"},
	{"node", "nodes"},
	{"auth", "nodes"},
	{NULL, NULL},
};

const struct command_alias command_aliases[] = {
	{"users new", "users create"},
	{"users ls", "users list"},
	{"users show", "users list"},
	{"users mv", "users rename"},
	{"users destroy", "users delete"},
	{"preauthkeys new", "preauthkeys create"},
	{"preauthkeys ls", "preauthkeys list"},
	{"preauthkeys show", "preauthkeys list"},
	{"preauthkeys revoke", "preauthkeys expire"},
	{"preauthkeys del", "preauthkeys delete"},
	{"preauthkeys rm", "preauthkeys delete"},
	{"nodes ls", "nodes list"},
	{"nodes logout", "nodes expire"},
	{"nodes tags", "nodes tag"},
	{"nodes list-routes", "nodes routes"},
	{"nodes lsr", "nodes routes"},
	{"nodes approve-routes", "nodes routes"},
	{"nodes del", "nodes delete"},
	{"nodes reject", "nodes deny"},
	{"policy get", "policy show"},
	{"policy view", "policy show"},
	{"policy put", "policy set"},
	{"policy update", "policy set"},
	{NULL, NULL},
};
/* clang-format on */

static int
run(const struct ctl *ctl)
{
	if (ctl->version)
		printf("coordctl %s\n", campusnet_version);
	else if (ctl->help && ctl->command != NULL)
		help_command(stdout, ctl->command);
	else if (ctl->help && *ctl->noun != '\0')
		help_noun(stdout, ctl->noun);
	else if (ctl->help)
		help_all(stdout);
	else if (ctl->command != NULL)
		return ctl->command->run(ctl);
	else if (*ctl->noun != '\0')
		return fail_usage("%s: a command is missing; coordctl %s "
				  "--help lists them",
		    ctl->noun, ctl->noun);
	else
		return fail_usage(
		    "a command is missing; coordctl --help lists them");
	return STATUS_DONE;
}

/* Why standard output failed. stdio may have forgotten that by now: then the
 * next byte fails in the same way. */
static int
output_error(void)
{
	clearerr(stdout);
	errno = 0;
	if (putchar('\n') == EOF || fflush(stdout) != 0)
		return errno;
	return EIO;
}

/* What was printed must have arrived. */
static int
close_output(int status)
{
	int error = 0;

	if (fflush(stdout) != 0 || ferror(stdout))
		error = output_error();
	/* Some file systems tell only now that the disk is full. */
	else if (close(STDOUT_FILENO) == -1)
		error = errno;
	if (error == 0)
		return status;
	fail("standard output: %s", strerror(error));
	return status == STATUS_DONE ? STATUS_REFUSED : status;
}

/* A standard stream that is closed must not become the number of a socket or
 * a file. Opened the wrong way round, so that its use still fails. */
static void
open_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
			open("/dev/null",
			    fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	struct ctl ctl;
	int status;

	open_standard();
	signal(SIGPIPE, SIG_IGN);
	if (utf8 != (locale_t)0)
		uselocale(utf8);
	if (argc > 1 && strcmp(argv[1], "__complete") == 0)
		status = complete_words(argc - 2, argv + 2);
	else {
		status = ctl_read(&ctl, argc, argv);
		if (status == STATUS_DONE)
			status = run(&ctl);
		ctl_clear(&ctl);
	}
	status = close_output(status);
	if (utf8 != (locale_t)0) {
		uselocale(LC_GLOBAL_LOCALE);
		freelocale(utf8);
	}
	return status;
}
