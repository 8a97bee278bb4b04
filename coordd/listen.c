/* listen: see listen.h. */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "coordd/listen.h"
#include "coordd/source.h"
#include "pure/http1.h"
#include "run/io.h"
#include "run/tls.h"

#define SECOND_US INT64_C(1000000)

/* Connections accepted in one wake-up: clients wait meanwhile. */
#define ACCEPT_BATCH 64
/* How long accepting pauses when the system has no more descriptors. */
#define PAUSE_US (SECOND_US / 10)
/* The head of a request must be there in this time. */
#define REQUEST_US (10 * SECOND_US)
/* How long the peer's FIN is waited for after the answer. */
#define DRAIN_US (2 * SECOND_US)
/* Bodies are small: a node key and an address. */
#define BODY_MAX 4096

/* A dead client is noticed, and its stream ended, within two minutes. */
#define KEEPALIVE_US	(60 * SECOND_US)
#define USER_TIMEOUT_US (60 * SECOND_US)

enum visitor_state {
	VISITOR_HTTP,
	VISITOR_DRAIN,
	VISITOR_CLIENT,
	VISITOR_DEAD
};

struct visitor {
	struct listeners *all;
	TAILQ_ENTRY(visitor) entry;
	enum visitor_state state;
	struct io *io; /* NULL once it is a client's */
	struct addr from;
	struct source *source; /* NULL: it counts no more */
	struct key machine;
	bool shaken; /* a handshake is taken from the source's */
	bool proven; /* to be that machine */
	struct mono deadline;
	size_t searched;
};

TAILQ_HEAD(visitor_list, visitor);

struct listener {
	struct listeners *all;
	int fd;
	bool tls;
	struct addr at;
	struct watch *watch;
};

struct listeners {
	struct coordd *c;
	struct listener *v;
	size_t n;
	struct timer *resume;
	struct visitor_list live, dead;
	struct sources sources;
	struct controls *controls; /* lent */
	struct log_limit log_refused, log_pause;
};

/* ---- sources ---- */

/* True once it is proven to be of a machine that has a node. */
static bool
is_known(const struct visitor *v)
{
	return v->proven &&
	    model_machine(&v->all->c->model, &v->machine) != NULL;
}

static void
leave_source(struct visitor *v)
{
	struct source *s = v->source;

	v->source = NULL;
	if (s == NULL)
		return;
	if (v->shaken && is_known(v))
		source_shook(s);
	source_leave(&v->all->sources, s, loop_now(v->all->c->loop));
}

static bool
enter_source(struct visitor *v)
{
	uint8_t ip[16];

	addr_ip16(&v->from, ip);
	v->source = source_enter(&v->all->sources, ip);
	return v->source != NULL;
}

static void
refuse_source(struct listeners *ls, const struct addr *from, const char *what)
{
	char text[ADDR_TEXT_MAX];
	uint64_t lines = log_allowed(&ls->log_refused, loop_now(ls->c->loop));

	metric_add(&ls->c->stats.refused_source, 1);
	if (lines > 0)
		log_warnx("%s: too many %s that are no node's: refused "
			  "(%llu times)",
		    addr_ip_text(from, text), what, (unsigned long long)lines);
}

/* ---- visitors ---- */

static void
visitor_close(struct visitor *v)
{
	if (v->state == VISITOR_DEAD)
		return;
	v->state = VISITOR_DEAD;
	leave_source(v);
	if (v->io != NULL)
		io_close(v->io);
	TAILQ_REMOVE(&v->all->live, v, entry);
	TAILQ_INSERT_TAIL(&v->all->dead, v, entry);
}

static void
visitor_drain(struct visitor *v)
{
	v->state = VISITOR_DRAIN;
	v->deadline = mono_add_us(loop_now(v->all->c->loop), DRAIN_US);
	io_shutdown(v->io);
}

static const char *
reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Error";
	}
}

