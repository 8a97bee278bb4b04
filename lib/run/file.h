/*
 * file: small files that are there as a whole or not at all, whenever the
 * process or the power ends.
 */
#ifndef RUN_FILE_H
#define RUN_FILE_H

#include <sys/types.h>

#include <stddef.h>

/*
 * Writes n bytes to path as a new file of that mode, by way of path.part.
 * Returns 0, or -1 with errno: EEXIST if path is there already.
 */
int file_make(const char *path, mode_t mode, const void *p, size_t n);

/* The same, but replaces what is there. */
int file_replace(const char *path, mode_t mode, const void *p, size_t n);

/* Writes only path.part, to be put in place by file_commit_part later. */
int file_make_part(const char *path, mode_t mode, const void *p, size_t n);
int file_commit_part(const char *path);

/*
 * Reads at most cap bytes. Returns how many, or -1 with errno: EMSGSIZE if
 * there are more.
 */
ssize_t file_read(const char *path, void *p, size_t cap);

/* Gives what root has made in a folder to the owner of the folder, as whom a
 * daemon runs later. Does nothing for others. Returns 0, or -1 with errno. */
int file_give_to_owner(int fd, const char *dir);

/* Makes a folder for its owner alone, and those above it that are missing for
 * all to pass. One that is there is left as it is. Returns 0, or -1 with
 * errno. */
int file_make_dir(const char *path);
/* The same for the folder that a file lies in. */
int file_make_dir_of(const char *path);

#endif
