/*
 * ssdp: the question for a UPnP router on the local network, its answers, and
 * what may be believed of the addresses in them. PURE. The rest of UPnP is
 * libminiupnpc's (igd.c).
 */
#ifndef NATPROBE_GATEWAY_SSDP_H
#define NATPROBE_GATEWAY_SSDP_H

#include <stdbool.h>
#include <stddef.h>

#define SSDP_PORT	 1900
#define SSDP_GROUP	 "239.255.255.250"
#define SSDP_REQUEST_MAX 256
#define SSDP_URL_MAX	 256
#define SSDP_NAME_MAX	 80
#define SSDP_DEVICES	 2 /* versions of InternetGatewayDevice to ask for */

struct ssdp_answer {
	char location[SSDP_URL_MAX];
	char server[SSDP_NAME_MAX]; /* "" if it does not say */
};

/* M-SEARCH for InternetGatewayDevice:version (1 or 2); its length. */
size_t ssdp_search(char out[static SSDP_REQUEST_MAX], unsigned version);

/* False if this is no answer of a gateway, or has no LOCATION that fits. */
bool ssdp_parse(struct ssdp_answer *a, const void *bytes, size_t n);

/*
 * True for http://HOST[:PORT][/...] with exactly that host, an address. A
 * device speaks for itself alone: whoever names another host would have this
 * one send requests there.
 */
bool ssdp_url_is_at(const char *url, const char *host);

/* The text of the first element of that name in XML, cut to cap - 1 bytes and
 * made printable; "" if there is none. */
void ssdp_xml_text(
    const char *xml, size_t n, const char *name, char *out, size_t cap);

#endif
