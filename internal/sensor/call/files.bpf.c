//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Lists the open files of all processes, each as the programs for calls describe
 * one: a struct bc_listed and a section BC_SEC_FD.
 */
#include "vmlinux.h"
#include "record.h"
#include "scratch.h"
#include "section.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Members that the common types do without. */
struct file___pos {
	s64 f_pos;
} __attribute__((preserve_access_index));

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
} __attribute__((preserve_access_index));

/* keeps the type for the Go side */
const struct bc_listed *bc_unused_listed __attribute__((unused));

SEC("iter/task_file")
int bc_on_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task, *leader;
	struct file *f = ctx->file;
	struct bc_scratch *s;
	struct bc_listed *r;
	u32 slot = 0, len;

	if (!t || !f)
		return 0;
	s = bpf_map_lookup_elem(&scratch, &slot);
	if (!s)
		return 0;
	leader = t->group_leader;
	r = (struct bc_listed *)s->data;
	r->key.pid = t->tgid;
	r->key.pad = 0;
	r->key.start = leader->start_boottime;
	r->pos = ((struct file___pos *)f)->f_pos;
	r->tid = t->pid;
	s->w.task = (u64)t;
	s->w.file = (u64)f;
	s->w.fdnum = ctx->fd;
	s->w.path_max = BC_CALL_PATH_BYTES;
	s->w.off = sizeof(*r);
	bc_put_file(slot, 0);
	len = s->w.off;
	bc_opaque(len);
	if (len > BC_BUF)
		len = BC_BUF;
	r->len = len;
	bpf_seq_write(ctx->meta->seq, r, len);
	return 0;
}
