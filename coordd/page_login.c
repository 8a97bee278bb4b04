/*
 * page_login: the token, shown once in a form and then kept by the browser in
 * a cookie which scripts cannot read and other sites cannot have sent.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "coordd/page.h"

/* "Secure" cannot be: the listener speaks plain HTTP, on loopback. */
#define COOKIE_RULES "Path=/; HttpOnly; SameSite=Strict"

static void
set_cookie(struct page *p, const char *value, const char *more)
{
	char line[ADMIN_TOKEN_LEN + 128];

	snprintf(line, sizeof(line), "%s=%s; %s%s", ADMIN_COOKIE, value,
	    COOKIE_RULES, more);
	evhttp_add_header(
	    evhttp_request_get_output_headers(p->req), "Set-Cookie", line);
}

static void
forget_cookie(struct page *p)
{
	set_cookie(p, "", "; Max-Age=0");
}

/* A path of ours, and nothing that would end the header it goes to. */
static bool
is_local(const char *where)
{
	if (where[0] != '/' || where[1] == '/' || where[1] == '\\')
		return false;
	for (; *where != '\0'; where++)
		if (*where < '!' || *where > '~')
			return false;
	return true;
}

void
page_login_form(struct page *p, int status, const char *error, const char *next)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(p->req);

	evhttp_add_header(
	    headers, "WWW-Authenticate", "Bearer realm=\"coordd\"");
	p->who = NULL;
	/* One that is good no longer would count as a guess each time. */
	if (evhttp_find_header(
		evhttp_request_get_input_headers(p->req), "Cookie") != NULL)
		forget_cookie(p);
	page_begin(p, "Log in", NULL);
	if (error != NULL)
		html_fmt(&p->out,
		    "<p class=\"notice bad\" role=\"alert\">%s</p>\n", error);
	html_fmt(&p->out,
	    "<form class=\"login\" method=\"post\" action=\"/login\">\n"
	    "<input name=\"username\" autocomplete=\"username\" "
	    "value=\"coordd\" hidden>\n"
	    "<p><label for=\"token\">Token of the administrator</label>\n"
	    "<input id=\"token\" name=\"token\" type=\"password\" "
	    "autocomplete=\"current-password\" required autofocus "
	    "aria-describedby=\"token-where\"></p>\n"
	    "<p id=\"token-where\" class=\"hint\">It is the line in "
	    "<code>admin.token</code> in coordd's state folder.</p>\n"
	    "<input type=\"hidden\" name=\"next\" value=\"%s\">\n"
	    "<p><button>Log in</button></p>\n</form>\n",
	    next);
	page_end(p, status);
}

void
page_login(struct page *p)
{
	const char *next = page_value(p, "next");
	/* As it was pasted: with the end of its line. */
	const char *token =
	    page_value(p, "token") + strspn(page_value(p, "token"), " \t\r\n");
	char line[ADMIN_TOKEN_LEN + 1] = {0};
	size_t n = strcspn(token, " \t\r\n");
	char ip[ADDR_TEXT_MAX];
	struct addr from;
	enum admin_access access;

	if (!is_local(next))
		next = "/";
	if (n < sizeof(line))
		memcpy(line, token, n);
	admin_peer(p->req, &from);
	access = admin_auth_check(
	    admin_auth(p->admin), line, &from, loop_now(p->c->loop));
	if (access == ADMIN_BEARER) {
		set_cookie(p, line, "");
		log_info("page: login from %s", addr_ip_text(&from, ip));
		page_redirect(p, next);
	} else if (access == ADMIN_LIMITED) {
		evhttp_add_header(evhttp_request_get_output_headers(p->req),
		    "Retry-After", "10");
		page_login_form(
		    p, 429, "Too many wrong tokens from your address.", next);
	} else {
		log_info("page: wrong token from %s", addr_ip_text(&from, ip));
		page_login_form(p, 401, "This is not the token.", next);
	}
	sodium_memzero(line, sizeof(line));
}

void
page_logout(struct page *p)
{
	forget_cookie(p);
	page_redirect(p, "/");
}
