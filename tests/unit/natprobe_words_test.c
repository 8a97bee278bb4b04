/* natprobe_words_test: results as people read them: lines that are not too
 * wide, the verdict first, and nothing said twelve times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/words.h"
#include "tests/tap.h"

static const char *
broken(unsigned indent, const char *text)
{
	static char all[1024];
	struct text t = TEXT_EMPTY;

	words_broken(&t, indent, text);
	snprintf(all, sizeof(all), "%s", t.p == NULL ? "" : t.p);
	text_clear(&t);
	return all;
}

/* Lent until the next call. */
static const char *
words_of(const char *json)
{
	static char *all;
	static size_t n;
	json_t *result = json_loads(json, 0, NULL);
	FILE *out;

	free(all);
	all = NULL;
	out = open_memstream(&all, &n);
	if (result == NULL || out == NULL)
		abort();
	words_print(result, out);
	fclose(out);
	json_decref(result);
	return all;
}

static void
has_line(const char *json, const char *line, const char *what)
{
	const char *all = words_of(json);
	const char *at = strstr(all, line);

	if (!ok(at != NULL && (at == all || at[-1] == '\n'), what))
		printf("# want %s# got %s\n", line, all);
}

static void
test_broken(void)
{
	char word[200];

	eq_str(broken(2, "short"), "short\n", "a short line stays");
	eq_str(broken(4,
		   "0123456789 0123456789 0123456789 0123456789 0123456789 "
		   "0123456789 0123456789 0123456789 0123456789 0123456789"),
	    "0123456789 0123456789 0123456789 0123456789 0123456789 "
	    "0123456789 0123456789 0123456789 0123456789\n    0123456789\n",
	    "a long one is broken between words");
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	ok(strlen(broken(4, word)) == sizeof(word),
	    "what has no place to break stays");
	word[150] = ' ';
	ok(strchr(broken(4, word), '\n') - broken(4, word) == 150,
	    "or is broken at the first");
	eq_str(broken(4, ""), "\n", "an empty one");
}

static void
test_meaning(void)
{
	static const struct meaning all[] = {{"a", "first"}, {"b", "second"}};

	eq_str(MEANING(all, "b"), "second", "a word's meaning");
	eq_str(MEANING(all, "new"), "new", "a word of a later version");
}

#define WAY(hops)                                                              \
	"{\"ipv4\": {\"udp\": \"yes\", \"mapping\": {\"verdict\": \"none\"}, " \
	"\"filtering\": {\"verdict\": \"none\"}, "                             \
	"\"path\": {\"hops\": [" hops "], \"icmp_errors\": {\"come\": "        \
	"\"yes\"}}}}"
#define LOOP   "{\"says\": \"unreachable\", \"address\": \"127.0.0.1\"}"
#define SILENT "{\"says\": \"nothing\", \"address\": null}"
#define ROUTER "{\"says\": \"time-exceeded\", \"address\": \"10.0.2.2\"}"
#define SERVER "{\"says\": \"arrived\", \"address\": null}"

static void
test_way(void)
{
	has_line(WAY(LOOP "," LOOP "," LOOP "," LOOP),
	    "  way                127.0.0.1 (says: unreachable) 4 times, then "
	    "nothing\n",
	    "the same again and again is said once");
	has_line(WAY(ROUTER "," SILENT "," SILENT "," SERVER),
	    "  way                10.0.2.2, 2 silent, the server\n",
	    "silent routers are counted");
	has_line(WAY(ROUTER "," LOOP "," ROUTER),
	    "  way                10.0.2.2, 127.0.0.1 (says: unreachable), "
	    "10.0.2.2, then nothing\n",
	    "a way that goes back is told as it is");
	has_line(WAY(SERVER), "  way                straight to the server\n",
	    "no router");
	has_line(WAY(""), "  way                nothing on it says anything\n",
	    "nothing at all");
}

#define FAMILY(mapping, filtering, more)                                      \
	"{\"ipv4\": {\"udp\": \"yes\", \"mapping\": {\"verdict\": \"" mapping \
	"\", \"why\": \"one-server-address\"}, \"filtering\": {\"verdict\": " \
	"\"" filtering "\"}" more "}}"

/* The first line of a family. */
static void
test_verdict_first(void)
{
	static const struct {
		const char *json, *line, *what;
	} all[] = {
	    {FAMILY("endpoint-independent", "address-dependent", ""),
		"direct way         to every host whose own network lets UDP "
		"out\n",
		"an easy NAT"},
	    {FAMILY("endpoint-independent", "address-and-port-dependent", ""),
		"direct way         to all hosts but those whose NAT maps by "
		"destination and filters by port\n",
		"a home NAT"},
	    {FAMILY("address-dependent", "address-and-port-dependent", ""),
		"direct way         only to hosts whose NAT filters by "
		"address, or not at all\n",
		"a strict NAT"},
	    {FAMILY("address-dependent", "address-and-port-dependent",
		 ", \"gateway\": {\"mapping_works\": \"yes\"}"),
		"direct way         to every host whose own network lets UDP "
		"out, by a port that the router opens\n",
		"a strict NAT that opens ports"},
	    {FAMILY("none", "unknown", ""),
		"direct way         to all hosts but those whose NAT maps by "
		"destination and filters by port; maybe\n"
		"                     to more: the filter is not known\n",
		"no NAT, by a server with one address"},
	    {FAMILY("unknown", "unknown", ""),
		"direct way         not known: all servers have one address; "
		"a server with a second one, or another\n"
		"                     server, can tell\n",
		"nothing known"},
	    {"{\"ipv4\": {\"udp\": \"no\", \"udp_blocked\": {\"verdict\": "
	     "\"blocked\", \"why\": \"stun-over-tcp-answers\"}}}",
		"UDP blocked        TCP passes, so relays help; ask for "
		"UDP to be let out (STUN over TCP works)\n",
		"UDP blocked"},
	    {"{\"ipv4\": {\"udp\": \"no\"}}",
		"UDP                blocked: no server answers; only a relay "
		"over TCP can help\n",
		"UDP blocked, and no look at the path"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *words = words_of(all[i].json);
		const char *at = strstr(words, all[i].line);

		if (!ok(at == words + strlen("IPv4\n  "), all[i].what))
			printf("# got %s\n", words);
	}
}

static void
test_router(void)
{
	has_line(FAMILY("none", "none",
		     ", \"gateway\": {\"address\": \"10.0.2.2\", \"upnp\": "
		     "{\"answers\": \"yes\", \"is_the_router\": true, "
		     "\"maker\": \"Debian\", \"model\": \"Debian router\"}}"),
	    "  router             10.0.2.2 opens ports on demand by UPnP "
	    "(Debian router)\n",
	    "a maker that the model names is not said twice");
}

int
main(void)
{
	test_broken();
	test_meaning();
	test_way();
	test_verdict_first();
	test_router();
	return tap_done();
}
