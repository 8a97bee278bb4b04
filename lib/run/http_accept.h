/*
 * http_accept: what libevent's evhttp leaves open: while accept fails, for
 * lack of descriptors say, its listener stays readable and the loop would
 * spin on it.
 */
#ifndef RUN_HTTP_ACCEPT_H
#define RUN_HTTP_ACCEPT_H

struct evhttp_bound_socket;

/* Has the listener pause for a moment, with a line in the log, each time
 * accept fails. The listener must stay for as long as its loop runs. */
void http_accept_pauses(struct evhttp_bound_socket *bound);

#endif
