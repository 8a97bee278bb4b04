/*
 * addr: IP addresses with ports: text forms, classes, listening sockets.
 * Never resolves names: nothing here blocks.
 */
#ifndef RUN_ADDR_H
#define RUN_ADDR_H

#include <sys/socket.h>
#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage storage;
	} u;
	socklen_t len;
};

/* Room for "[v6 address%scope]:port" and the zero. */
#define ADDR_TEXT_MAX 80

/*
 * Reads "1.2.3.4:80", "[::1]:80", ":80" (every address of both families: ::
 * dual stack), "1.2.3.4" or "::1" (then port is def_port; def_port -1 means
 * that a port is required). "localhost" is 127.0.0.1; as a port "http" and
 * "https" are known. Returns true or false.
 */
bool addr_parse(struct addr *a, const char *text, int def_port);

/* Writes "1.2.3.4:80" or "[::1]:80"; v4-mapped ones as v4. Returns text. */
const char *addr_text(const struct addr *a, char text[static ADDR_TEXT_MAX]);

/* The same without port and brackets. */
const char *addr_ip_text(const struct addr *a, char text[static ADDR_TEXT_MAX]);

uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);

/* The address as 16 bytes, IPv4 as ::ffff:a.b.c.d. */
void addr_ip16(const struct addr *a, uint8_t ip[static 16]);
/* And back; ::ffff:a.b.c.d becomes IPv4. */
void addr_from_ip16(struct addr *a, const uint8_t ip[static 16], uint16_t port);

/* True for 4, also where IPv4 arrives v4-mapped on a dual stack socket. */
bool addr_is_v4(const struct addr *a);
bool addr_is_any(const struct addr *a);
/* False for what can be nobody's own: unspecified, multicast, and IPv4's
 * 0.0.0.0/8 and 240.0.0.0/4 with its broadcast (RFC 6890). */
bool addr_is_host(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
bool addr_same_ip(const struct addr *a, const struct addr *b);

/* Reads "10.0.0.0/8" or a bare address; tests whether a is inside. */
struct addr_prefix {
	uint8_t ip[16]; /* v4 as v4-mapped */
	uint8_t bits; /* 0..128, of the 16 bytes */
};
bool addr_prefix_parse(struct addr_prefix *p, const char *text);
bool addr_prefix_has(const struct addr_prefix *p, const struct addr *a);

/*
 * Opens a non-blocking listening TCP socket, or a bound UDP socket, with
 * SO_REUSEADDR (TCP), SO_REUSEPORT if reuseport, and, for ::, both families.
 * Returns the descriptor or -1 with errno. Port 0 is filled in from the
 * kernel's choice.
 */
int addr_listen_tcp(struct addr *a, bool reuseport);

/* Tells whether nobody listens there, not even with SO_REUSEPORT, by binding
 * and letting go again; no connection is ever accepted by that. 0, or -1 with
 * errno. */
int addr_tcp_is_free(struct addr *a);

int addr_bind_udp(struct addr *a, bool reuseport);

/* The address by which this host reaches others: the first global IPv4
 * address of an interface that is up, else 127.0.0.1. Sends nothing. */
void addr_of_host(struct addr *a);

#endif
