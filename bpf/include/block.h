/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Requests to disks, on every kernel. */
#ifndef BEARCAT_BLOCK_H
#define BEARCAT_BLOCK_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct gendisk___bc {
	char disk_name[32];
} __attribute__((preserve_access_index));

struct request_queue___bc {
	struct gendisk___bc *disk;
} __attribute__((preserve_access_index));

struct block_device___bc {
	struct gendisk___bc *bd_disk;
} __attribute__((preserve_access_index));

struct bvec_iter___bc {
	u64 bi_sector;
	unsigned int bi_size;
} __attribute__((preserve_access_index));

struct bio___bc {
	struct bio___bc *bi_next;
	struct block_device___bc *bi_bdev; /* from 5.12 */
	struct gendisk___bc *bi_disk;
	unsigned int bi_opf;
	struct bvec_iter___bc bi_iter;
} __attribute__((preserve_access_index));

struct request___bc {
	struct request_queue___bc *q;
	struct gendisk___bc *rq_disk; /* up to 5.16 */
	struct bio___bc *bio;
	unsigned int __data_len;
	unsigned int cmd_flags;
	u64 __sector;
} __attribute__((preserve_access_index));

/* 5.11 took the queue from the arguments of block_rq_issue and block_bio_queue (commits
 * a54895fa057c and e8a676d61c07); kernels that are maintained for long have one of them. */
const volatile u8 request_second = 0;
const volatile u8 bio_second = 0;

/* A tracepoint's first argument, or its second. */
static __always_inline u64 first_or_second(u64 *ctx, bool second)
{
	u64 other = 0;

	if (!second)
		return ctx[0];
	bpf_probe_read_kernel(&other, sizeof(other), &ctx[1]); /* a choice of addresses is not verified */
	return other;
}

static __always_inline struct gendisk___bc *disk_of(struct request___bc *rq)
{
	if (bpf_core_field_exists(((struct request___bc *)0)->rq_disk))
		return BPF_CORE_READ(rq, rq_disk);
	return BPF_CORE_READ(rq, q, disk);
}

static __always_inline struct gendisk___bc *disk_of_bio(struct bio___bc *bio)
{
	if (bpf_core_field_exists(((struct bio___bc *)0)->bi_disk))
		return BPF_CORE_READ(bio, bi_disk);
	return BPF_CORE_READ(bio, bi_bdev, bd_disk);
}

#endif
