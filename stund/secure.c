/* secure: the certificate that TLS connections are shown, and its reload. */
#include <stdio.h>

#include "run/tls.h"
#include "stund/stund.h"

/* RFC 7443. */
#define PROTOCOL "stun.nat-discovery"

int
secure_publish(struct stund *env, const struct stund_conf *c,
    char error[static STUND_ERROR_MAX])
{
	const struct tls_conf conf = {.cert_file = c->certificate,
	    .key_file = c->key,
	    .protocol = PROTOCOL};
	char why[TLS_ERROR_MAX];
	struct tls_context *tls;

	/* A -tls-listen that is new needs a restart. */
	if (env->conf.tls_listen.n == 0 || c->tls_listen.n == 0)
		return 0;
	tls = tls_context_new(&conf, why);
	if (tls == NULL) {
		snprintf(error, STUND_ERROR_MAX, "certificate: %s", why);
		return -1;
	}
	/* Workers may be reading the old one's address. */
	tls_context_keep(tls, atomic_load(&env->tls));
	atomic_store(&env->tls, tls);
	return 0;
}
