/*
 * evidence: the packets of a run as a file, and the verdicts from that file.
 *
 *   capture.c   libpcap: opens, keeps the run's own frames, writes them
 *   privilege.c what must be open before root is given up, and giving it up
 *   reader.c    libpcap: the frames of a file
 *   frame.c     PURE: a frame as a datagram, a segment, an ICMP error
 *   sockets.c   which sockets the run has
 *   ends.c      PURE: their addresses and ports
 *   own.c       PURE: which frames are the run's
 *   pcapng.c    PURE: the form of the file
 *   note.c      PURE: what it says beside packets
 *   replay.c    PURE: frames to what judge_* reads
 *   replay_tcp.c PURE: segments to what judge_tcp reads
 *   stream.c    PURE: bytes of a connection, from segments
 *   words.c     its lines for people
 */
#ifndef NATPROBE_EVIDENCE_H
#define NATPROBE_EVIDENCE_H

#include "probes/natprobe/evidence/note.h"
#include "probes/natprobe/evidence/own.h"
#include "probes/natprobe/evidence/replay.h"
#include "probes/natprobe/natprobe.h"

struct capture;

/*
 * Opens the interfaces, which needs CAP_NET_RAW, and the file. NULL, with one
 * line in error, if that cannot be. Nothing is written yet.
 */
struct capture *capture_new(
    const char *path, char error[static NATPROBE_ERROR_MAX]);
/* From here on the frames of all sockets are kept that l comes to watch; in
 * memory, until they can be written. These two return 0, or -1 with a line. */
int capture_watch(
    struct capture *c, struct loop *l, char error[static NATPROBE_ERROR_MAX]);
/* Which of tcp/'s connections is that, -1: none. */
typedef int call_fn(const void *arg, const struct stun_addr *local,
    const struct stun_addr *peer);
/* note: as set up; when it began is added. */
int capture_begin(struct capture *c, struct note *note, call_fn *fn,
    const void *arg, char error[static NATPROBE_ERROR_MAX]);
/* From now on the run takes no answers. */
void capture_stop(struct capture *c);
/* The run is over: takes what came last, and finishes the file. Returns the
 * time, in seconds since 1970. */
int64_t capture_end(struct capture *c, bool complete);
void capture_free(struct capture *c);
json_t *capture_json(const struct capture *c);

/*
 * Opens a file to be written; one that root makes belongs to who called sudo.
 * What is there already stays until privilege_empty. -1 with errno.
 */
int privilege_open(const char *path);
/* 0, or -1 with errno. */
int privilege_empty(int fd);

/* Gives up all privilege, for good: root becomes the user who called sudo, or
 * nobody. Returns 0, or -1 with a line. */
int privilege_drop(char error[static NATPROBE_ERROR_MAX]);

/*
 * Reads a capture into probes, one per family, of which the used ones are the
 * caller's to clear. Returns 0, or -1 with one line in error if it is none, or
 * none of natprobe. A capture that breaks off is read up to there, and why
 * says so ("" if it does not).
 */
int replay_read(struct replay *r, const char *path, struct probe probes[2],
    bool used[2], char why[static NATPROBE_ERROR_MAX],
    char error[static NATPROBE_ERROR_MAX]);
json_t *replay_json(const struct replay *r, const char *path, const char *why);

/* The lines of a capture and a replay, if the result has such. */
void words_print_evidence(const json_t *result, FILE *out);

#endif
