/*
 * privdrop: give up root, for good, once everything that needs it is open.
 */
#ifndef RUN_PRIVDROP_H
#define RUN_PRIVDROP_H

/*
 * If the process is root, becomes user (and its groups), drops all
 * capabilities and forbids gaining privileges again; user "root" keeps root.
 * As another user only the last is done. On failure returns -1 and writes one
 * line, what and why, to error.
 */
#define PRIVDROP_ERROR_MAX 256
int privdrop(const char *user, char error[static PRIVDROP_ERROR_MAX]);

/* Raises the soft limit of open files to the hard one; returns it. */
long privdrop_raise_files(void);

/* Tells the service manager (NOTIFY_SOCKET) a state such as "READY=1" or
 * "STOPPING=1". Does nothing where there is none. */
void privdrop_notify(const char *state);

#endif
