/* conf: natprobe's options. Opens nothing but the -config FILE. */
#include <stdio.h>

#include <stdio.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"

#define AT(field) offsetof(struct natprobe_conf, field)
#define SECOND_US INT64_C(1000000)

/* clang-format off */
static const struct conf_option table[] = {
	{"stun", CONF_STRINGS, AT(stun), NULL, 0, 0, NULL,
	    "HOST[:PORT]: a STUN server; may be given repeatedly, the more "
	    "addresses the better"},
	{"map", CONF_STRING, AT(map), "", 0, 0, NULL,
	    "FILE: a relay map (DERP map, JSON); its STUN servers "
	    "are asked and its relays measured"},
	{"tailscaled", CONF_STRING, AT(tailscaled),
	    "/var/run/tailscale/tailscaled.sock", 0, 0, NULL,
	    "SOCKET: of the tailscaled whose relay map is taken if no server "
	    "is named"},
	{"relay", CONF_STRINGS, AT(relay), NULL, 0, 0, NULL,
	    "URL: a relay, https://HOST[:PORT][?pin=sha256-raw:HEX]; may be "
	    "given repeatedly"},
	{"relays", CONF_BOOL, AT(relays), "true", 0, 0, NULL,
	    "measure the relays of -map"},
	{"listen", CONF_BOOL, AT(listen), "false", 0, 0, NULL,
	    "pair mode: print a KEY, wait at the relay for another place, "
	    "and find a direct way there"},
	{"peer", CONF_STRING, AT(peer), "", 0, 0, NULL,
	    "KEY: pair mode: find a direct way to where -listen printed it"},
	{"wait", CONF_DURATION, AT(wait_us), "10m", SECOND_US,
	    86400 * SECOND_US, NULL,
	    "TIME: -listen waits so long for the other place"},
	{"building", CONF_STRING, AT(building), "", 0, 0, NULL,
	    "NAME: where this is; goes into the result"},
	{"json", CONF_STRING, AT(json), "", 0, 0, NULL,
	    "FILE: write the result there, as JSON; - for standard output"},
	{"capture", CONF_STRING, AT(capture), "", 0, 0, NULL,
	    "FILE: write the run's packets there, as pcapng; needs CAP_NET_RAW "
	    "to begin with"},
	{"replay", CONF_STRING, AT(replay), "", 0, 0, NULL,
	    "FILE: send nothing; say what a run said, from its capture"},
	{"no-local", CONF_BOOL, AT(no_local), "false", 0, 0, NULL,
	    "leave this host's own addresses out of the result"},
	{"rfc4787", CONF_BOOL, AT(rfc4787), "false", 0, 0, NULL,
	    "say which requirements of RFC 4787 are met"},
	{"quiet", CONF_BOOL, AT(quiet), "false", 0, 0, NULL,
	    "no text for people"},
	{"lifetime", CONF_BOOL, AT(lifetime), "false", 0, 0, NULL,
	    "measure how long mappings live; takes about that time"},
	{"ttl-max", CONF_DURATION, AT(ttl_max_us), "200s", 4 * SECOND_US,
	    600 * SECOND_US, NULL, "TIME: the longest lifetime to look for"},
	{"ttl-resolution", CONF_DURATION, AT(ttl_resolution_us), "2s",
	    SECOND_US, 60 * SECOND_US, NULL,
	    "TIME: how exactly, from 20 to 40 s; below twice that, above 5 %"},
	{"refresh", CONF_BOOL, AT(refresh), "false", 0, 0, NULL,
	    "with -lifetime: find out which direction refreshes; takes 2.4 "
	    "lifetimes more"},
	{"tcp", CONF_BOOL, AT(tcp), "true", 0, 0, NULL,
	    "ask over TCP, too: mapping; in pair mode: who is let in, and can "
	    "both places open"},
	{"tcp-lifetime", CONF_BOOL, AT(tcp_lifetime), "false", 0, 0, NULL,
	    "measure how long idle TCP connections live, with -ttl-max and "
	    "-ttl-resolution; with -refresh, whether keepalives help"},
	{"hairpin", CONF_BOOL, AT(hairpin), "false", 0, 0, NULL,
	    "send packets to this NAT's own outside; some firewalls take "
	    "that for an attack"},
	{"gateway", CONF_BOOL, AT(gateway), "true", 0, 0, NULL,
	    "ask this network's router what it can do, by PCP, NAT-PMP and "
	    "UPnP; changes nothing"},
	{"portmap", CONF_BOOL, AT(portmap), "false", 0, 0, NULL,
	    "have it open a port by each of these, see whether that works, "
	    "and have it removed"},
	{"trace", CONF_BOOL, AT(trace), "true", 0, 0, NULL,
	    "look for the routers and NATs on the way to the server"},
	{"second-address", CONF_STRING, AT(second_address), "", 0, 0, NULL,
	    "IP: another address of this host, to see two hosts with one "
	    "source port"},
	{"path", CONF_BOOL, AT(path), "true", 0, 0, NULL,
	    "path MTU, fragments, ports, and the proxy of the environment"},
	{"ports", CONF_STRING, AT(ports), "", 0, 0, NULL,
	    "LIST: which ports to try, such as udp:41641,tcp:443; none"},
	{"dns", CONF_BOOL, AT(dns), "true", 0, 0, NULL,
	    "see whether this host's resolver tells the truth"},
	{"family", CONF_CHOICE, AT(family), "both", 0, 0, "both|4|6",
	    "WHICH: IPv4, IPv6 or both"},
	{"rate", CONF_INT, AT(rate), "500", 1, 1000, NULL,
	    "N: send at most N packets per second, all in all"},
	{"max-time", CONF_DURATION, AT(max_time_us), "0s", 0,
	    24 * 3600 * SECOND_US, NULL,
	    "TIME: end then, whatever is known; 0s: when all must be over, "
	    "which -n tells"},
	{"n", CONF_BOOL, AT(dry), "false", 0, 0, NULL,
	    "say what would be sent, and exit"},
	{"version", CONF_BOOL, AT(version), "false", 0, 0, NULL,
	    "print the version and exit"},
	{.name = NULL},
};
/* clang-format on */

