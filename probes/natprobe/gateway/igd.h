/*
 * igd: a UPnP router, asked with libminiupnpc. It parses what strangers on
 * the local network send, and it blocks; so it runs in a process of its own,
 * which has given up what it does not need and dies at a limit. What that
 * process says is believed no more than its length.
 */
#ifndef NATPROBE_GATEWAY_IGD_H
#define NATPROBE_GATEWAY_IGD_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>

#include "probes/natprobe/gateway/ssdp.h"

#define IGD_LIMIT_S 5 /* for a stage of the work */
#define IGD_NAME    "natprobe" /* the mapping's description */

/* UPnP's numbers (WANIPConnection:1 section 2.4). */
enum { IGD_PERMANENT_ONLY = 725 };

struct igd_job {
	char url[SSDP_URL_MAX]; /* of the description */
	char host[INET_ADDRSTRLEN]; /* whose it must be */
	char local[INET_ADDRSTRLEN];
	bool map;
	uint16_t port;
};

enum igd_stage { IGD_DESCRIBED, IGD_MAPPED, IGD_REMOVED, IGD_STAGES };

enum igd_fault {
	IGD_FINE,
	IGD_NO_DESCRIPTION, /* not to be had, or none of a router */
	IGD_ELSEWHERE, /* it names another host for its services */
	IGD_NO_ADDRESS, /* does not tell its external address; see error */
	IGD_SLOW, /* said nothing within the limit */
	IGD_FAULTS,
};
const char *igd_fault_name(enum igd_fault f);

/* Each report holds all that is known by then. */
struct igd_report {
	enum igd_stage stage;
	enum igd_fault fault;
	char maker[SSDP_NAME_MAX], model[SSDP_NAME_MAX], name[SSDP_NAME_MAX];
	char status[SSDP_NAME_MAX]; /* "Connected" */
	char external[INET_ADDRSTRLEN];
	uint32_t uptime_s;
	int error; /* of asking for the address */
	/* From IGD_MAPPED on: 0 or UPnP's number; below 0: libminiupnpc's. */
	int map_error;
	bool permanent_only;
	uint16_t external_port;
	uint32_t lifetime_s;
	int remove_error; /* from IGD_REMOVED on */
};

/* "not-authorized"; NULL for what the standard does not know. */
const char *igd_error_name(int error);

/* The process: works on one job that comes over fd, and ends. */
void igd_run(int fd) __attribute__((noreturn));

#endif
