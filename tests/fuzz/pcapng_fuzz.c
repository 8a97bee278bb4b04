/* pcapng_fuzz: any bytes as a capture file, whose comments are looked for and
 * read as notes. What is taken from them is sound. */
#include <stdlib.h>

#include "probes/natprobe/evidence/note.h"
#include "probes/natprobe/evidence/pcapng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct note *n)
{
	if (n->ended && n->end_us <= 0)
		abort();
	if (n->n_calls > NOTE_CALLS_MAX)
		abort();
	for (int v6 = 0; v6 < 2; v6++) {
		if (n->targets.n[v6] > PROBE_SERVERS || n->local_ips[v6] > 2)
			abort();
		for (size_t i = 0; i < n->targets.n[v6]; i++)
			if (n->targets.v[v6][i].port == 0 ||
			    stun_addr_is_v4(&n->targets.v[v6][i]) == v6)
				abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct note empty;
	struct note note = empty;
	struct pcapng_walk walk = {.little = false};
	struct pcapng_comment c;
	char *text;
	size_t len;
	bool may;

	while ((len = pcapng_next(&walk, data, size, &may, &c)) > 0) {
		if (c.text != NULL &&
		    ((const uint8_t *)c.text < data ||
			(const uint8_t *)c.text + c.len > data + size))
			abort();
		if (c.text != NULL)
			(void)note_read(&note, c.text, c.len);
		check(&note);
		if (len > size)
			break;
		data += len;
		size -= len;
	}
	text = note_begin_text(&note);
	if (text == NULL)
		abort();
	free(text);
	return 0;
}
