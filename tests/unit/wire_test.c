/* wire: what clients send, and what they should not. */
#include <stdlib.h>

#include <jansson.h>

#include "coordd/wire.h"
#include "pure/text.h"
#include "tests/tap.h"

#define HEX32  "0123456789abcdef0123456789abcdef"
#define KEY1   HEX32 HEX32
#define ZERO32 "00000000000000000000000000000000"
#define KEY0   ZERO32 ZERO32

static char error[WIRE_ERROR_MAX];

static bool
reads_register(struct register_request *r, const char *json)
{
	return register_request_read(r, json, strlen(json), error);
}

static bool
reads_map(struct map_request *r, const char *json)
{
	return map_request_read(r, json, strlen(json), error);
}

/* ---- whole requests ---- */

/* As tailscaled 1.102.5 sends it. */
static const char stock_register[] =
    "{\"Version\":142,\"NodeKey\":\"nodekey:" KEY1 "\","
    "\"OldNodeKey\":\"nodekey:" KEY0 "\",\"NLKey\":\"nlpub:" KEY1 "\","
    "\"Auth\":{\"AuthKey\":\"cnkey-00ff\"},"
    "\"Expiry\":\"0001-01-01T00:00:00Z\",\"Followup\":\"\","
    "\"Hostinfo\":{\"IPNVersion\":\"1.102.5\",\"BackendLogID\":\"ab\","
    "\"OS\":\"linux\",\"OSVersion\":\"6.1.0\",\"Container\":false,"
    "\"Distro\":\"debian\",\"Hostname\":\"robot-7\",\"Machine\":\"x86_64\","
    "\"GoArch\":\"amd64\",\"GoVersion\":\"go1.26\",\"Userspace\":false,"
    "\"UserspaceRouter\":false,\"AppConnector\":false,"
    "\"TPM\":{\"Manufacturer\":\"X\",\"SpecRevision\":1},"
    "\"RoutableIPs\":[\"10.2.0.0/16\",\"10.1.0.0/16\"],"
    "\"RequestTags\":[\"tag:robot\"]},"
    "\"NodeKeySignature\":null,\"SignatureType\":0,\"Timestamp\":null}";

static void
test_register(void)
{
	struct register_request r;
	struct key k;

	key_parse(&k, KEY_HEX, KEY1, 64);
	ok(reads_register(&r, stock_register), "a stock client's");
	eq_int(r.capver, 142, "version");
	ok(key_equal(&r.node_key, &k), "node key");
	ok(key_is_zero(&r.old_node_key), "no old node key");
	eq_str(r.auth_key, "cnkey-00ff", "auth key");
	eq_str(r.followup, "", "no followup");
	eq_int(r.expiry, 0, "Go's zero time is no wish");
	ok(!r.ephemeral, "not ephemeral");
	eq_str(r.host.hostname, "robot-7", "hostname");
	eq_int((int64_t)r.host.nroutes, 2, "routes");
	ok(r.host.routes[0].ip.b[13] == 1, "sorted");
	eq_int((int64_t)r.host.nrequest_tags, 1, "tags");
	eq_str(r.host.request_tags[0], "tag:robot", "which");
	eq_int(r.host.home_derp, -1, "no relay yet");
	eq_str(r.host.json,
	    "{\"IPNVersion\":\"1.102.5\",\"OS\":\"linux\","
	    "\"OSVersion\":\"6.1.0\",\"Container\":false,"
	    "\"Distro\":\"debian\",\"Hostname\":\"robot-7\","
	    "\"Machine\":\"x86_64\",\"GoArch\":\"amd64\","
	    "\"GoVersion\":\"go1.26\",\"Userspace\":false,"
	    "\"UserspaceRouter\":false}",
	    "what peers get of its host");
	register_request_clear(&r);
	ok(r.host.json == NULL && r.host.routes == NULL, "cleared");
}

