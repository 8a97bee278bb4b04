/*
 * natemu_control: a Unix socket that takes one JSON object a line, {"do":
 * COMMAND, ...}, and answers each with one line.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/log.h"
#include "tests/natlab/natemu.h"

#define LINE_MAX_BYTES 65536

struct control {
	struct natemu *emu;
	struct evconnlistener *listener;
	char path[108];
};

/* ---- commands: each returns its answer ---- */

static json_t *
answer_error(const char *text)
{
	return json_pack("{ss}", "error", text);
}

struct shown {
	json_t *list, *remotes;
};

static void
show_remote(void *arg, const struct ip *ip, uint16_t port, int64_t left_us)
{
	struct shown *s = arg;
	char text[IP_TEXT_MAX];

	json_array_append_new(s->remotes,
	    json_pack("{ss si sf}", "ip", ip_text(ip, text), "port", port,
		"left", (double)left_us / 1e6));
}

static void
show_mapping(void *arg, const struct nat_shown *m)
{
	struct shown *s = arg;
	char in[IP_TEXT_MAX], out[IP_TEXT_MAX];

	s->remotes = json_array();
	json_array_append_new(s->list,
	    json_pack("{ss sb s{ss si} s{ss si} sf sf sb so}", "protocol",
		m->protocol == 17      ? "udp"
		    : m->protocol == 6 ? "tcp"
				       : "icmp",
		"own", m->own, "inside", "ip", ip_text(&m->in_ip, in), "port",
		m->in_port, "outside", "ip", ip_text(&m->out_ip, out), "port",
		m->out_port, "age", (double)m->age_us / 1e6, "left",
		(double)m->left_us / 1e6, "replied", m->replied, "remotes",
		s->remotes));
}

static json_t *
do_mappings(struct natemu *e, const json_t *command)
{
	struct shown s = {.list = json_array()};

	(void)command;
	nat_each(e->nat, loop_now(e->loop), show_mapping, show_remote, &s);
	return json_pack("{so}", "mappings", s.list);
}

static json_t *
do_counters(struct natemu *e, const json_t *command)
{
	json_t *all = json_object();

	(void)command;
	for (int i = 0; i < NAT_COUNTS; i++)
		json_object_set_new(all, nat_count_name((enum nat_count)i),
		    json_integer(
			(json_int_t)nat_counter(e->nat, (enum nat_count)i)));
	json_object_set_new(
	    all, "refused", json_integer((json_int_t)e->refused));
	return json_pack("{so}", "counters", all);
}

static json_t *
do_knobs(struct natemu *e, const json_t *command)
{
	(void)command;
	return json_pack("{so}", "knobs", nat_config_write(nat_config(e->nat)));
}

static json_t *
do_set(struct natemu *e, const json_t *command)
{
	struct nat_config c;
	char error[NAT_ERROR_MAX];

	nat_run(e->nat, loop_now(e->loop));
	c = *nat_config(e->nat);
	if (!nat_config_read(&c, json_object_get(command, "knobs"), error))
		return answer_error(error);
	nat_configure(e->nat, &c, loop_now(e->loop));
	return json_object();
}

static json_t *
do_flush(struct natemu *e, const json_t *command)
{
	(void)command;
	nat_flush(e->nat);
	return json_object();
}

static const struct {
	const char *name;
	json_t *(*run)(struct natemu *e, const json_t *command);
} commands[] = {
    {"mappings", do_mappings},
    {"counters", do_counters},
    {"knobs", do_knobs},
    {"set", do_set},
    {"flush", do_flush},
};

static json_t *
command_run(struct natemu *e, const char *line)
{
	json_t *command = json_loads(line, 0, NULL), *answer = NULL;
	const char *name = json_string_value(json_object_get(command, "do"));

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (name != NULL && strcmp(commands[i].name, name) == 0)
			answer = commands[i].run(e, command);
	if (answer == NULL)
		answer = answer_error("want {\"do\": \"mappings\", \"counters\""
				      ", \"knobs\", \"set\" or \"flush\"}");
	json_decref(command);
	return answer;
}

/* ---- the socket ---- */

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct control *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	char *line;

	while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF)) != NULL) {
		json_t *answer = command_run(c->emu, line);
		char *text = json_dumps(answer, JSON_COMPACT);

		if (text != NULL)
			evbuffer_add_printf(
			    bufferevent_get_output(bev), "%s\n", text);
		free(text);
		json_decref(answer);
		free(line);
	}
	if (evbuffer_get_length(in) > LINE_MAX_BYTES)
		bufferevent_free(bev);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a,
    int len, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(
	    evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)a;
	(void)len;
	if (bev == NULL) {
		close(fd);
		return;
	}
	bufferevent_setcb(bev, on_read, NULL, on_event, arg);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

struct control *
control_open(struct natemu *e, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct control *c = calloc(1, sizeof(*c));

	if (c == NULL)
		fatal("out of memory");
	if (strlen(path) >= sizeof(un.sun_path)) {
		log_warnx("control: %s: longer than %zu characters", path,
		    sizeof(un.sun_path) - 1);
		free(c);
		return NULL;
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(c->path, path, strlen(path) + 1);
	c->emu = e;
	unlink(path);
	c->listener = evconnlistener_new_bind(loop_base(e->loop), on_accept, c,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
	    (struct sockaddr *)&un, sizeof(un));
	if (c->listener == NULL) {
		log_warn("control: cannot listen on %s", path);
		free(c);
		return NULL;
	}
	return c;
}

void
control_close(struct control *c)
{
	evconnlistener_free(c->listener);
	unlink(c->path);
	free(c);
}
