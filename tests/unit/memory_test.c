/*
 * memory: pages of the program and its libraries go, and come back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "run/memory.h"
#include "tests/tap.h"

/* Resident pages of files, in KiB. */
static long
file_pages(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "RssFile:", 8) == 0)
			kib = strtol(line + 8, NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib;
}

int
main(void)
{
	static const unsigned char text[] = "what a start-up reads";
	unsigned char before[32], after[32];
	static int written = 1;
	long kib;

	memory_begin();
	ok(sodium_init() >= 0, "a library is loaded");
	crypto_generichash(before, sizeof(before), text, sizeof(text), NULL, 0);
	written = 2;
	kib = file_pages();
	memory_started();
	ok(file_pages() < kib, "pages of files are given back");
	ok(written == 2, "data stays as it is");
	crypto_generichash(after, sizeof(after), text, sizeof(text), NULL, 0);
	ok(memcmp(before, after, sizeof(after)) == 0,
	    "the library goes on working");
	return tap_done();
}
