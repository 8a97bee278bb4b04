/*
 * memory: how much of it a daemon keeps.
 */
#ifndef RUN_MEMORY_H
#define RUN_MEMORY_H

/*
 * Before anything large is allocated. What a burst took (blocks from 128 KiB)
 * goes back to the system when it is freed; and a large region of which little
 * is written is not filled up with pages of 2 MiB, as Debian's kernel does
 * unless told not to.
 */
void memory_begin(void);

/*
 * Everything is open and loaded. Gives back the pages of the program and its
 * libraries: most were only read by the dynamic linker, or for the start.
 * What is still needed comes back from the page cache when it is used.
 */
void memory_started(void);

#endif
