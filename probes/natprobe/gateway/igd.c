/* igd: see igd.h. This is the process that does it; it has no loop. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/miniwget.h>
#include <miniupnpc/upnpcommands.h>

#include "probes/natprobe/gateway/igd.h"
#include "probes/natprobe/gateway/pcp.h"
#include "run/privdrop.h"

/* More than any description needs. */
#define MEMORY_MORE (UINT64_C(64) << 20)
#define NOBODY	    "nobody"

const char *
igd_fault_name(enum igd_fault f)
{
	static const char *const names[IGD_FAULTS] = {
	    [IGD_FINE] = "",
	    [IGD_NO_DESCRIPTION] = "no-description",
	    [IGD_ELSEWHERE] = "names-another-host",
	    [IGD_NO_ADDRESS] = "does-not-tell-its-address",
	    [IGD_SLOW] = "no-answer-in-time",
	};

	return (unsigned)f < IGD_FAULTS ? names[f] : "";
}

const char *
igd_error_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} all[] = {
	    {402, "invalid-arguments"},
	    {501, "action-failed"},
	    {606, "not-authorized"},
	    {714, "no-such-mapping"},
	    {718, "port-taken"},
	    {724, "ports-must-be-the-same"},
	    {725, "permanent-leases-only"},
	    {728, "no-free-port"},
	    {729, "conflict-with-other-mechanism"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].error == error)
			return all[i].name;
	return error < 0 ? "no-answer" : NULL;
}

/* ---- giving up ---- */

/* Pages that are mapped now: a limit below would end this process at once. */
static uint64_t
memory_now(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
limit(int what, rlim_t value)
{
	struct rlimit r = {value, value};

	setrlimit((__rlimit_resource_t)what, &r);
}

/* Only the sockets to come, and fd. The signals that end a run are blocked since the
 * fork, so that a Ctrl-C, which this process gets, too, cannot keep it from
 * removing its mapping. */
static void
give_up(int fd)
{
	char error[PRIVDROP_ERROR_MAX];
	uint64_t now = memory_now();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3 && null != -1; i++)
		dup2(null, i);
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
	signal(SIGPIPE, SIG_IGN);
	if (now != 0)
		limit(RLIMIT_AS, now + MEMORY_MORE);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CORE, 0);
	if (privdrop(NOBODY, error) == -1)
		_exit(1);
}

/* ---- the work ---- */

struct igd {
	struct igd_job job;
	struct igd_report report;
	struct UPNPUrls urls;
	struct IGDdatas data;
};

/* Both kinds of service may be there; the second is the one in use if the
 * first has no address. */
static bool
use_second(struct igd *g)
{
	if (g->data.second.servicetype[0] == '\0')
		return false;
	g->data.first = g->data.second;
	g->data.second.servicetype[0] = '\0';
	FreeUPNPUrls(&g->urls);
	GetUPNPUrls(&g->urls, &g->data, g->job.url, 0);
	return true;
}

static bool
service_is_own(const struct igd *g)
{
	return g->urls.controlURL != NULL &&
	    ssdp_url_is_at(g->urls.controlURL, g->job.host);
}

static void
ask_address(struct igd *g)
{
	struct igd_report *r = &g->report;
	char address[64] = "", status[64] = "", last[64] = "";
	unsigned uptime = 0;

	do {
		if (!service_is_own(g)) {
			r->fault = IGD_ELSEWHERE;
			return;
		}
		r->error = UPNP_GetExternalIPAddress(
		    g->urls.controlURL, g->data.first.servicetype, address);
	} while ((r->error != 0 || *address == '\0') && use_second(g));
	if (r->error != 0 || *address == '\0')
		r->fault = IGD_NO_ADDRESS;
	snprintf(r->external, sizeof(r->external), "%.15s", address);
	if (UPNP_GetStatusInfo(g->urls.controlURL, g->data.first.servicetype,
		status, &uptime, last) == 0)
		snprintf(r->status, sizeof(r->status), "%s", status);
	r->uptime_s = uptime;
}