static void
test_register_rest(void)
{
	struct register_request r;

	ok(reads_register(&r,
	       "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Ephemeral\":true,"
	       "\"OldNodeKey\":\"nodekey:" KEY1 "\","
	       "\"Followup\":\"http://c/register/7\","
	       "\"Expiry\":\"1970-01-01T00:02:03Z\"}"),
	    "few members");
	ok(r.ephemeral && !key_is_zero(&r.old_node_key), "are read");
	eq_str(r.followup, "http://c/register/7", "followup");
	eq_int(r.expiry, 123, "logout");
	eq_int(r.capver, 0, "no version");
	eq_str(r.host.hostname, "", "no hostname");
	ok(r.host.json == NULL && r.host.home_derp == -1, "no host");
	register_request_clear(&r);
	ok(reads_register(&r,
	       "{\"NodeKey\":\"nodekey:" KEY1 "\",\"OldNodeKey\":\"\","
	       "\"Auth\":null,\"Hostinfo\":null,\"Expiry\":null,"
	       "\"Version\":\"142\",\"Ephemeral\":1,\"Followup\":[]}"),
	    "wrong types of what is not needed");
	ok(r.capver == 0 && !r.ephemeral && r.expiry == 0, "count nothing");
	register_request_clear(&r);
}

static void
test_map(void)
{
	struct map_request r;

	ok(reads_map(&r,
	       "{\"Version\":142,\"Compress\":\"zstd\",\"KeepAlive\":true,"
	       "\"NodeKey\":\"nodekey:" KEY1 "\","
	       "\"DiscoKey\":\"discokey:" KEY1 "\",\"Stream\":true,"
	       "\"Hostinfo\":{\"Hostname\":\"r\","
	       "\"NetInfo\":{\"PreferredDERP\":901,\"WorkingUDP\":true}},"
	       "\"Endpoints\":[\"192.0.2.1:41641\",\"[2001:db8::1]:7\"],"
	       "\"EndpointTypes\":[1,2],\"OmitPeers\":true,"
	       "\"DebugFlags\":[\"x\"],\"TKAHead\":\"\"}"),
	    "a stock client's");
	ok(r.stream && r.omit_peers && r.keep_alive && r.compressed, "flags");
	ok(!key_is_zero(&r.disco) && r.capver == 142, "keys, version");
	ok(r.has_host && r.has_endpoints, "what it has");
	eq_int(r.host.home_derp, 901, "home relay");
	eq_str(r.host.json, "{\"Hostname\":\"r\"}", "no NetInfo for peers");
	eq_str(r.endpoints, "[\"192.0.2.1:41641\",\"[2001:db8::1]:7\"]",
	    "endpoints");
	map_request_clear(&r);
	ok(reads_map(&r, "{\"NodeKey\":\"nodekey:" KEY1 "\"}"), "only a key");
	ok(!r.stream && !r.omit_peers && !r.compressed && !r.has_host &&
		!r.has_endpoints && key_is_zero(&r.disco),
	    "nothing else");
	map_request_clear(&r);
	ok(reads_map(&r,
	       "{\"NodeKey\":\"nodekey:" KEY1 "\",\"DiscoKey\":\"\","
	       "\"Compress\":\"gzip\",\"Stream\":\"yes\",\"Endpoints\":{},"
	       "\"Hostinfo\":[],\"KeepAlive\":1}"),
	    "wrong types");
	ok(!r.stream && !r.compressed && !r.has_host && !r.has_endpoints &&
		!r.keep_alive,
	    "count nothing");
	map_request_clear(&r);
}