/* It goes into JSON, and to the terminal. */
static bool
is_name(const char *s)
{
	json_t *text = json_string(s);
	bool good = text != NULL && strlen(s) <= NATPROBE_NAME_MAX;

	for (; *s != '\0' && good; s++)
		good = (unsigned char)*s >= ' ' && *s != 0x7f;
	json_decref(text);
	return good;
}

enum conf_result
natprobe_conf_read(struct natprobe_conf *c, int argc, char **argv,
    char error[static NATPROBE_ERROR_MAX])
{
	enum conf_result r = conf_load(table, c, argc, argv, error);

	if (r != CONF_OK || is_name(c->building))
		return r;
	snprintf(error, NATPROBE_ERROR_MAX,
	    "building: want at most %d bytes of UTF-8, without control "
	    "characters",
	    NATPROBE_NAME_MAX);
	return CONF_BAD;
}

void
natprobe_conf_clear(struct natprobe_conf *c)
{
	conf_clear(table, c);
}

void
natprobe_conf_usage(void)
{
	fputs("natprobe            asks the servers that tailscaled here "
	      "knows, and "
	      "measures its relays\n"
	      "natprobe -stun HOST asks a STUN server about the NAT\n"
	      "natprobe -map FILE  does the same with those of a DERP map\n"
	      "natprobe -listen    and, elsewhere, natprobe -peer KEY: find a "
	      "direct way\n"
	      "natprobe predict A.json B.json, natprobe report FOLDER: from "
	      "results\n\n",
	    stdout);
	conf_usage(table, "natprobe", stdout);
}
