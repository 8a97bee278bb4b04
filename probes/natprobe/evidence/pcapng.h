/*
 * pcapng: writes the blocks of a capture file, and finds the comments in one.
 * PURE. The format: draft-ietf-opsawg-pcapng. Packets are read by libpcap,
 * which reads the format but does not write it, and knows no comments.
 *
 * A file of ours is a section header, one interface, packets, and, if the run
 * came to an end, statistics. Numbers are big-endian, times nanoseconds.
 */
#ifndef NATPROBE_PCAPNG_H
#define NATPROBE_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/cursor.h"

#define PCAPNG_COMMENT_MAX 16384
/* What a block has beside comments or a packet, and some texts. */
#define PCAPNG_BLOCK_MAX (PCAPNG_COMMENT_MAX + 2048)
#define PCAPNG_FRAME_MAX 65535

/* Each writes a block; w->bad if it did not fit. Comments are UTF-8. */
void pcapng_section(struct wr *w, const char *program, const char *comment);
void pcapng_interface(struct wr *w, uint16_t link, uint32_t snaplen,
    const char *name, const char *filter);
/* A packet's block is a head, the bytes of the frame, and a tail. */
#define PCAPNG_HEAD_LEN 28
#define PCAPNG_TAIL_MAX 7
void pcapng_packet_head(
    struct wr *w, uint64_t at_ns, uint32_t caught, uint32_t len);
void pcapng_packet_tail(struct wr *w, uint32_t caught);

struct pcapng_sums {
	uint64_t begin_ns, end_ns;
	uint64_t received, dropped; /* passed the filter; of these, no room */
	uint64_t kept; /* are in the file */
};
void pcapng_statistics(
    struct wr *w, const struct pcapng_sums *sums, const char *comment);

/*
 * Finds comments. To be called for each block of a file in turn, with the
 * first n bytes of the rest of the file, which are the block's head at least
 * (PCAPNG_LOOK) or all that is left. Returns the length of the block, 0 if
 * none can be there. Section headers and statistics may have comments that
 * are ours; to see one, the whole block is needed.
 */
#define PCAPNG_LOOK 12
struct pcapng_comment {
	const char *text; /* lent, not zero-terminated; NULL: none */
	size_t len;
};
struct pcapng_walk {
	bool little; /* the order of the section's numbers */
};
size_t pcapng_next(struct pcapng_walk *walk, const void *p, size_t n,
    bool *may_comment, struct pcapng_comment *comment);

#endif
