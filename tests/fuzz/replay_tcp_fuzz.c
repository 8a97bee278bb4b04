/*
 * replay_tcp_fuzz: any segments and ICMP errors of a run's connections over
 * TCP, in any order. Whatever they are, verdicts come out of them, of a run
 * that is over, and the result can be written; and a stream has the bytes that
 * were put there.
 *
 *     0     2      3      4     6     7
 *     | ms  | what | call | seq | n   | n bytes | ms ...
 *
 * what: FRAME_FIN to FRAME_ACK; 8: comes in; 32: to the second address; 64: an
 * ICMP error, of type seq.
 */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/evidence/replay_tcp.h"
#include "probes/natprobe/tcp/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IN = 8, SECOND = 32, ERROR = 64 };

static const struct stun_addr server = {
    {[10] = 0xff, 0xff, 192, 0, 2, 10}, 3478};
static struct note note;

static struct frame
read_frame(struct rd *r, struct mono *now, unsigned *call)
{
	struct stun_addr local = {{[10] = 0xff, 0xff, 10, 0, 2, 15}, 40000};
	struct stun_addr to = server;
	struct frame f = {.protocol = FRAME_TCP_PROTOCOL};
	uint8_t what;

	now->us += (int64_t)rd_u16(r) * 1000;
	what = rd_u8(r);
	*call = rd_u8(r);
	local.port = (uint16_t)(local.port + *call / 4 * 4);
	if (what & SECOND) {
		to.ip[15]++;
		to.port++;
	}
	f.kind = what & ERROR ? FRAME_ICMP : FRAME_TCP;
	f.flags = what & (FRAME_FIN | FRAME_SYN | FRAME_RST | FRAME_ACK);
	f.type = (uint8_t)(f.seq = rd_u16(r));
	f.seq += UINT32_MAX - 64;
	f.ack = UINT32_MAX - 63;
	f.len = rd_u8(r);
	f.n = f.len < rd_left(r) ? f.len : rd_left(r);
	f.p = rd_bytes(r, f.n);
	f.from = f.quoted_from = what & IN ? to : local;
	f.to = f.quoted_to = what & IN ? local : to;
	return f;
}

static void
note_calls(struct rd r)
{
	struct mono now = {note.begin_us};
	struct frame f;
	unsigned call;

	while (rd_left(&r) > 6 && note.n_calls < NOTE_CALLS_MAX) {
		f = read_frame(&r, &now, &call);
		if (f.flags == FRAME_SYN)
			note.calls[note.n_calls++] =
			    (struct note_call){f.from, f.to, (uint16_t)call};
	}
}

static void
check(const struct replay_tcp *t)
{
	static const struct targets no_names;
	json_t *o = json_object();

	for (size_t i = 0; i < t->calls.n; i++)
		if (t->calls.v[i].state != CALL_OVER)
			abort();
	tcp_result_add(o, &t->calls, &no_names);
	if (json_object_get(o, "tcp") == NULL)
		abort();
	json_decref(o);
}

/* Pieces of the input, at places that the input says, give the input. */
static void
check_stream(const uint8_t *data, size_t size)
{
	size_t n = size < STREAM_AHEAD ? size : STREAM_AHEAD, got = 0, at, len;
	uint8_t out[STREAM_AHEAD], all[STREAM_AHEAD];
	static struct stream s;

	stream_init(&s, UINT32_MAX - 5);
	for (size_t i = 0; i <= n; i++) {
		at = i == n ? 0 : data[i] * 4u % n;
		len = i == n ? n : data[n - 1 - i] % (n - at + 1);
		(void)stream_put(
		    &s, UINT32_MAX - 5 + (uint32_t)at, data + at, len);
		while ((len = stream_take(&s, out)) > 0) {
			if (got + len > n)
				abort();
			memcpy(all + got, out, len);
			got += len;
		}
	}
	if (got != n || memcmp(all, data, n) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mono now = {INT64_C(1700000000000000)};
	struct replay_tcp *t;
	struct frame f;
	unsigned call;
	struct rd r;

	if (size == 0)
		return 0;
	check_stream(data, size);
	note = (struct note){.tcp = true,
	    .tcp_lifetime = data[0] & 1,
	    .refresh = data[0] & 2,
	    .ttl_max_s = 60,
	    .ttl_resolution_s = 2,
	    .rate = 100,
	    .begin_us = now.us};
	note.targets.n[0] = 1;
	note.targets.v[0][0] = server;
	rd_init(&r, data + 1, size - 1);
	note_calls(r);
	t = replay_tcp_new(&note, false);
	if (t == NULL)
		return 0;
	while (rd_left(&r) > 6) {
		f = read_frame(&r, &now, &call);
		(void)replay_tcp_frame(t, &f, now);
	}
	replay_tcp_end(t, data[0] & 4, now);
	check(t);
	replay_tcp_free(t);
	return 0;
}
