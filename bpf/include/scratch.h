/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Working memory too large for the stack: one slot for each CPU and copy of
 * the program, and one more for the iterator, which may be preempted by a
 * program on the same CPU.
 */
#ifndef BEARCAT_SCRATCH_H
#define BEARCAT_SCRATCH_H

#include "record.h"
#include <bpf/bpf_helpers.h>

#define BC_BUF 65536
/* The longest single piece written behind a masked offset. */
#define BC_SLACK 8192

/* Arguments and results of the functions below, which the verifier checks
 * one by one and which can therefore take and give only plain numbers. */
struct bc_work {
	u64 dentry, mnt;           /* where a path walk stands */
	u64 root_dentry, root_mnt; /* the process's root */
	u64 kn;                    /* where a cgroup walk stands */
	u64 fds[3];                /* struct file of descriptors 0 to 2 */
	u64 uaddr;                 /* user memory to read from */
	u32 off;                   /* where the next byte goes */
	u32 limit;                 /* the walk stops here */
	u32 path_max;
	u32 ulen;                  /* bytes still to read from user memory */
	u32 root_at;
	u32 flags;
	u32 unreadable;
	u32 env;
	struct bc_key key;
	u32 tid;
	s32 fdnum;
	u64 task; /* the caller */
	u64 file; /* the struct file to describe */
	/* A message: where it lies in the caller's memory, its bytes; the same of
	 * its address and of its control data. */
	u64 msg, msg_len, addr, addr_len, control, control_len;
	u32 port; /* that it goes to or comes from */
	u32 family;
	u32 busy; /* somebody works in this slot; see the users that guard theirs */
	u32 pad;
};

struct bc_scratch {
	struct bc_work w;
	u8 data[BC_BUF + BC_SLACK];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by the loader */
	__type(key, u32);
	__type(value, struct bc_scratch);
} scratch SEC(".maps");

const volatile u32 iter_slot = 0;
const volatile u32 first_slot = 0; /* this copy's */

/* Keeps the compiler from folding a mask away that the verifier needs. */
#define bc_opaque(v) asm volatile("" : "+r"(v))

#endif