static void
test_refused(void)
{
	static const char *const bad[] = {"", "{", "[]", "null", "7", "{} x",
	    "{\"NodeKey\":\"\"}", "{\"NodeKey\":7}",
	    "{\"NodeKey\":\"nodekey:\"}", "{\"NodeKey\":\"nodekey:" HEX32 "\"}",
	    "{\"NodeKey\":\"mkey:" KEY1 "\"}", "{\"NodeKey\":\"" KEY1 "\"}",
	    "{\"NodeKey\":\"nodekey:" KEY1 "0\"}",
	    "{\"NodeKey\":\"nodekey:" KEY1 "\",\"OldNodeKey\":\"x\","
	    "\"DiscoKey\":\"x\"}",
	    "{\"NodeKey\":\"nodekey:" KEY1 "\",\"OldNodeKey\":null,"
	    "\"DiscoKey\":null}",
	    "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Hostinfo\":{\"OS\":\"\xff\"}}",
	    "{\"NodeKey\":\"nodekey:" KEY1 "\",\"x\":\"\\u0000\"}",
	    "{\"NodeKey\":\"nodekey:" KEY1 "\",\"x\":\"\\ud800\"}",
	    "{\"x\":\"\\ud8\n\"}"};
	struct register_request r;
	struct map_request m;
	bool one_line = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		ok(!reads_register(&r, bad[i]), "no request to register");
		one_line &= error[0] != '\0' && strchr(error, '\n') == NULL;
		register_request_clear(&r);
		error[0] = '\0';
		ok(!reads_map(&m, bad[i]), "nor to be sent maps");
		one_line &= error[0] != '\0' && strchr(error, '\n') == NULL;
		map_request_clear(&m);
	}
	ok(one_line, "each with a line that says why");
	ok(!reads_register(&r, "{\"NodeKey\":\"nodekey:" KEY0 "\"}"),
	    "a key of zeros is none");
	register_request_clear(&r);
	ok(!register_request_read(&r, stock_register, 200, error),
	    "one that was cut");
	register_request_clear(&r);
}

static void
test_deep(void)
{
	struct text t = TEXT_EMPTY;
	struct map_request m;

	text_str(&t, "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Hostinfo\":");
	for (int i = 0; i < 100000; i++)
		text_str(&t, "{\"a\":[");
	ok(!map_request_read(&m, t.p, t.len, error), "nested without an end");
	map_request_clear(&m);
	text_clear(&t);
}

/* ---- times ---- */

static void
reads_time(const char *text, int64_t want, const char *what)
{
	int64_t got = 77;

	if (ok(wire_time(text, &got), what))
		eq_int(got, want, text);
}

static void
test_times(void)
{
	static const char *const bad[] = {"", "2026", "2026-11-22",
	    "2026-11-22 10:00:00Z", "2026-11-22T10:00:00",
	    "2026-11-22T10:00:00z", "2026-11-22T10:00:00Zx",
	    "2026-13-22T10:00:00Z", "2026-00-22T10:00:00Z",
	    "2026-11-32T10:00:00Z", "2026-11-00T10:00:00Z",
	    "2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z",
	    "2026-11-22T10:00:61Z", "2026-11-22T10:00:00+01",
	    "2026-11-22T10:00:00+0100", "2026-11-22T10:00:00 01:00",
	    "0000-11-22T10:00:00Z", "-001-11-22T10:00:00Z",
	    "2026-+1-22T10:00:00Z", "2026- 1-22T10:00:00Z",
	    "2026-11-22T10:00:00.Z", "2026-11-22T10:00:00+-1:00",
	    "2026-11-22T10:00:00+25:00", "2026-11-22T10:00:00+01:60",
	    "2026-02-30T10:00:00Z"};
	int64_t t;

	reads_time("1970-01-01T00:00:00Z", 0, "the beginning");
	reads_time("1970-01-01T00:02:03Z", 123, "what clients log out with");
	reads_time("0001-01-01T00:00:00Z", 0, "Go's zero");
	reads_time("2026-11-22T21:50:06Z", 1795384206, "a day");
	reads_time("2026-11-22T21:50:06.999999999Z", 1795384206, "a fraction");
	reads_time("2026-11-22T22:50:06+01:00", 1795384206, "east");
	reads_time("2026-11-22T16:20:06-05:30", 1795384206, "west");
	reads_time("2024-02-29T00:00:00Z", 1709164800, "a leap day");
	reads_time("2000-03-01T00:00:00Z", 951868800, "after one");
	reads_time("1969-12-31T23:59:59Z", -1, "before");
	reads_time("9999-12-31T23:59:59Z", 253402300799, "the last");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!wire_time(bad[i], &t), bad[i]);
}

