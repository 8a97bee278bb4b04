/*
 * floor: what the kernel charges for a STUN answer. A bare loop of recvmmsg
 * and sendmmsg over one IPv4 socket, which turns each Binding request in
 * place into the 32-byte answer with XOR-MAPPED-ADDRESS. It looks at nothing
 * but type and cookie; the benchmark measures servers against it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH	    64
#define REQUEST_MAX 512
#define HEADER_LEN  20
#define ANSWER_LEN  32

/* As much as stund asks for, so that the floor loses nothing either. */
#define SOCKET_BUFFER (4 << 20)

static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};

struct batch {
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in from[BATCH];
	uint8_t bytes[BATCH][REQUEST_MAX];
};

/* The request of n bytes becomes its answer; false: not a request. */
static bool
answer(uint8_t *p, size_t n, const struct sockaddr_in *from)
{
	static const uint8_t type[2] = {0x00, 0x01};
	static const uint8_t head[4] = {0x01, 0x01, 0x00, 0x0c};
	static const uint8_t attr[6] = {0x00, 0x20, 0x00, 0x08, 0x00, 0x01};
	uint8_t *xored = p + HEADER_LEN + sizeof(attr);

	if (n < HEADER_LEN || memcmp(p, type, sizeof(type)) != 0 ||
	    memcmp(p + 4, cookie, sizeof(cookie)) != 0)
		return false;
	memcpy(p, head, sizeof(head));
	memcpy(p + HEADER_LEN, attr, sizeof(attr));
	memcpy(xored, &from->sin_port, 2);
	memcpy(xored + 2, &from->sin_addr, 4);
	for (int i = 0; i < 2; i++)
		xored[i] ^= cookie[i];
	for (int i = 0; i < 4; i++)
		xored[2 + i] ^= cookie[i];
	return true;
}

static void
batch_reset(struct batch *b, int n)
{
	for (int i = 0; i < n; i++) {
		b->iov[i].iov_len = REQUEST_MAX;
		b->msgs[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
	}
}

static void
batch_init(struct batch *b)
{
	for (int i = 0; i < BATCH; i++) {
		struct msghdr *hdr = &b->msgs[i].msg_hdr;

		b->iov[i].iov_base = b->bytes[i];
		hdr->msg_iov = &b->iov[i];
		hdr->msg_iovlen = 1;
		hdr->msg_name = &b->from[i];
	}
	batch_reset(b, BATCH);
}

static void
batch_send(int fd, struct batch *b, int from, int to)
{
	while (from < to) {
		int sent =
		    sendmmsg(fd, b->msgs + from, (unsigned)(to - from), 0);

		/* What cannot be sent is left out. */
		from += sent > 0 ? sent : errno != EINTR;
	}
}

static void
serve(int fd, struct batch *b)
{
	int begin, got;

	for (;;) {
		got = recvmmsg(fd, b->msgs, BATCH, MSG_WAITFORONE, NULL);
		begin = 0;
		for (int i = 0; i < got; i++) {
			if (answer(
				b->bytes[i], b->msgs[i].msg_len, &b->from[i])) {
				b->iov[i].iov_len = ANSWER_LEN;
				continue;
			}
			batch_send(fd, b, begin, i);
			begin = i + 1;
		}
		batch_send(fd, b, begin, got);
		batch_reset(b, got);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd, size = SOCKET_BUFFER;
	struct batch *b = calloc(1, sizeof(*b));

	if (argc != 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
		fprintf(stderr, "usage: floor IPV4-ADDRESS PORT\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (b == NULL || fd == -1 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1) {
		perror("floor");
		return 1;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ==
	    -1)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	batch_init(b);
	serve(fd, b);
}
