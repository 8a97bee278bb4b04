/* check: -n: whether what the start would read is good, but for the state and
 * what needs it. Opens the files that options name, for reading. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/relays.h"
#include "run/file.h"
#include "run/tls.h"

#define POLICY_MAX (1 << 20)

static bool
check_tls(const struct coordd_conf *conf, char *error)
{
	const struct tls_conf files = {
	    .cert_file = conf->tls_cert, .key_file = conf->tls_key};
	char why[TLS_ERROR_MAX];
	struct tls_context *t;

	if (conf->tls_listen.n == 0)
		return true;
	if ((t = tls_context_new(&files, why)) == NULL)
		snprintf(error, COORDD_ERROR_MAX, "tls-cert: %s", why);
	tls_context_free(t);
	return t != NULL;
}

/* The tests inside it need the nodes that there are. */
static bool
check_policy(const char *path, char *error)
{
	char *text = malloc(POLICY_MAX), why[POLICY_ERROR_MAX] = "it is empty";
	ssize_t n = text == NULL ? -1 : file_read(path, text, POLICY_MAX);
	struct policy *p = NULL;

	if (n == -1)
		snprintf(why, sizeof(why), "%s", strerror(errno));
	else if (n > 0)
		p = policy_parse(text, (size_t)n, why);
	if (p == NULL)
		snprintf(error, COORDD_ERROR_MAX, "policy %.200s: %.300s", path,
		    why);
	policy_free(p);
	free(text);
	return p != NULL;
}

bool
coordd_check(
    const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX])
{
	char *map = relays_map(conf, error);
	char *dns = map == NULL ? NULL : relays_dns(conf, error);
	bool good = dns != NULL && check_tls(conf, error) &&
	    (conf->policy[0] == '\0' || check_policy(conf->policy, error));

	free(map);
	free(dns);
	return good;
}