static void
test_bad_expiry(void)
{
	struct register_request r;

	ok(!reads_register(&r,
	       "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Expiry\":\"tomorrow\"}"),
	    "an end that is no time");
	ok(strstr(error, "Expiry") != NULL, "is told by name");
	register_request_clear(&r);
}

/* ---- endpoints ---- */

static void
gives_endpoints(const char *sent, const char *want, const char *what)
{
	struct text t = TEXT_EMPTY;
	struct map_request r;

	text_fmt(
	    &t, "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Endpoints\":%s}", sent);
	if (ok(reads_map(&r, t.p), what))
		eq_str(r.endpoints, want, sent);
	map_request_clear(&r);
	text_clear(&t);
}

static void
test_endpoints(void)
{
	struct text t = TEXT_EMPTY;
	struct map_request r;
	json_t *list;

	gives_endpoints("[]", "[]", "none");
	gives_endpoints("[\"fe80::1:5\",\"[fe80::1]:5\",\"[fe80::1%eth0]:5\","
			"\"[febf::1]:5\",\"[fec0::1]:5\"]",
	    "[\"[fec0::1]:5\"]", "link-local ones");
	gives_endpoints("[\"192.0.2.1\",\"192.0.2.1:\",\"192.0.2.1:0\","
			"\"192.0.2.1:65536\",\"192.0.2.1:+5\","
			"\"192.0.2.1: 5\",\"192.0.2.1:5x\",\"192.0.2.1:-5\","
			"\"192.0.2.1:0x5\",\"192.0.2.1:65535\"]",
	    "[\"192.0.2.1:65535\"]", "ports that are none");
	gives_endpoints("[\"\",\":5\",\"[]:5\",\"host:5\",\"192.0.2:5\","
			"\"192.0.2.01:5\",\"[2001:db8::1:5\",\"x[::1]:5\"]",
	    "[]", "addresses that are none");
	gives_endpoints("[\"[192.0.2.1]:5\",\"2001:db8::1:5\","
			"\"[::ffff:192.0.2.1]:5\",\"[2001:DB8:0::1]:005\"]",
	    "[\"192.0.2.1:5\",\"[2001:db8::1]:5\",\"192.0.2.1:5\","
	    "\"[2001:db8::1]:5\"]",
	    "other spellings");
	gives_endpoints("[7,null,[],\"192.0.2.1:5\",{}]", "[\"192.0.2.1:5\"]",
	    "other types");
	text_str(&t, "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Endpoints\":[");
	for (int i = 0; i < 10000; i++)
		text_fmt(&t, "\"192.0.2.1:%d\",", 1 + i);
	text_str(&t, "0]}");
	ok(reads_map(&r, t.p), "10,000 endpoints");
	list = json_loads(r.endpoints, 0, NULL);
	eq_int((int64_t)json_array_size(list), 64, "the first 64 are kept");
	json_decref(list);
	map_request_clear(&r);
	text_clear(&t);
}

/* ---- hosts ---- */

/* Reads {"Hostinfo":sent}; freed by the caller. */
static struct hostinfo
host_of(const char *sent, const char *what)
{
	struct text t = TEXT_EMPTY;
	struct map_request r;
	struct hostinfo h;

	text_fmt(
	    &t, "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Hostinfo\":%s}", sent);
	ok(reads_map(&r, t.p), what);
	h = r.host;
	r.host = (struct hostinfo){0};
	map_request_clear(&r);
	text_clear(&t);
	return h;
}

static void
gives_host(const char *sent, const char *want, const char *what)
{
	struct hostinfo h = host_of(sent, what);

	eq_str(h.json, want, sent);
	hostinfo_clear(&h);
}