static void
say(struct visitor *v, struct site_answer *a, bool head_only)
{
	struct text out = TEXT_EMPTY;

	text_fmt(&out, "HTTP/1.1 %d %s\r\n", a->status, reason(a->status));
	/* RFC 9110 section 8.6. */
	if (a->status != 204)
		text_fmt(&out,
		    "Content-Type: %s\r\n"
		    "Content-Length: %zu\r\n",
		    a->type, a->body.len);
	text_str(&out,
	    "Content-Security-Policy: default-src 'none'\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n"
	    "Connection: close\r\n\r\n");
	if (!head_only && a->body.len > 0)
		text_add(&out, a->body.p, a->body.len);
	if (!out.bad && !a->body.bad)
		io_write(v->io, out.p, out.len);
	text_clear(&out);
	text_clear(&a->body);
	if (v->state == VISITOR_HTTP)
		visitor_drain(v);
}

static void
say_status(struct visitor *v, int status)
{
	struct site_answer a = {
	    .status = status, .type = "text/plain; charset=utf-8"};

	text_fmt(&a.body, "%d %s\n", status, reason(status));
	say(v, &a, false);
}

/* ---- the upgrade ---- */

/* It counts no more once its machine has a node. */
static void
judge_client(struct visitor *v)
{
	if (v->source != NULL && is_known(v))
		leave_source(v);
}

static void
client_proven(void *arg)
{
	struct visitor *v = arg;

	v->proven = true;
	judge_client(v);
}

static void
client_ended(void *arg)
{
	visitor_close(arg);
}

static const struct control_owner owner = {client_proven, client_ended};

static bool
decode_init(uint8_t init[static NOISE_INIT_LEN], const struct span *s)
{
	size_t n;

	return s != NULL &&
	    sodium_base642bin(init, NOISE_INIT_LEN, s->p, s->n, NULL, &n, NULL,
		sodium_base64_VARIANT_ORIGINAL) == 0 &&
	    n == NOISE_INIT_LEN;
}

/* The client's first message came in a header field; ours follows the head
 * of the answer. */
static void
upgrade(struct visitor *v, const struct http1_request *req)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "Upgrade: tailscale-control-protocol\r\n"
				   "Connection: upgrade\r\n\r\n";
	struct coordd *c = v->all->c;
	uint8_t out[sizeof(head) - 1 + NOISE_RESPONSE_LEN];
	uint8_t init[NOISE_INIT_LEN];
	struct key ephemeral;
	struct noise noise;
	struct io *io = v->io;
	uint16_t version;
	bool good;

	if (!source_may_shake(v->source, loop_now(c->loop))) {
		refuse_source(v->all, &v->from, "handshakes");
		say_status(v, 429);
		return;
	}
	v->shaken = true;
	randombytes_buf(ephemeral.b, KEY_LEN);
	good = decode_init(init, http1_find(req, "X-Tailscale-Handshake")) &&
	    noise_accept(&noise, &c->priv, &c->pub, &ephemeral, init,
		out + sizeof(head) - 1, &v->machine, &version);
	sodium_memzero(&ephemeral, sizeof(ephemeral));
	metric_add(good ? &c->stats.handshakes : &c->stats.handshakes_bad, 1);
	if (!good) {
		say_status(v, 400);
		return;
	}
	memcpy(out, head, sizeof(head) - 1);
	io_write(io, out, sizeof(out));
	if (v->state != VISITOR_HTTP)
		return;
	if (control_begin(
		v->all->controls, io, &noise, &v->machine, &owner, v)) {
		/* It may have ended already. */
		if (v->state == VISITOR_HTTP)
			v->state = VISITOR_CLIENT;
		v->io = NULL;
	} else
		visitor_close(v);
	noise_clear(&noise);
}

static bool
is_upgrade(const struct http1_request *req)
{
	return span_is(req->path, "/ts2021") && span_is(req->method, "POST") &&
	    http1_has_token(req, "Upgrade", "tailscale-control-protocol");
}

/* ---- requests ---- */

/* A length in decimal digits; one more than BODY_MAX stands for all that are
 * larger. False if it is none. */
static bool
parse_length(const struct span *s, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*n = *n * 10 + (size_t)(s->p[i] - '0');
		if (*n > BODY_MAX)
			*n = BODY_MAX + 1;
	}
	return s->n > 0;
}

