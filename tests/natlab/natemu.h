/*
 * natemu: natcore between two TUN devices. A map of its files; none of them
 * decides anything about packets.
 */
#ifndef NATLAB_NATEMU_H
#define NATLAB_NATEMU_H

#include <jansson.h>

#include "run/loop.h"
#include "tests/natlab/natcore.h"

struct natemu;
struct tap;

/* ---- natemu_config.c: the file ---- */

struct natemu_side {
	const char *device; /* the TUN device's name */
	const char *netns; /* path of its network namespace; NULL: ours */
	const char *pcap; /* file; NULL: none */
};

struct natemu_config {
	struct natemu_side sides[2]; /* by enum nat_side */
	const char *control; /* path of the Unix socket */
	struct nat_config knobs;
	json_t *json; /* owns the strings */
};

#define NATEMU_ERROR_MAX (NAT_ERROR_MAX + 512)
/* False, with one line in error, if it cannot be used. */
bool natemu_config_load(struct natemu_config *c, const char *path,
    char error[static NATEMU_ERROR_MAX]);
void natemu_config_clear(struct natemu_config *c);

/* ---- natemu_tun.c ---- */

/* Makes the device in its namespace, and sets it up. Returns the descriptor,
 * or -1 after it has logged why. */
int tun_open(const char *device, const char *netns);

/* ---- natemu_pcap.c: what passed, for Wireshark ---- */

/* NULL after it has logged why. */
struct tap *tap_open(const char *path);
void tap_close(struct tap *t);
void tap_write(struct tap *t, const void *p, size_t n);

/* ---- natemu_control.c: commands by a Unix socket ---- */

struct control;
/* Listens; NULL after it has logged why. */
struct control *control_open(struct natemu *e, const char *path);
void control_close(struct control *c);

/* ---- natemu.c ---- */

struct natemu {
	struct loop *loop;
	struct nat *nat;
	struct timer *timer;
	int fds[2];
	struct watch *watches[2];
	struct tap *taps[2];
	uint64_t refused; /* packets that the kernel did not take */
};

#endif