/* One member of a wrong type would cost peers their whole map. */
static void
test_host_types(void)
{
	gives_host("{\"OS\":5,\"Hostname\":[],\"Userspace\":\"yes\","
		   "\"Services\":{},\"sshHostKeys\":\"x\","
		   "\"ShieldsUp\":null}",
	    "{}", "wrong types");
	gives_host("{\"os\":5,\"HOSTNAME\":7,\"sshhostkeys\":1}", "{}",
	    "names in another case, which Go takes for the same");
	gives_host("{\"Future\":{\"a\":1},\"TPM\":3,\"Location\":\"x\","
		   "\"NetInfo\":[],\"BackendLogID\":\"x\"}",
	    "{}", "what is not for peers");
	gives_host("{\"OS\":\"linux\",\"OS\":\"other\"}", "{\"OS\":\"other\"}",
	    "a member twice");
	gives_host("{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":1},"
		   "{\"Proto\":\"tcp\",\"Port\":65536},"
		   "{\"Proto\":\"tcp\",\"Port\":-1},"
		   "{\"Proto\":\"tcp\",\"Port\":1.5},"
		   "{\"Proto\":7,\"Port\":1},{\"Port\":1},7,null,"
		   "{\"Proto\":\"udp\",\"Port\":0,\"Description\":\"x\","
		   "\"More\":1},"
		   "{\"Proto\":\"udp\",\"Port\":2,\"Description\":3}]}",
	    "{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":1},"
	    "{\"Proto\":\"udp\",\"Port\":0,\"Description\":\"x\"},"
	    "{\"Proto\":\"udp\",\"Port\":2}]}",
	    "services");
	gives_host("{\"sshHostKeys\":[\"ssh-ed25519 A\",7,null,\"b\"]}",
	    "{\"sshHostKeys\":[\"ssh-ed25519 A\",\"b\"]}", "host keys");
	gives_host("{\"OS\":\"a\\\"\\\\\\n\\u00e9\"}",
	    "{\"OS\":\"a\\\"\\\\\\n\xc3\xa9\"}", "odd characters");
}

static void
test_host_sizes(void)
{
	struct text t = TEXT_EMPTY;
	struct hostinfo h;

	text_str(&t, "{\"OS\":\"");
	for (int i = 0; i < 200000; i++)
		text_char(&t, 'x');
	text_str(&t, "\",\"sshHostKeys\":[");
	for (int i = 0; i < 10000; i++)
		text_str(&t, "\"key\",");
	text_str(&t, "7],\"Services\":[");
	for (int i = 0; i < 10000; i++)
		text_str(&t, "{\"Proto\":\"tcp\",\"Port\":7},");
	text_str(&t, "7]}");
	h = host_of(t.p, "a host that has much to say");
	ok(strlen(h.json) < 4000, "peers get little of it");
	hostinfo_clear(&h);
	text_clear(&t);
}

static void
test_hostnames(void)
{
	struct text t = TEXT_EMPTY;
	struct hostinfo h;

	for (size_t shift = 0; shift < 4; shift++) {
		text_reset(&t);
		text_str(&t, "{\"Hostname\":\"");
		for (size_t i = 0; i < shift; i++)
			text_char(&t, 'x');
		for (int i = 0; i < 200; i++)
			text_str(&t, "\xf0\x9f\xa4\x96");
		text_str(&t, "\"}");
		h = host_of(t.p, "a long hostname of four-byte characters");
		eq_int((int64_t)strlen(h.hostname),
		    (int64_t)(shift + (HOSTNAME_MAX - shift) / 4 * 4),
		    "is cut between two");
		hostinfo_clear(&h);
	}
	text_clear(&t);
	h = host_of("{\"Hostname\":7}", "a hostname that is none");
	eq_str(h.hostname, "", "is none");
	hostinfo_clear(&h);
}