/* How long the announced body is. Returns 0, or the status to refuse it with:
 * its length must be told beforehand, and once (RFC 9112 section 6.3). */
static int
body_length(const struct http1_request *req, size_t *n)
{
	bool told = false;
	size_t more;

	*n = 0;
	for (size_t i = 0; i < req->nfields; i++) {
		const struct http1_field *f = &req->fields[i];

		if (span_is_nocase(f->name, "Transfer-Encoding"))
			return 411;
		if (!span_is_nocase(f->name, "Content-Length"))
			continue;
		if (!parse_length(&f->value, &more) || (told && more != *n))
			return 400;
		told = true;
		*n = more;
	}
	return *n > BODY_MAX ? 413 : 0;
}

static size_t
visitor_data(void *arg, uint8_t *p, size_t n, size_t *want)
{
	struct visitor *v = arg;
	struct http1_request req;
	struct site_answer a;
	size_t head, body;
	int status;

	if (v->state != VISITOR_HTTP)
		return n;
	head = http1_head_end(p, n, &v->searched);
	if (head == 0 && n <= HTTP1_HEAD_MAX)
		return 0;
	status = head == 0 || head > HTTP1_HEAD_MAX
	    ? 431
	    : http1_parse(&req, p, head);
	if (status != 0) {
		say_status(v, status);
		return n;
	}
	if (is_upgrade(&req)) {
		upgrade(v, &req);
		return head;
	}
	if ((status = body_length(&req, &body)) != 0) {
		say_status(v, status);
		return n;
	}
	if (n < head + body) {
		*want = head + body;
		v->searched = 0;
		return 0;
	}
	site_answer(v->all->c, &req, (const char *)p + head, body, &a);
	say(v, &a, span_is(req.method, "HEAD"));
	return n;
}

static void
visitor_ready(void *arg)
{
	(void)arg;
}

static void
visitor_end(void *arg, enum io_end why, const char *detail)
{
	(void)why;
	(void)detail;
	visitor_close(arg);
}

static const struct io_ops ops = {
    visitor_data, visitor_ready, visitor_ready, visitor_end};

/* ---- accepting ---- */

static void
welcome(struct listener *l, int fd, const struct addr *from)
{
	struct listeners *ls = l->all;
	struct visitor *v = calloc(1, sizeof(*v));

	if (v == NULL) {
		close(fd);
		return;
	}
	v->all = ls;
	v->from = *from;
	if (!enter_source(v)) {
		refuse_source(ls, from, "connections");
		close(fd);
		free(v);
		return;
	}
	io_set_tcp_options(fd, KEEPALIVE_US, USER_TIMEOUT_US);
	v->io = io_new(ls->c->io, fd, l->tls ? ls->c->tls : NULL, &ops, v);
	if (v->io == NULL) {
		close(fd);
		leave_source(v);
		free(v);
		return;
	}
	v->deadline = mono_add_us(loop_now(ls->c->loop), REQUEST_US);
	TAILQ_INSERT_TAIL(&ls->live, v, entry);
	metric_add(&ls->c->stats.connections, 1);
}

static void
pause_accepting(struct listeners *ls, const char *why)
{
	if (log_allowed(&ls->log_pause, loop_now(ls->c->loop)) > 0)
		log_warnx("accepting pauses: %s", why);
	for (size_t i = 0; i < ls->n; i++)
		watch_on(ls->v[i].watch, false);
	timer_set(ls->resume, mono_add_us(loop_now(ls->c->loop), PAUSE_US));
}

static void
resume_accepting(void *arg)
{
	struct listeners *ls = arg;

	for (size_t i = 0; i < ls->n; i++)
		watch_on(ls->v[i].watch, true);
}

static void
on_acceptable(void *arg)
{
	struct listener *l = arg;
	struct addr from;
	int fd;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		from.len = sizeof(from.u);
		fd = accept4(
		    l->fd, &from.u.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1)
			welcome(l, fd, &from);
		else if (errno == EMFILE || errno == ENFILE ||
		    errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(l->all, strerror(errno));
			return;
		} else if (errno == EAGAIN)
			return;
	}
}

