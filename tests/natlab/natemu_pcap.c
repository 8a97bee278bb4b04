/* natemu_pcap: packets into a file, by libpcap. */
#include <sys/time.h>

#include <pcap/pcap.h>
#include <stdlib.h>

#include "run/log.h"
#include "tests/natlab/natemu.h"

struct tap {
	pcap_t *pcap;
	pcap_dumper_t *file;
};

struct tap *
tap_open(const char *path)
{
	struct tap *t = calloc(1, sizeof(*t));

	if (t == NULL)
		fatal("out of memory");
	t->pcap = pcap_open_dead(DLT_RAW, NAT_PACKET_MAX);
	t->file = t->pcap == NULL ? NULL : pcap_dump_open(t->pcap, path);
	if (t->file == NULL) {
		log_warnx("cannot write %s: %s", path,
		    t->pcap == NULL ? "no memory" : pcap_geterr(t->pcap));
		tap_close(t);
		return NULL;
	}
	return t;
}

void
tap_close(struct tap *t)
{
	if (t == NULL)
		return;
	if (t->file != NULL)
		pcap_dump_close(t->file);
	if (t->pcap != NULL)
		pcap_close(t->pcap);
	free(t);
}

void
tap_write(struct tap *t, const void *p, size_t n)
{
	struct pcap_pkthdr head = {
	    .caplen = (bpf_u_int32)n, .len = (bpf_u_int32)n};

	if (t == NULL)
		return;
	gettimeofday(&head.ts, NULL);
	pcap_dump((u_char *)t->file, &head, p);
	pcap_dump_flush(t->file); /* it can be read while we run */
}