static void
test_routes(void)
{
	struct text t = TEXT_EMPTY;
	struct hostinfo h;
	bool sorted = true;

	text_str(&t, "{\"RoutableIPs\":[");
	for (int i = 999; i >= 0; i--)
		text_fmt(&t, "\"10.%d.%d.0/24\",", i / 256, i % 256);
	text_str(&t,
	    "\"10.0.0.0/24\",\"::/0\",\"0.0.0.0/0\",\"10.0.0.1/24\","
	    "\"10.0.0.0/33\",\"x\",7,null]}");
	h = host_of(t.p, "1,000 routes and more");
	eq_int((int64_t)h.nroutes, 1002, "each once, no others");
	for (size_t i = 1; i < h.nroutes; i++)
		sorted &= ip_compare(&h.routes[i - 1].ip, &h.routes[i].ip) <= 0;
	ok(sorted, "sorted");
	hostinfo_clear(&h);
	text_reset(&t);
	text_str(&t, "{\"RoutableIPs\":[");
	for (int i = 0; i < 10000; i++)
		text_fmt(&t, "\"10.%d.%d.0/24\",", i / 256, i % 256);
	text_str(&t, "7]}");
	h = host_of(t.p, "10,000 routes");
	eq_int((int64_t)h.nroutes, NODE_ROUTES_MAX, "the first are kept");
	hostinfo_clear(&h);
	text_clear(&t);
	h = host_of("{\"RoutableIPs\":\"10.0.0.0/8\",\"RequestTags\":\"t\"}",
	    "no lists");
	ok(h.nroutes == 0 && h.nrequest_tags == 0, "are nothing");
	hostinfo_clear(&h);
}

static void
test_tags(void)
{
	struct text t = TEXT_EMPTY;
	struct hostinfo h;

	h = host_of("{\"RequestTags\":[\"tag:a\",7,null,\"tag:b\"]}", "tags");
	eq_int((int64_t)h.nrequest_tags, 2, "of the right type");
	hostinfo_clear(&h);
	text_str(&t, "{\"RequestTags\":[");
	for (int i = 0; i < 1000; i++)
		text_fmt(&t, "\"tag:a%d\",", i);
	text_str(&t, "7]}");
	h = host_of(t.p, "1,000 tags");
	eq_int((int64_t)h.nrequest_tags, NODE_TAGS_MAX, "the first are kept");
	hostinfo_clear(&h);
	text_clear(&t);
}

static void
test_relays(void)
{
	static const struct {
		const char *sent;
		int home;
	} cases[] = {{"901", 901}, {"1", 1}, {"65535", 65535}, {"0", -1},
	    {"-1", -1}, {"65536", -1}, {"4294967297", -1}, {"1.0", -1},
	    {"\"901\"", -1}, {"null", -1}, {"9223372036854775807", -1}};
	struct text t = TEXT_EMPTY;
	struct hostinfo h;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_reset(&t);
		text_fmt(
		    &t, "{\"NetInfo\":{\"PreferredDERP\":%s}}", cases[i].sent);
		h = host_of(t.p, "home relay");
		eq_int(h.home_derp, cases[i].home, cases[i].sent);
		hostinfo_clear(&h);
	}
	text_clear(&t);
}

/* More than there is room for is cut, and is no other key by that. */
static void
test_long_texts(void)
{
	struct register_request r;
	struct text t = TEXT_EMPTY;

	text_str(&t,
	    "{\"NodeKey\":\"nodekey:" KEY1 "\",\"Auth\":"
	    "{\"AuthKey\":\"");
	for (int i = 0; i < 5000; i++)
		text_char(&t, 'k');
	text_str(&t, "\"},\"Followup\":\"");
	for (int i = 0; i < 5000; i++)
		text_char(&t, 'f');
	text_str(&t, "\"}");
	ok(reads_register(&r, t.p), "long texts");
	eq_int((int64_t)strlen(r.auth_key), sizeof(r.auth_key) - 1, "are cut");
	eq_int((int64_t)strlen(r.followup), sizeof(r.followup) - 1, "both");
	register_request_clear(&r);
	text_clear(&t);
}

int
main(void)
{
	test_register();
	test_register_rest();
	test_map();
	test_refused();
	test_deep();
	test_times();
	test_bad_expiry();
	test_endpoints();
	test_host_types();
	test_host_sizes();
	test_hostnames();
	test_routes();
	test_tags();
	test_relays();
	test_long_texts();
	return tap_done();
}