/* ---- all of them ---- */

static bool
open_one(struct listeners *ls, const struct addr *at, bool tls, char *error)
{
	struct listener *l = &ls->v[ls->n];
	char text[ADDR_TEXT_MAX];

	*l = (struct listener){.all = ls, .fd = -1, .tls = tls, .at = *at};
	l->fd = addr_listen_tcp(&l->at, false);
	if (l->fd == -1) {
		snprintf(error, COORDD_ERROR_MAX, "%s %s: %s",
		    tls ? "tls-listen" : "listen", addr_text(at, text),
		    strerror(errno));
		return false;
	}
	ls->n++;
	return true;
}

struct listeners *
listeners_new(struct coordd *c, char error[static COORDD_ERROR_MAX])
{
	const struct coordd_conf *conf = c->conf;
	struct listeners *ls = calloc(1, sizeof(*ls));
	bool good = true;

	snprintf(error, COORDD_ERROR_MAX, "out of memory");
	if (ls == NULL)
		return NULL;
	ls->c = c;
	ls->controls = c->controls;
	ls->log_refused.limit = ls->log_pause.limit = limit_new(SECOND_US, 5);
	TAILQ_INIT(&ls->live);
	TAILQ_INIT(&ls->dead);
	sources_init(&ls->sources, c->hash_seed);
	ls->v = calloc(conf->listen.n + conf->tls_listen.n, sizeof(*ls->v));
	ls->resume = timer_new(c->loop, resume_accepting, ls);
	good = ls->v != NULL && ls->resume != NULL;
	for (size_t i = 0; good && i < conf->listen.n; i++)
		good = open_one(ls, &conf->listen.v[i], false, error);
	for (size_t i = 0; good && i < conf->tls_listen.n; i++)
		good = open_one(ls, &conf->tls_listen.v[i], true, error);
	if (good)
		return ls;
	listeners_free(ls);
	return NULL;
}

bool
listeners_start(struct listeners *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		struct listener *l = &ls->v[i];

		l->watch =
		    watch_new(ls->c->loop, l->fd, WATCH_READ, on_acceptable, l);
		if (l->watch == NULL)
			return false;
		watch_on(l->watch, true);
	}
	return true;
}

void
listeners_stop(struct listeners *ls)
{
	timer_set(ls->resume, MONO_NEVER);
	for (size_t i = 0; i < ls->n; i++) {
		watch_free(ls->v[i].watch);
		ls->v[i].watch = NULL;
		if (ls->v[i].fd != -1)
			close(ls->v[i].fd);
		ls->v[i].fd = -1;
	}
}

void
listeners_turn(struct listeners *ls)
{
	struct visitor *v;

	while ((v = TAILQ_FIRST(&ls->dead)) != NULL) {
		TAILQ_REMOVE(&ls->dead, v, entry);
		io_free(v->io);
		free(v);
	}
}

void
listeners_tick(struct listeners *ls)
{
	struct mono now = loop_now(ls->c->loop);
	struct visitor *v, *next;

	for (v = TAILQ_FIRST(&ls->live); v != NULL; v = next) {
		next = TAILQ_NEXT(v, entry);
		if (v->state == VISITOR_CLIENT)
			judge_client(v);
		else if (mono_reached(v->deadline, now))
			visitor_close(v);
	}
	sources_tick(&ls->sources, now);
}

/* After controls_free: no visitor is a client's any more. */
void
listeners_free(struct listeners *ls)
{
	struct visitor *v;

	if (ls == NULL)
		return;
	if (ls->resume != NULL && ls->v != NULL)
		listeners_stop(ls);
	while ((v = TAILQ_FIRST(&ls->live)) != NULL)
		visitor_close(v);
	listeners_turn(ls);
	timer_free(ls->resume);
	sources_clear(&ls->sources);
	free(ls->v);
	free(ls);
}

const struct addr *
listeners_at(const struct listeners *ls, size_t i, bool *tls)
{
	if (i >= ls->n)
		return NULL;
	*tls = ls->v[i].tls;
	return &ls->v[i].at;
}
