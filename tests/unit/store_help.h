/* store_help: what the tests of the store share: a folder of their own,
 * records with something in every field, and comparing them. */
#ifndef TESTS_STORE_HELP_H
#define TESTS_STORE_HELP_H

#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "coordd/model.h"
#include "coordd/store.h"
#include "tests/tap.h"

#define HELP_PATH 384 /* room for a path */

static const uint8_t help_seed[KEYMAP_SEED_LEN] = {1, 6, 1, 8};

static char help_error[STORE_ERROR_MAX];

static inline const char *
new_folder(char dir[static 64])
{
	snprintf(dir, 64, "/tmp/store_test.XXXXXX");
	if (mkdtemp(dir) == NULL)
		abort();
	return dir;
}

static inline const char *
in_folder(const char *dir, const char *name, char path[static HELP_PATH])
{
	snprintf(path, HELP_PATH, "%s/%s", dir, name);
	return path;
}

static inline void
remove_folder(const char *dir)
{
	char path[HELP_PATH];
	struct dirent *e;
	DIR *d;

	(void)chmod(dir, 0700);
	if ((d = opendir(dir)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			(void)unlink(in_folder(dir, e->d_name, path));
	closedir(d);
	rmdir(dir);
}

/* Opens it, or ends the test with the reason. */
static inline struct store *
must_open(const char *dir)
{
	struct store *s = store_open(dir, help_error);

	if (s == NULL) {
		printf("Bail out! %s\n", help_error);
		exit(1);
	}
	return s;
}

static inline void
must_load(struct store *s, struct model *m)
{
	model_init(m, help_seed);
	if (store_load(s, m) == 0)
		return;
	printf("Bail out! %s\n", store_error(s));
	exit(1);
}

/* Runs SQL on the file, as somebody with sqlite3 would. */
static inline bool
run_sql(const char *dir, const char *sql)
{
	char path[HELP_PATH];
	sqlite3 *db;
	bool good =
	    sqlite3_open(in_folder(dir, "coordd.db", path), &db) == SQLITE_OK &&
	    sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

	if (!good)
		printf("# %s\n", sqlite3_errmsg(db));
	sqlite3_close(db);
	return good;
}

static inline struct user
make_user(const char *name)
{
	struct user u = {.created = 1700000000};

	(void)model_set_text(&u.name, name);
	(void)model_set_text(&u.display_name, "");
	return u;
}

static inline void
drop_user(struct user *u)
{
	free(u->name);
	free(u->display_name);
}

static inline void
fill(void *p, size_t n, unsigned with)
{
	uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(with * 131 + i * 7 + (with >> 8));
}

/* What must be there, and no more. */
static inline struct node *
make_node(unsigned n, struct user *u)
{
	struct node *node = calloc(1, sizeof(*node));
	char text[64];

	fill(node->machine.b, KEY_LEN, n);
	fill(node->node_key.b, KEY_LEN, n + 1);
	memcpy(node->node_key.b, &n, sizeof(n));
	snprintf(text, sizeof(text), "robot-%u", n);
	(void)model_set_text(&node->label, text);
	(void)model_set_text(&node->hostname, text);
	snprintf(text, sizeof(text), "100.64.%u.%u", n / 256 % 256, n % 256);
	(void)ip_parse(&node->ip4, text, strlen(text));
	snprintf(text, sizeof(text), "fd7a:115c:a1e0::%x", n + 1);
	(void)ip_parse(&node->ip6, text, strlen(text));
	node->user = u;
	return node;
}

/* Something in every field. */
static inline struct node *
make_full_node(unsigned n, struct user *u, size_t routes)
{
	static const char *const tags[] = {"tag:robot", "tag:arm"};
	struct ip_prefix *v = calloc(routes + 2, sizeof(*v));
	struct node *node = make_node(n, u);
	char text[64];

	fill(node->disco.b, KEY_LEN, n + 2);
	(void)model_set_text(
	    &node->hostname, "Robo\xff\xfe 'ter\"; --\n\xc3\x28");
	node->label_set = true;
	node->created = 1700000000 + n;
	node->expiry = -1;
	node->last_seen = INT64_MAX;
	node->ephemeral = true;
	node->authorized = true;
	node->authkey_id = 4000000000;
	(void)node_set_tags(node, tags, 2);
	(void)model_set_text(&node->hostinfo, "{\"OS\":\"\xed\xa0\x80\"}");
	(void)model_set_text(&node->endpoints, "[\"192.0.2.1:41641\"]");
	node->home_derp = 900;
	node->capver = 131;
	for (size_t i = 0; i < routes; i++) {
		snprintf(
		    text, sizeof(text), "10.%zu.%zu.0/24", i / 256, i % 256);
		(void)ip_prefix_parse(&v[i], text, strlen(text));
	}
	(void)ip_prefix_parse(&v[routes], "0.0.0.0/0", 9);
	(void)ip_prefix_parse(&v[routes + 1], "::/0", 4);
	(void)node_set_advertised(node, v, routes + 2);
	(void)node_set_approved(node, v + 1, routes + 1);
	free(v);
	return node;
}

static inline bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static inline bool
same_tags(char *const *a, size_t na, char *const *b, size_t nb)
{
	for (size_t i = 0; i < na && i < nb; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return na == nb && (a == NULL) == (b == NULL);
}

static inline bool
same_prefixes(
    const struct ip_prefix *a, size_t na, const struct ip_prefix *b, size_t nb)
{
	for (size_t i = 0; i < na && i < nb; i++)
		if (!ip_prefix_equal(&a[i], &b[i]))
			return false;
	return na == nb;
}

static inline bool
same_node(const struct node *a, const struct node *b)
{
	return a != NULL && b != NULL && a->id == b->id &&
	    key_equal(&a->machine, &b->machine) &&
	    key_equal(&a->node_key, &b->node_key) &&
	    key_equal(&a->disco, &b->disco) && a->user->id == b->user->id &&
	    same_text(a->hostname, b->hostname) &&
	    same_text(a->label, b->label) && a->label_set == b->label_set &&
	    ip_compare(&a->ip4, &b->ip4) == 0 &&
	    ip_compare(&a->ip6, &b->ip6) == 0 && a->created == b->created &&
	    a->expiry == b->expiry && a->last_seen == b->last_seen &&
	    a->ephemeral == b->ephemeral && a->authorized == b->authorized &&
	    a->authkey_id == b->authkey_id &&
	    same_tags(a->tags, a->ntags, b->tags, b->ntags) &&
	    same_text(a->hostinfo, b->hostinfo) &&
	    same_text(a->endpoints, b->endpoints) &&
	    a->home_derp == b->home_derp && a->capver == b->capver &&
	    same_prefixes(
		a->advertised, a->nadvertised, b->advertised, b->nadvertised) &&
	    same_prefixes(
		a->approved, a->napproved, b->approved, b->napproved) &&
	    same_prefixes(a->routes, a->nroutes, b->routes, b->nroutes);
}

/* One line that names a file. */
static inline bool
is_clear(const char *error, const char *name)
{
	bool good = strchr(error, '\n') == NULL && strstr(error, name) != NULL;

	if (!good)
		printf("# %s\n", error);
	return good;
}

static inline uint64_t
add_user(struct store *s, const char *name)
{
	struct user u = make_user(name);
	int r = store_put_user(s, &u);

	drop_user(&u);
	return r == 0 ? u.id : 0;
}

static inline uint64_t
add_numbered(struct store *s, const char *prefix, unsigned n)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%u", prefix, n);
	return add_user(s, name);
}

static inline size_t
count_users(struct store *s)
{
	struct model m;
	struct user *u;
	size_t n = 0;

	must_load(s, &m);
	TAILQ_FOREACH (u, &m.users, entry)
		n++;
	model_clear(&m);
	return n;
}

/* How many users the database of a folder holds. */
static inline size_t
count_in(const char *dir)
{
	struct store *s = must_open(dir);
	size_t n = count_users(s);

	store_close(s);
	return n;
}

static inline uint8_t *
read_whole(const char *path, size_t *n)
{
	struct stat st;
	uint8_t *p;
	int fd = open(path, O_RDONLY);

	if (fd == -1 || fstat(fd, &st) == -1)
		abort();
	*n = (size_t)st.st_size;
	p = malloc(*n + 1);
	if (read(fd, p, *n) != (ssize_t)*n)
		abort();
	close(fd);
	return p;
}

static inline void
write_whole(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

static inline bool
is_file(const char *path, const void *p, size_t n)
{
	size_t have;
	uint8_t *is = read_whole(path, &have);
	bool same = have == n && memcmp(is, p, n) == 0;

	free(is);
	return same;
}

/* Writes until it is killed, and tells what the store said is written: in
 * each round two users as one, and the state of a node. */
static inline _Noreturn void
write_for_ever(const char *dir, int to)
{
	struct store *s = must_open(dir);
	struct user u = make_user("owner");
	struct node *n = make_full_node(1, &u, 2);
	bool good = store_put_user(s, &u) == 0 && store_put_node(s, n) == 0;

	for (unsigned i = 1; good; i++) {
		good = store_begin(s) == 0 && add_numbered(s, "a", i) != 0 &&
		    add_numbered(s, "b", i) != 0 && store_commit(s) == 0;
		n->last_seen = i;
		good = good && store_put_node_state(s, n) == 0 &&
		    write(to, &i, sizeof(i)) == sizeof(i);
	}
	_exit(1);
}

static inline pid_t
start_writer(const char *dir, int *from)
{
	int fds[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) == -1 || (pid = fork()) == -1)
		abort();
	if (pid == 0)
		write_for_ever(dir, fds[1]);
	close(fds[1]);
	*from = fds[0];
	return pid;
}

/* Reads what it tells; returns the last. */
static inline unsigned
read_told(int from, unsigned rounds)
{
	unsigned told = 0, last = 0;

	while (rounds-- > 0 && read(from, &told, sizeof(told)) == sizeof(told))
		last = told;
	return last;
}

#endif
