/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the programs know and tell of calls that read, write or open files. */
#ifndef BEARCAT_FILEIO_H
#define BEARCAT_FILEIO_H

#include "block.h"
#include "group.h"
#include "notes.h"
#include "path.h"
#include "rate.h"
#include "runnable.h"
#include <bpf/bpf_tracing.h>

#define CALLS 16384
#define REQUESTS 16384
#define BIOS 16 /* of one request, so many are looked at */
#define PATH 512

enum what {
	CALL_ENDS = 1,
	PAGES,	/* were added to the page cache */
	QUEUED, /* a piece of a disk is asked for */
	ISSUED, /* to the device's driver */
	COMPLETE,
	ASLEEP,
	WOKEN,
	ON_CPU,
	OFF_CPU, /* another takes the processor */
	COPIED_UP, /* into the upper layer of an overlay, perhaps */
};

/* One thing that happens during a call. */
struct note {
	u64 at; /* ns since boot */
	u64 call;
	u64 sector;
	u32 what;
	u32 cpu;
	u32 a; /* bytes, pages, or the other process */
	u32 write;
	char name[32]; /* of the disk, or of the other process */
};

/* A call that has ended. */
struct ended {
	struct note note;
	u64 begun;
	u64 wanted; /* bytes, or flags of an open */
	s64 result;
	u32 nr;
	s32 fd;
	u32 tgid, tid;
	u32 pages; /* that the call added to the page cache */
	u32 requests;
	u32 magic; /* of the file system */
	u32 mode;
	u32 path_length, path_flags;
	char comm[16];
	char kind[16]; /* of the file system */
	u8 path[PATH];
};

struct call {
	u64 id; /* 0 until something is told of it */
	u64 at;
	u64 wanted;
	u64 file;
	u32 nr;
	s32 fd;
	u32 pages, untold;
	u32 requests;
	u32 pad;
};

struct totals {
	u64 calls;
	u64 full;    /* calls and requests for which there was no room */
};

const volatile u64 slower = 0; /* only calls that took at least so many ns are told */

struct totals total; /* of what was told and left out */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CALLS);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

/* Which call asked for it: by the address of a bio, and of a request. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, REQUESTS);
	__type(key, u64);
	__type(value, u64);
} asked SEC(".maps");

static __always_inline void fill(struct note *n, u64 call, u32 what)
{
	__builtin_memset(n, 0, sizeof(*n));
	n->at = bpf_ktime_get_ns();
	n->call = call;
	n->what = what;
	n->cpu = bpf_get_smp_processor_id();
}

static __always_inline struct call *call_of(u32 tid)
{
	return bpf_map_lookup_elem(&calls, &tid);
}

/* The number under which a call is told. Numbers need only be different for calls at one
 * time: the thread's and when it began. */
static __always_inline u64 number(struct call *c, u32 tid)
{
	if (!c->id)
		c->id = c->at << 16 ^ tid;
	return c->id;
}

#endif
