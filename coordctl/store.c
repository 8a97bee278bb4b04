/* store: how coordd is, and its history. Files of the store are coordd's own
 * business: that program is run for them. */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordctl/coordctl.h"

static void add_fmt(struct table *t, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
add_fmt(struct table *t, const char *label, const char *fmt, ...)
{
	char *s;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) == -1)
		out_of_memory();
	va_end(ap);
	table_add(t, label);
	table_add(t, s);
	free(s);
}

static json_int_t
count(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void
put_status(const json_t *v)
{
	const json_t *policy = json_object_get(v, "policy");
	const json_t *database = json_object_get(v, "database");
	char *loaded = time_people(member(policy, "loaded"));
	struct table t;

	table_init_plain(&t, 2);
	table_add(&t, "Version");
	table_value(&t, v, "version");
	table_add(&t, "Server URL");
	table_value(&t, v, "server_url");
	table_add(&t, "Public key");
	table_value(&t, v, "public_key");
	table_add(&t, "Domain");
	table_value(&t, v, "domain");
	table_add(&t, "Started");
	table_time(&t, v, "started", "-");
	table_add(&t, "Users");
	table_value(&t, v, "users");
	add_fmt(&t, "Nodes", "%lld, %lld connected",
	    (long long)count(v, "nodes"), (long long)count(v, "online"));
	table_add(&t, "Map streams");
	table_value(&t, v, "streams");
	table_add(&t, "Waiting logins");
	table_value(&t, v, "pending_logins");
	add_fmt(&t, "Policy", "%s%s%s", member(policy, "source"),
	    *loaded != '\0' ? ", loaded " : "", loaded);
	add_fmt(&t, "Database", "%s, %.1f MB", member(database, "path"),
	    (double)count(database, "bytes") / 1e6);
	table_finish(&t);
	free(loaded);
}

int
status_show(const struct ctl *ctl)
{
	json_t *v;
	int status = api_get(ctl, PATH("/status"), &v);

	if (status == STATUS_DONE && !put_if_json(ctl, v))
		put_status(v);
	json_decref(v);
	return status;
}

int
audit_show(const struct ctl *ctl)
{
	const char *limit = ctl_text(ctl, FLAG_LIMIT);
	json_t *audit;
	const json_t *entry;
	struct table t;
	size_t i;
	int status;

	if (limit != NULL &&
	    (*limit == '\0' || strspn(limit, "0123456789") != strlen(limit)))
		return fail_usage("--limit %s: want a number", limit);
	status = api_list(ctl,
	    limit != NULL ? PATH("/audit?limit=", limit) : PATH("/audit"),
	    "audit", &audit);
	if (status != STATUS_DONE)
		return status;
	if (!put_if_json(ctl, audit)) {
		table_init(&t,
		    (const char *const[]){
			"Time", "Who", "What", "Detail", NULL});
		json_array_foreach(audit, i, entry)
		{
			table_time(&t, entry, "time", "-");
			table_value(&t, entry, "who");
			table_value(&t, entry, "what");
			table_value(&t, entry, "detail");
		}
		table_finish(&t);
	}
	json_decref(audit);
	return STATUS_DONE;
}

/* Finds coordd beside this program, under its name in the build and under
 * that of the installation. */
static bool
find_coordd(char path[static PATH_MAX])
{
	static const char *const names[] = {"coordd", "campusnet-coordd"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n == -1)
		return false;
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (snprintf(path, PATH_MAX, "%s/%s", self, names[i]) <
			PATH_MAX &&
		    access(path, X_OK) == 0)
			return true;
	return false;
}

/* For programs: waits for coordd, which says what is wrong by itself, and
 * answers in its place if all is well. */
static int
answer_for(const struct ctl *ctl, pid_t child)
{
	json_t *v;
	int how;

	while (waitpid(child, &how, 0) == -1)
		if (errno != EINTR)
			return fail("coordd: %s", strerror(errno));
	if (!WIFEXITED(how))
		return fail("coordd: ended by signal %d", WTERMSIG(how));
	if (WEXITSTATUS(how) != 0)
		return WEXITSTATUS(how);
	if ((v = json_pack("{s:b}", "ok", 1)) == NULL)
		out_of_memory();
	put_if_json(ctl, v);
	json_decref(v);
	return STATUS_DONE;
}

/* Becomes coordd, or awaits it if JSON is asked for. v[0] is left for its
 * name. */
static int
run_coordd(const struct ctl *ctl, const char **v)
{
	const char *given = ctl_text(ctl, FLAG_COORDD);
	char path[PATH_MAX];
	pid_t child;
	int null;

	if (given == NULL && !find_coordd(path))
		return fail("%s: there is no coordd beside coordctl: name it "
			    "with --coordd",
		    ctl->command->words);
	if (ctl->form != FORM_PEOPLE) {
		if ((child = fork()) == -1)
			return fail("coordd: %s", strerror(errno));
		if (child != 0)
			return answer_for(ctl, child);
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDOUT_FILENO);
	}
	v[0] = given != NULL ? given : path;
	/* execv changes nothing that v points to; its type is older. */
	execv(v[0], (char *const *)(uintptr_t)v);
	return fail("%s: %s", v[0], strerror(errno));
}

int
restore(const struct ctl *ctl)
{
	const char *v[] = {NULL, "-restore", ctl->args[0], "-state",
	    ctl_text(ctl, FLAG_STATE), NULL};

	return run_coordd(ctl, v);
}

int
verify(const struct ctl *ctl)
{
	const char *v[] = {NULL, "-verify", ctl->args[0], NULL};
	json_t *answer;
	int status;

	if (ctl->args[0] != NULL)
		return run_coordd(ctl, v);
	status = api_do(ctl, "POST", PATH("/verify"), &answer);
	if (status == STATUS_DONE && !put_if_json(ctl, answer))
		say("The database in use is sound.");
	json_decref(answer);
	return status;
}
