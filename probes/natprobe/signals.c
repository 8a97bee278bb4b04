/* signals: which signals end a run early. Never acts on one. */
#include <signal.h>

#include "probes/natprobe/natprobe.h"

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

/* nohup means it. */
static bool
is_ignored(int signo)
{
	struct sigaction old;

	return signo == SIGHUP && sigaction(signo, NULL, &old) == 0 &&
	    old.sa_handler == SIG_IGN;
}

int
signals_watch(struct loop *l, loop_fn *fn, void *arg)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!is_ignored(ends[i]) &&
		    loop_on_signal(l, ends[i], fn, arg) == -1)
			return -1;
	return 0;
}

void
signals_restore(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaddset(&set, ends[i]);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
