/*
 * memory: settings of malloc and of the kernel's. Keeps no state.
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <unistd.h>

#include "run/memory.h"

void
memory_begin(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	/* Where the kernel cannot do that, it only costs memory. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

/* Only segments that cannot be written to: their pages are the file's. Those
 * that the linker has changed (RELRO) are part of a writable one. */
static int
forget_pages(struct dl_phdr_info *object, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uintptr_t from = (object->dlpi_addr + p->p_vaddr) / page * page;
		uintptr_t to = object->dlpi_addr + p->p_vaddr + p->p_memsz;

		if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0)
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void
memory_started(void)
{
	(void)dl_iterate_phdr(forget_pages, NULL);
}
