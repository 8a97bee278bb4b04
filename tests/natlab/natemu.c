/*
 * natemu: a NAT of any kind as a process: natcore between two TUN devices.
 *
 *   natemu [-check] FILE
 *
 * FILE is JSON: {"inside": {"device": "nat"}, "outside": {"device": "nat-a",
 * "netns": "/run/netns/internet"}, "control": "/run/nat-a.sock", "knobs":
 * {...}}; tests/natlab/README.md says more. -check only says what is wrong
 * with it. Prints "ready" when packets flow; SIGTERM and SIGINT end it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/log.h"
#include "tests/natlab/natemu.h"

enum { BATCH = 64 }; /* packets of one device in one turn */

static void
emit(void *arg, enum nat_side to, const uint8_t *packet, size_t n)
{
	struct natemu *e = arg;

	tap_write(e->taps[to], packet, n);
	if (write(e->fds[to], packet, n) != (ssize_t)n)
		e->refused++;
}

static void
side_read(struct natemu *e, enum nat_side from)
{
	uint8_t packet[NAT_PACKET_MAX];

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = read(e->fds[from], packet, sizeof(packet));

		if (n == -1 && errno != EAGAIN && errno != EINTR)
			log_warn("cannot read a TUN device");
		if (n <= 0)
			return;
		tap_write(e->taps[from], packet, (size_t)n);
		nat_input(e->nat, from, packet, (size_t)n, loop_now(e->loop));
	}
}

static void
on_inside(void *arg)
{
	side_read(arg, NAT_INSIDE);
}

static void
on_outside(void *arg)
{
	side_read(arg, NAT_OUTSIDE);
}

static void
on_timer(void *arg)
{
	struct natemu *e = arg;

	nat_run(e->nat, loop_now(e->loop));
}

static void
on_turn(void *arg)
{
	struct natemu *e = arg;

	timer_set(e->timer, nat_deadline(e->nat));
}

static void
on_signal(void *arg)
{
	struct natemu *e = arg;

	loop_stop(e->loop);
}

/* Opens all; ends the process where something cannot be. */
static struct control *
natemu_open(struct natemu *e, const struct natemu_config *c)
{
	static loop_fn *const readers[] = {
	    [NAT_INSIDE] = on_inside, [NAT_OUTSIDE] = on_outside};
	struct control *control;

	e->loop = loop_new();
	if (e->loop == NULL)
		fatal("no event loop");
	e->nat = nat_new(&c->knobs, loop_now(e->loop), emit, e);
	e->timer = timer_new(e->loop, on_timer, e);
	if (e->nat == NULL || e->timer == NULL)
		fatalx("out of memory");
	for (int i = NAT_INSIDE; i <= NAT_OUTSIDE; i++) {
		const struct natemu_side *s = &c->sides[i];

		if (s->pcap != NULL && (e->taps[i] = tap_open(s->pcap)) == NULL)
			fatalx("cannot start");
		e->fds[i] = tun_open(s->device, s->netns);
		if (e->fds[i] == -1)
			fatalx("cannot start");
		e->watches[i] =
		    watch_new(e->loop, e->fds[i], WATCH_READ, readers[i], e);
		if (e->watches[i] == NULL)
			fatalx("out of memory");
		watch_on(e->watches[i], true);
	}
	control = control_open(e, c->control);
	if (control == NULL)
		fatalx("cannot start");
	if (loop_on_signal(e->loop, SIGTERM, on_signal, e) == -1 ||
	    loop_on_signal(e->loop, SIGINT, on_signal, e) == -1)
		fatal("cannot watch for signals");
	loop_on_turn(e->loop, on_turn, e);
	return control;
}

static void
natemu_close(struct natemu *e)
{
	for (int i = NAT_INSIDE; i <= NAT_OUTSIDE; i++) {
		watch_free(e->watches[i]);
		close(e->fds[i]);
		tap_close(e->taps[i]);
	}
	timer_free(e->timer);
	nat_free(e->nat);
	loop_free(e->loop);
}

int
main(int argc, char **argv)
{
	bool check = argc == 3 && strcmp(argv[1], "-check") == 0;
	struct natemu_config c;
	char error[NATEMU_ERROR_MAX];
	struct natemu e = {0};
	struct control *control;

	log_init("natemu", LOG_INFO_LEVEL);
	if (argc != 2 && !check) {
		fprintf(stderr, "usage: natemu [-check] FILE\n");
		return 2;
	}
	if (!natemu_config_load(&c, argv[argc - 1], error)) {
		log_warnx("%s", error);
		natemu_config_clear(&c);
		return 2;
	}
	if (!check) {
		control = natemu_open(&e, &c);
		printf("ready\n");
		fflush(stdout);
		loop_run(e.loop);
		control_close(control);
		natemu_close(&e);
	}
	natemu_config_clear(&c);
	return 0;
}
