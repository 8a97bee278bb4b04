/* http_accept: see http_accept.h. */
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "run/http_accept.h"
#include "run/log.h"

#define PAUSE_MS 500

static void
accept_again(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	evconnlistener_enable(arg);
}

/* The argument is evhttp's: nothing of ours can be kept there. */
static void
accept_failed(struct evconnlistener *listener, void *arg)
{
	struct timeval pause = {.tv_usec = PAUSE_MS * 1000};

	(void)arg;
	log_warn("http: accept");
	evconnlistener_disable(listener);
	if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT,
		accept_again, listener, &pause) == -1)
		evconnlistener_enable(listener);
}

void
http_accept_pauses(struct evhttp_bound_socket *bound)
{
	evconnlistener_set_error_cb(
	    evhttp_bound_socket_get_listener(bound), accept_failed);
}
