/* relays: the relay map of a file and of URLs, and the DNS settings. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "coordd/relays.h"
#include "tests/tap.h"

#define PIN           \
	"sha256-raw:" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define NO_PIN        \
	"sha256-raw:" \
	"g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char error[COORDD_ERROR_MAX];
static char none[] = "", domain[] = "t.example";
static struct coordd_conf conf;
static char *list[300];

static void
begin(void)
{
	conf = (struct coordd_conf){
	    .derp_map = none, .domain = domain, .magic_dns = true};
	error[0] = '\0';
}

static struct conf_strings
one(const char *text)
{
	list[0] = (char *)(uintptr_t)text;
	return (struct conf_strings){list, 1};
}

static bool
one_line(const char *word)
{
	return strstr(error, word) != NULL && strchr(error, '\n') == NULL;
}

/* ---- URLs ---- */

static void
gives(const char *url, const char *node, const char *what)
{
	json_t *map, *want = json_loads(node, 0, NULL), *got;
	char *text, *shown;

	begin();
	conf.relay_text = one(url);
	text = relays_map(&conf, error);
	if (!ok(text != NULL, what)) {
		printf("# %s\n", error);
		json_decref(want);
		return;
	}
	map = json_loads(text, 0, NULL);
	got = json_array_get(
	    json_object_get(
		json_object_get(json_object_get(map, "Regions"), "900"),
		"Nodes"),
	    0);
	shown = json_dumps(got, JSON_COMPACT);
	if (!ok(json_equal(got, want), url))
		printf("# got %s\n", shown);
	free(shown);
	free(text);
	json_decref(map);
	json_decref(want);
}

static void
test_urls(void)
{
	gives("https://192.0.2.1",
	    "{\"Name\":\"900a\",\"RegionID\":900,\"HostName\":\"192.0.2.1\","
	    "\"DERPPort\":443,\"STUNPort\":3478,\"IPv4\":\"192.0.2.1\"}",
	    "an address");
	gives("https://[2001:db8::1]:8443/?pin=" PIN "&stun=3479&name=lab",
	    "{\"Name\":\"900a\",\"RegionID\":900,"
	    "\"HostName\":\"2001:db8::1\",\"DERPPort\":8443,"
	    "\"STUNPort\":3479,\"IPv6\":\"2001:db8::1\","
	    "\"CertName\":\"" PIN "\"}",
	    "everything");
	gives("https://relay.example:444?http=80",
	    "{\"Name\":\"900a\",\"RegionID\":900,"
	    "\"HostName\":\"relay.example\",\"DERPPort\":444,"
	    "\"STUNPort\":3478,\"CanPort80\":true}",
	    "a relay that speaks plain HTTP, too");
	gives("https://relay.example?stun=1",
	    "{\"Name\":\"900a\",\"RegionID\":900,"
	    "\"HostName\":\"relay.example\",\"DERPPort\":443,"
	    "\"STUNPort\":1}",
	    "a name");
}

static void
test_bad_urls(void)
{
	static const char *const bad[] = {"", "relay", "http://relay",
	    "https://", "https:///", "https://:443",
	    "https://relay:", "https://relay:0", "https://relay:65536",
	    "https://relay:x", "https://relay:+443", "https://relay: 443",
	    "https://relay/path", "https://relay?",
	    "https://relay?pin=", "https://relay?pin=sha256",
	    "https://relay?pin=sha256-raw:00", ("https://relay?pin=" PIN "0"),
	    ("https://relay?pin=" NO_PIN),
	    "https://relay?stun=", "https://relay?stun=-1",
	    "https://relay?other=1", "https://relay?name=a&",
	    "https://[2001:db8::1", "https://[]:1", "https://\xff",
	    "https://relay?name=\xff", "https://re lay", "https://a@b",
	    "https://a\"b"};
	char *map;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		conf.relay_text = one(bad[i]);
		map = relays_map(&conf, error);
		if (!ok(map == NULL && one_line("relay: "), "no relay's URL"))
			printf("# %s gives %s; %s\n", bad[i],
			    map == NULL ? "none" : map, error);
		free(map);
	}
}