static void
describe(struct igd *g)
{
	struct igd_report *r = &g->report;
	char own[64];
	int size = 0, status = 0;
	char *xml = miniwget_getaddr(
	    g->job.url, &size, own, (int)sizeof(own), 0, &status);

	if (xml == NULL || size <= 0 || status != 200) {
		free(xml);
		r->fault = IGD_NO_DESCRIPTION;
		return;
	}
	ssdp_xml_text(
	    xml, (size_t)size, "manufacturer", r->maker, sizeof(r->maker));
	ssdp_xml_text(
	    xml, (size_t)size, "modelName", r->model, sizeof(r->model));
	ssdp_xml_text(
	    xml, (size_t)size, "friendlyName", r->name, sizeof(r->name));
	parserootdesc(xml, size, &g->data);
	free(xml);
	if (g->data.first.servicetype[0] == '\0') {
		r->fault = IGD_NO_DESCRIPTION;
		return;
	}
	GetUPNPUrls(&g->urls, &g->data, g->job.url, 0);
	ask_address(g);
}

static void
read_lifetime(struct igd *g, const char *port)
{
	char client[64] = "", inside[64] = "", text[128] = "", on[64] = "",
	     lease[64] = "";

	if (UPNP_GetSpecificPortMappingEntry(g->urls.controlURL,
		g->data.first.servicetype, port, "UDP", NULL, client, inside,
		text, on, lease) == 0)
		g->report.lifetime_s = (uint32_t)strtoul(lease, NULL, 10);
}

static int
add(struct igd *g, const char *port, const char *lease)
{
	return UPNP_AddPortMapping(g->urls.controlURL,
	    g->data.first.servicetype, port, port, g->job.local, IGD_NAME,
	    "UDP", NULL, lease);
}

static void
map(struct igd *g)
{
	struct igd_report *r = &g->report;
	char port[8], lease[8];

	snprintf(port, sizeof(port), "%u", g->job.port);
	snprintf(lease, sizeof(lease), "%d", PCP_LIFETIME_S);
	r->map_error = add(g, port, lease);
	if (r->map_error == IGD_PERMANENT_ONLY) {
		r->permanent_only = true;
		r->map_error = add(g, port, "0");
	}
	if (r->map_error != 0)
		return;
	r->external_port = g->job.port;
	read_lifetime(g, port);
}

static void
unmap(struct igd *g)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", g->job.port);
	g->report.remove_error = UPNP_DeletePortMapping(
	    g->urls.controlURL, g->data.first.servicetype, port, "UDP", NULL);
}

/* Is there nobody any more who would say that it is enough? */
static bool
is_left(int fd)
{
	char word;

	return recv(fd, &word, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void
say(int fd, struct igd *g, enum igd_stage stage)
{
	g->report.stage = stage;
	(void)send(fd, &g->report, sizeof(g->report), MSG_NOSIGNAL);
}

void
igd_run(int fd)
{
	struct igd *g = calloc(1, sizeof(*g));
	char word;

	give_up(fd);
	if (g == NULL || recv(fd, &g->job, sizeof(g->job), 0) != sizeof(g->job))
		_exit(0);
	alarm(IGD_LIMIT_S);
	describe(g);
	say(fd, g, IGD_DESCRIBED);
	if (!g->job.map || g->report.fault != IGD_FINE || is_left(fd))
		_exit(0);
	alarm(IGD_LIMIT_S);
	map(g);
	say(fd, g, IGD_MAPPED);
	/* A router that did not answer may have mapped nevertheless. */
	if (g->report.map_error > 0)
		_exit(0);
	alarm(0);
	/* The word, or the end of the process that would say it. */
	(void)recv(fd, &word, 1, 0);
	alarm(IGD_LIMIT_S);
	unmap(g);
	say(fd, g, IGD_REMOVED);
	_exit(0);
}
