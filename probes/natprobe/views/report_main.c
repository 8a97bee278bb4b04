/* report_main: natprobe report DIR [-o FILE]. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/views/views.h"
#include "run/file.h"

#define USAGE	     "usage: natprobe report DIR [-o FILE]"
#define RESULTS_MAX  4096
#define LEFT_OUT_MAX (64 << 10)

struct folder {
	struct reading *r;
	size_t n, cap;
	struct text left_out;
};

static bool
is_result_name(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".json") == 0;
}

static void
leave_out(struct folder *f, const char *name, const char *why)
{
	char shown[READING_NAME_MAX + 1];

	reading_name(shown, sizeof(shown), name);
	fprintf(stderr, "natprobe: report: left out %s: %s\n", shown, why);
	text_fmt(&f->left_out, "%s: %s\n", shown, why);
}

static struct reading *
folder_room(struct folder *f)
{
	size_t cap = f->cap == 0 ? 64 : 2 * f->cap;
	struct reading *r;

	if (f->n < f->cap)
		return &f->r[f->n];
	r = reallocarray(f->r, cap, sizeof(*r));
	if (r == NULL)
		return NULL;
	f->r = r;
	f->cap = cap;
	return &f->r[f->n];
}

/* UTF-8, or a name of which only ASCII is shown. */
static void
name_after_file(struct reading *r, const char *name)
{
	char ascii[READING_NAME_MAX + 1];
	size_t n = 0;

	for (; name[n] != '\0' && n < READING_NAME_MAX; n++)
		ascii[n] = (unsigned char)name[n] < 0x80 ? name[n] : '?';
	ascii[n] = '\0';
	reading_name(r->building, sizeof(r->building), ascii);
}

/* Only plain files: a pipe in the folder would be waited for. */
static bool
is_plain(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* False if memory is short. */
static bool
folder_add(struct folder *f, const char *dir, const char *name)
{
	char path[4096], error[READING_ERROR_MAX];
	struct reading *r = folder_room(f);
	const char *why;

	if (r == NULL)
		return false;
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		leave_out(f, name, "the path is too long");
	else if (!is_plain(path))
		leave_out(f, name, "not a plain file");
	else if (!reading_load(r, path, error)) {
		why = strstr(error, ": ");
		leave_out(f, name, why == NULL ? error : why + 2);
	} else {
		if (*r->building == '\0')
			name_after_file(r, name);
		f->n++;
	}
	return true;
}

static int
folder_read(struct folder *f, const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort), status = 0;

	if (n == -1) {
		fprintf(
		    stderr, "natprobe: report: %s: %s\n", dir, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		if (status == 0 && is_result_name(names[i]->d_name)) {
			if (f->n == RESULTS_MAX)
				leave_out(f, names[i]->d_name,
				    "4096 results are enough");
			else if (!folder_add(f, dir, names[i]->d_name))
				status = -1;
		}
		free(names[i]);
	}
	free(names);
	if (status == -1)
		fprintf(stderr, "natprobe: report: %s\n", strerror(ENOMEM));
	else if (f->n == 0) {
		fprintf(stderr,
		    "natprobe: report: %s: no result in it (FILE.json, from "
		    "natprobe -json)\n",
		    dir);
		status = -1;
	}
	return status;
}

static int
compare(const void *a, const void *b)
{
	const struct reading *x = a, *y = b;
	int by_name = strcmp(x->building, y->building);

	return by_name != 0 ? by_name : strcmp(y->time, x->time);
}

static int
write_page(const struct folder *f, const char *out)
{
	struct text page = TEXT_EMPTY, when = TEXT_EMPTY;
	struct report report = {.r = f->r,
	    .n = f->n,
	    .left_out = f->left_out.p == NULL ? "" : f->left_out.p};
	int r = -1;

	text_time(&when, (int64_t)time(NULL));
	report.when = when.bad ? "" : when.p;
	report_page(&page, &report);
	if (page.bad)
		errno = ENOMEM;
	else if (strcmp(out, "-") == 0)
		r = fputs(page.p, stdout) < 0 || fflush(stdout) != 0 ? -1 : 0;
	else
		r = output_file(out, page.p, page.len);
	if (r == -1)
		fprintf(
		    stderr, "natprobe: report: %s: %s\n", out, strerror(errno));
	text_clear(&page);
	text_clear(&when);
	return r;
}

/* Flags may stand before and after the folder. */
static int
read_arguments(int argc, char **argv, const char **dir, const char **out)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--o") == 0) {
			if (++i == argc) {
				fprintf(stderr,
				    "natprobe: report: -o: want a "
				    "file; " USAGE "\n");
				return -1;
			}
			*out = argv[i];
		} else if (argv[i][0] == '-') {
			fprintf(stderr,
			    "natprobe: report: no flag \"%s\"; " USAGE "\n",
			    argv[i]);
			return -1;
		} else if (*dir != NULL) {
			fprintf(stderr,
			    "natprobe: report: one folder, not "
			    "also \"%s\"; " USAGE "\n",
			    argv[i]);
			return -1;
		} else
			*dir = argv[i];
	}
	if (*dir == NULL)
		fprintf(stderr, "natprobe: report: which folder? " USAGE "\n");
	return *dir == NULL ? -1 : 0;
}

int
report_main(int argc, char **argv)
{
	struct folder f = {.left_out = {.max = LEFT_OUT_MAX}};
	const char *dir = NULL, *out = "-";
	int status = REPORT_USAGE;

	if (argc == 2 &&
	    (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "-help") == 0 ||
		strcmp(argv[1], "--help") == 0)) {
		puts(USAGE);
		return 0;
	}
	if (read_arguments(argc, argv, &dir, &out) == -1)
		return REPORT_USAGE;
	if (folder_read(&f, dir) == 0) {
		qsort(f.r, f.n, sizeof(*f.r), compare);
		if (write_page(&f, out) == 0)
			status =
			    f.left_out.len > 0 ? REPORT_PARTLY : REPORT_WHOLE;
	}
	free(f.r);
	text_clear(&f.left_out);
	return status;
}