static void
test_many(void)
{
	char *map;

	begin();
	for (size_t i = 0; i < 101; i++)
		list[i] = (char *)(uintptr_t) "https://192.0.2.1";
	conf.relay_text = (struct conf_strings){list, 100};
	map = relays_map(&conf, error);
	ok(map != NULL, "100 relays");
	eq_int((int64_t)relays_count(map), 100, "have a region each");
	free(map);
	conf.relay_text.n = 101;
	ok(relays_map(&conf, error) == NULL && one_line("at most 100"),
	    "101 are too many");
	conf.relay_text.n = 0;
	map = relays_map(&conf, error);
	eq_str(map, "{\"Regions\":{}}", "none");
	eq_int((int64_t)relays_count(map), 0, "are none");
	free(map);
}

/* ---- files ---- */

static char path[] = "/tmp/relays_test.XXXXXX";

static char *
map_of(const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		abort();
	close(fd);
	begin();
	conf.derp_map = path;
	return relays_map(&conf, error);
}

static void
test_files(void)
{
	static const char good[] =
	    "{\"Regions\":{\"900\":{\"RegionID\":900,\"RegionCode\":\"x\","
	    "\"Nodes\":[{\"Name\":\"900a\",\"RegionID\":900,"
	    "\"HostName\":\"relay.example\",\"New\":{\"a\":1}}]}}}";
	char *map = map_of(good);
	json_t *got;

	ok(map != NULL, "a map");
	eq_str(map, good, "as it is");
	free(map);
	map = map_of(good);
	free(map);
	conf.relay_text = one("https://192.0.2.1");
	map = relays_map(&conf, error);
	got = json_loads(map, 0, NULL);
	ok(json_object_get(json_object_get(got, "Regions"), "901") != NULL,
	    "a URL beside it gets the next number");
	json_decref(got);
	free(map);
}

static void
test_bad_files(void)
{
	static const char *const bad[] = {"", "{", "[]", "7", "{}",
	    "{\"Regions\":[]}", "{\"Regions\":null}",
	    "{\"Regions\":{\"900\":null}}", "{\"Regions\":{\"900\":{}}}",
	    "{\"Regions\":{\"900\":{\"RegionID\":901,\"Nodes\":[]}}}",
	    "{\"Regions\":{\"x\":{\"RegionID\":0,\"Nodes\":[]}}}",
	    "{\"Regions\":{\"900x\":{\"RegionID\":900,\"Nodes\":[]}}}",
	    "{\"Regions\":{\" 900\":{\"RegionID\":900,\"Nodes\":[]}}}",
	    "{\"Regions\":{\"900\":{\"RegionID\":\"900\",\"Nodes\":[]}}}",
	    "{\"Regions\":{\"900\":{\"RegionID\":900}}}",
	    "{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":{}}}}",
	    "{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":[null]}}}",
	    "{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":[{}]}}}",
	    ("{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":"
	     "[{\"HostName\":7}]}}}"),
	    ("{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":"
	     "[{\"HostName\":\"h\",\"DERPPort\":\"443\"}]}}}"),
	    ("{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":"
	     "[{\"HostName\":\"h\",\"derpport\":65536}]}}}"),
	    ("{\"Regions\":{\"900\":{\"RegionID\":900,\"RegionCode\":1,"
	     "\"Nodes\":[]}}}"),
	    "{\"Regions\":{},\"Regions\":{}}",
	    "{\"Regions\":{},\"omitDefaultRegions\":1}"};
	char *map;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		map = map_of(bad[i]);
		if (!ok(map == NULL && one_line(path), "no relay map"))
			printf("# %s gives %s; %s\n", bad[i],
			    map == NULL ? "none" : map, error);
		free(map);
	}
	begin();
	conf.derp_map = (char *)(uintptr_t) "/nonexistent/map";
	ok(relays_map(&conf, error) == NULL &&
		one_line("No such file or directory"),
	    "no file");
}

static void
test_large_file(void)
{
	struct text t = TEXT_EMPTY;
	char *map;

	text_str(&t, "{\"Regions\":{}}");
	for (int i = 0; i < 300000; i++)
		text_char(&t, ' ');
	map = map_of(t.p);
	ok(map == NULL && one_line(path), "a file that is too large");
	free(map);
	text_clear(&t);
}

/* ---- DNS ---- */

static void
gives_dns(const char *want, const char *what)
{
	char *dns = relays_dns(&conf, error);

	if (dns == NULL)
		printf("# %s\n", error);
	eq_str(dns, want, what);
	free(dns);
}

