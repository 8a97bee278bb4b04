/* page: the web page. */
#include "coordd/admin.h"

bool
page_handle(struct admin *a, struct evhttp_request *req, bool authorised)
{
	(void)a;
	(void)req;
	(void)authorised;
	return false;
}
