/* reader: a capture file, by libpcap; its notes, by pcapng.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/evidence/pcapng.h"
#include "pure/text.h"

/* ---- notes ---- */

static void
read_comment(struct note *note, struct pcapng_walk *walk, int fd, off_t at)
{
	uint8_t b[PCAPNG_BLOCK_MAX];
	ssize_t n = pread(fd, b, sizeof(b), at);
	struct pcapng_comment comment;
	bool may;

	if (n <= 0)
		return;
	(void)pcapng_next(walk, b, (size_t)n, &may, &comment);
	if (comment.text != NULL)
		(void)note_read(note, comment.text, comment.len);
}

/* Another form of file has none: its first bytes are no section. */
static void
read_notes(struct note *note, int fd)
{
	struct pcapng_walk walk = {.little = false};
	struct pcapng_comment comment;
	uint8_t b[PCAPNG_LOOK];
	off_t at = 0;
	size_t len;
	bool may;

	while (pread(fd, b, sizeof(b), at) == (ssize_t)sizeof(b)) {
		len = pcapng_next(&walk, b, sizeof(b), &may, &comment);
		if (len == 0)
			return;
		if (may)
			read_comment(note, &walk, fd, at);
		at += (off_t)len;
	}
}

static int
open_notes(struct note *note, const char *path, char *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1) {
		snprintf(error, NATPROBE_ERROR_MAX, "replay: %s: %s", path,
		    strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "replay: %s is no file; want one of natprobe -capture",
		    path);
		close(fd);
		fd = -1;
	}
	if (fd == -1)
		return -1;
	read_notes(note, fd);
	close(fd);
	return 0;
}

/* ---- frames ---- */

static int64_t
time_of(const struct pcap_pkthdr *h)
{
	int64_t s = h->ts.tv_sec;

	if (s < 0 || s >= REPLAY_US_MAX / 1000000)
		return 0;
	return s * 1000000 + h->ts.tv_usec;
}

static int
check_link(pcap_t *p, const char *path, char *error)
{
	int link = pcap_datalink(p);
	const char *name = pcap_datalink_val_to_description(link);

	if (frame_link_known(link))
		return 0;
	snprintf(error, NATPROBE_ERROR_MAX,
	    "replay: %s: a capture of %s (link type %d); want Ethernet, raw "
	    "IP or Linux cooked",
	    path, name == NULL ? "something unknown" : name, link);
	return -1;
}

/* Goes through the file once. why: why it broke off. */
static int
read_frames(
    struct replay *r, const char *path, bool first, char *why, char *error)
{
	char reason[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline(path, reason);
	struct pcap_pkthdr *h;
	const u_char *data;
	struct frame f;
	int more;

	if (p == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "replay: %s is no capture (pcap or pcapng): %s", path,
		    reason);
		return -1;
	}
	if (check_link(p, path, error) == -1) {
		pcap_close(p);
		return -1;
	}
	while ((more = pcap_next_ex(p, &h, &data)) == 1) {
		frame_read(&f, pcap_datalink(p), data, h->caplen);
		if (first)
			replay_look(r, &f);
		else
			replay_frame(r, &f, time_of(h));
	}
	if (more == PCAP_ERROR)
		snprintf(why, NATPROBE_ERROR_MAX, "%s", pcap_geterr(p));
	pcap_close(p);
	return 0;
}

int
replay_read(struct replay *r, const char *path, struct probe probes[2],
    bool used[2], char why[static NATPROBE_ERROR_MAX],
    char error[static NATPROBE_ERROR_MAX])
{
	struct note note = {.set_up = false};
	int status = open_notes(&note, path, error);

	*why = '\0';
	replay_init(r, &note, probes, used);
	if (status == -1 || read_frames(r, path, true, why, error) == -1)
		return -1;
	if (!replay_begin(r)) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "replay: %s: none of its %llu packets is a%s question of "
		    "natprobe",
		    path, (unsigned long long)r->frames,
		    r->any ? " first" : "");
		return -1;
	}
	if (read_frames(r, path, false, why, error) == -1)
		return -1;
	replay_end(r);
	return 0;
}

static json_t *
time_json(struct mono t)
{
	struct text text = TEXT_EMPTY;
	json_t *r;

	if (!mono_is_set(t))
		return json_null();
	text_time(&text, t.us / 1000000);
	r = json_string(text.bad ? "" : text.p);
	text_clear(&text);
	return r;
}

static const char *
why_not_whole(const struct replay *r, const char *why)
{
	if (*why != '\0')
		return why;
	if (replay_is_complete(r))
		return NULL;
	if (r->note.ended && !r->note.complete)
		return "interrupted";
	return r->note.ended ? "beginning-missing" : "no-end";
}

json_t *
replay_json(const struct replay *r, const char *path, const char *why)
{
	return json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:b, s:s?}", "file",
	    path, "first", time_json(r->first), "last", time_json(r->last),
	    "packets", (json_int_t)r->ours, "others",
	    (json_int_t)(r->frames - r->ours), "dropped",
	    (json_int_t)r->note.dropped, "whole",
	    *why == '\0' && replay_is_complete(r), "why",
	    why_not_whole(r, why));
}