static void
test_dns(void)
{
	static char *search[] = {domain};
	static char *resolvers[] = {(char *)(uintptr_t) "192.0.2.53",
	    (char *)(uintptr_t) "[2001:db8::53]:5353"};
	static char *split[] = {(char *)(uintptr_t) "lab.example=192.0.2.1",
	    (char *)(uintptr_t) "b.example=192.0.2.2",
	    (char *)(uintptr_t) "lab.example=192.0.2.3:5353"};
	static char *records[] = {(char *)(uintptr_t) "camera.lab=192.0.2.7",
	    (char *)(uintptr_t) "camera.lab=2001:db8::7"};

	begin();
	gives_dns("{\"Proxied\":true,\"Domains\":[\"t.example\"],"
		  "\"Resolvers\":[],\"Routes\":{},\"ExtraRecords\":[]}",
	    "nothing but names of nodes");
	conf.magic_dns = false;
	conf.dns_search = (struct conf_strings){search, 1};
	conf.dns_text = (struct conf_strings){resolvers, 2};
	conf.dns_split_text = (struct conf_strings){split, 3};
	conf.dns_record_text = (struct conf_strings){records, 2};
	gives_dns("{\"Proxied\":false,\"Domains\":[\"t.example\","
		  "\"t.example\"],\"Resolvers\":[{\"Addr\":\"192.0.2.53\"},"
		  "{\"Addr\":\"[2001:db8::53]:5353\"}],\"Routes\":{"
		  "\"lab.example\":[{\"Addr\":\"192.0.2.1\"},"
		  "{\"Addr\":\"192.0.2.3:5353\"}],"
		  "\"b.example\":[{\"Addr\":\"192.0.2.2\"}]},"
		  "\"ExtraRecords\":[{\"Name\":\"camera.lab\","
		  "\"Type\":\"A\",\"Value\":\"192.0.2.7\"},"
		  "{\"Name\":\"camera.lab\",\"Type\":\"AAAA\","
		  "\"Value\":\"2001:db8::7\"}]}",
	    "everything");
}

static void
refuses_dns(struct conf_strings *option, const char *value, const char *word)
{
	char *dns;

	*option = one(value);
	error[0] = '\0';
	dns = relays_dns(&conf, error);
	if (!ok(dns == NULL && one_line(word), word))
		printf("# %s gives %s; %s\n", value, dns == NULL ? "none" : dns,
		    error);
	free(dns);
	*option = (struct conf_strings){0};
}

static void
test_bad_dns(void)
{
	char long_split[300];
	static const char *const bad_ip[] = {"", "x", "192.0.2", "0.0.0.0",
	    "::", "localhost", "192.0.2.1:0", "192.0.2.1:", ":53",
	    "192.0.2.1:65536", "2001:db8::1:99999", "\xff", "192.0.2.1 "};
	static const char *const bad_split[] = {"", "=", "lab.example",
	    "lab.example=", "=192.0.2.1", "lab.example=x", "\xff=192.0.2.1",
	    "a b=192.0.2.1", "a..b=192.0.2.1", ".a=192.0.2.1"};
	static const char *const bad_record[] = {"", "=", "camera",
	    "camera=", "=192.0.2.1", "camera=x", "camera=192.0.2.1:5",
	    "\xff=192.0.2.1"};

	memset(long_split, 'a', sizeof(long_split));
	memcpy(long_split + 254, "=192.0.2.1", sizeof("=192.0.2.1"));
	begin();
	for (size_t i = 0; i < sizeof(bad_ip) / sizeof(bad_ip[0]); i++)
		refuses_dns(&conf.dns_text, bad_ip[i], "dns-resolver: ");
	for (size_t i = 0; i < sizeof(bad_split) / sizeof(bad_split[0]); i++)
		refuses_dns(&conf.dns_split_text, bad_split[i], "dns-split: ");
	for (size_t i = 0; i < sizeof(bad_record) / sizeof(bad_record[0]); i++)
		refuses_dns(
		    &conf.dns_record_text, bad_record[i], "dns-record: ");
	refuses_dns(&conf.dns_split_text, long_split, "dns-split: ");
}

int
main(void)
{
	int fd = mkstemp(path);

	if (fd == -1)
		abort();
	close(fd);
	test_urls();
	test_bad_urls();
	test_many();
	test_files();
	test_bad_files();
	test_large_file();
	test_dns();
	test_bad_dns();
	unlink(path);
	return tap_done();
}
