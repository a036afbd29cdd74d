/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Filters in tcpdump's language: internal/observe/filter compiles them. */
#ifndef BEARCAT_FILTER_H
#define BEARCAT_FILTER_H

#include "vmlinux.h"

#define BYTES 128
#define HEADER 40

/* What a filter looks at. Filters are compiled for these offsets. */
struct header {
	u8 l3[HEADER];
	u8 l4[HEADER];
	u32 length;
	u32 family; /* the Ethernet protocol */
	u32 proto;  /* of IP; 0 for others */
	u32 l4_has; /* so many bytes are there of l4; 0 for later fragments */
	u32 sent;
	u32 linear; /* so many bytes are together, from base on: the rest is in other pages */
	u64 base;   /* of the network header, in the kernel */
};

/* Whether the filter takes a packet. The loader puts the filter's instructions in the
 * place of these; without a filter all packets are taken. */
static __attribute__((noinline)) int match(struct header *h)
{
	int yes = 1;

	asm volatile("" : "+r"(yes) : "r"(h) : "memory");
	return yes;
}

#endif
