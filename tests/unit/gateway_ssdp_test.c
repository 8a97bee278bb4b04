/* gateway_ssdp: what UPnP devices say of themselves, and what is not followed. */
#include <stdlib.h>

#include "probes/natprobe/gateway/ssdp.h"
#include "tests/tap.h"

#define ST "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"

/* In memory of its own, so that reading beyond it shows. */
static bool
parse(struct ssdp_answer *a, const char *text)
{
	size_t n = strlen(text);
	char *copy = malloc(n + 1);
	bool good;

	memcpy(copy, text, n);
	good = ssdp_parse(a, copy, n);
	free(copy);
	return good;
}

static void
test_answers(void)
{
	struct ssdp_answer a;
	char text[1000], url[400];

	ok(parse(&a,
	       "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n" ST
	       "server:  Linux \x1b[31m UPnP/1.1 \r\n"
	       "Location: http://192.0.2.1:5000/d.xml\r\n\r\n"),
	    "a gateway");
	eq_str(a.location, "http://192.0.2.1:5000/d.xml", "its description");
	eq_str(a.server, "Linux ?[31m UPnP/1.1", "its name, fit to print");
	ok(parse(&a, "HTTP/1.0 200 OK\n" ST "LOCATION:http://h/\n\n"),
	    "with other ends of line");
	ok(!parse(&a,
	       "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:"
	       "MediaRenderer:1\r\nLOCATION: http://h/\r\n\r\n"),
	    "a television set is none");
	ok(!parse(&a, "HTTP/1.1 200 OK\r\n" ST "\r\n"), "none without a URL");
	ok(!parse(&a, "HTTP/1.1 404 No\r\n" ST "LOCATION: http://h/\r\n\r\n"),
	    "nor an error");
	ok(!parse(&a, "NOTIFY * HTTP/1.1\r\n" ST "LOCATION: x\r\n\r\n"),
	    "nor a request");
	ok(!parse(&a, "") && !parse(&a, "HTTP/1.1 200"), "nor half of one");
	memset(url, 'u', sizeof(url));
	url[sizeof(url) - 1] = '\0';
	snprintf(text, sizeof(text),
	    "HTTP/1.1 200 OK\r\n" ST "LOCATION: %s\r\n", url);
	ok(!parse(&a, text), "nor one whose URL is too long");
}

static void
test_search(void)
{
	char out[SSDP_REQUEST_MAX];
	size_t n = ssdp_search(out, 2);

	eq_str(out,
	    "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
	    "MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: urn:schemas-upnp-org:"
	    "device:InternetGatewayDevice:2\r\n\r\n",
	    "the question");
	eq_int(n, strlen(out), "its length");
}

static void
test_urls(void)
{
	static const char *const bad[] = {"http://192.0.2.11:5000/d.xml",
	    "http://192.0.2.1.evil.example/d.xml", "https://192.0.2.1/",
	    "http://192.0.2.1@evil.example/", "http://192.0.2.1:0/",
	    "http://192.0.2.1:65536/", "http://192.0.2.1:5000@evil/",
	    "http://192.0.2.1: 80/", "http://192.0.2.1:+80/",
	    "http://192.0.2.1/a b", "http://192.0.2.1/\r\nX: y", "", "http://",
	    "192.0.2.1/", "http://localhost/"};
	size_t refused = 0;

	ok(ssdp_url_is_at("http://192.0.2.1:5000/d.xml", "192.0.2.1"),
	    "its own URL");
	ok(ssdp_url_is_at("http://192.0.2.1/", "192.0.2.1") &&
		ssdp_url_is_at("http://192.0.2.1", "192.0.2.1"),
	    "without a port");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!ssdp_url_is_at(bad[i], "192.0.2.1"))
			refused++;
		else
			printf("# followed: %s\n", bad[i]);
	eq_int(refused, sizeof(bad) / sizeof(bad[0]), "no other host's");
	ok(!ssdp_url_is_at("http:///", ""), "nor that of none");
}

static void
xml(const char *text, const char *want, const char *what)
{
	char out[12];

	ssdp_xml_text(text, strlen(text), "modelName", out, sizeof(out));
	eq_str(out, want, what);
}

static void
test_xml(void)
{
	xml("<r><modelName> Box 7 </modelName></r>", "Box 7", "a model");
	xml("<modelName>a long name of a model</modelName>", "a long name",
	    "cut");
	xml("<modelName>\x01\xff</modelName>", "??", "made printable");
	xml("<modelName>no end", "", "without an end");
	xml("<modelname>x</modelname>", "", "another element");
	xml("", "", "nothing");
}

int
main(void)
{
	test_answers();
	test_search();
	test_urls();
	test_xml();
	return tap_done();
}
