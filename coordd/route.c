/*
 * route: what the paths inside a client's connection mean. Those that stock
 * clients may call and coordd does not serve get 404, which they tell their
 * user and otherwise go on; /machine/tka/ (tailnet lock) is among them.
 */
#include <string.h>

#include "coordd/control.h"

struct route {
	const char *method, *path;
	void (*handle)(struct request *r);
	bool dear; /* may cost a write to the disk */
};

static void
answer_whoami(struct request *r)
{
	static const char text[] = "coordd\n";

	request_answer(r, 200, "text/plain", text, sizeof(text) - 1);
}

static const struct route routes[] = {
    {"POST", "/machine/register", joining_handle, true},
    {"POST", "/machine/map", mapping_handle, false},
    {"GET", "/machine/whoami", answer_whoami, false},
};

static bool
path_is(const char *path, const char *want)
{
	size_t n = strlen(want);

	return strncmp(path, want, n) == 0 &&
	    (path[n] == '\0' || path[n] == '?');
}

void
route_request(struct request *r)
{
	static const char none[] = "coordd does not serve this\n";
	const char *path = request_path(r);
	char shown[200];

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (path_is(path, routes[i].path) &&
		    strcmp(request_method(r), routes[i].method) == 0) {
			if (!routes[i].dear || request_charge(r, true))
				routes[i].handle(r);
			return;
		}
	log_debug("%s %s: not served", request_method(r),
	    log_escape(shown, sizeof(shown), path, strlen(path)));
	request_answer(r, 404, "text/plain", none, sizeof(none) - 1);
}
