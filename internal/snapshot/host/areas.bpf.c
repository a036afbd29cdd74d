//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Lists the areas of one process's memory, as the kernel holds them (from 5.12 on). */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Of the initial pid namespace. */
const volatile u32 wanted = 0;

#define NAME_MAX_BYTES 8192 /* more than a path has, and a power of two */

struct area {
	u32 len; /* of all, with the name that follows, which ends with a NUL */
	u32 stack, heap;
	u32 pad;
	u64 start, end, flags;
	u64 offset; /* in pages */
	u64 inode;
	s64 name; /* bytes of the name, or an error's number below 0 */
};

/* keeps the type for the Go side */
const struct area *bc_unused_area __attribute__((unused));


struct mm_struct___area {
	unsigned long start_brk, brk, start_stack;
} __attribute__((preserve_access_index));

struct vm_area_struct___area {
	unsigned long vm_start, vm_end, vm_flags, vm_pgoff;
	struct file *vm_file;
	struct mm_struct___area *vm_mm;
} __attribute__((preserve_access_index));

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct___area *vma;
} __attribute__((preserve_access_index));

static struct {
	struct area head;
	char name[NAME_MAX_BYTES];
} record;

SEC("iter/task_vma")
int bc_areas(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct___area *v = ctx->vma;
	struct task_struct *t = ctx->task;
	struct mm_struct___area *mm;
	struct area *o = &record.head;
	u32 len = sizeof(*o), named;
	struct file *f;
	long n;

	if (!t || !v || t->tgid != wanted || t->pid != wanted)
		return 0;
	o->start = v->vm_start;
	o->end = v->vm_end;
	o->flags = v->vm_flags;
	o->offset = v->vm_pgoff;
	o->inode = 0;
	o->name = 0;
	o->heap = 0;
	o->stack = 0;
	f = v->vm_file;
	if (f) {
		o->inode = f->f_inode->i_ino;
		n = bpf_d_path(&f->f_path, record.name, sizeof(record.name));
		o->name = n;
		if (n > 0) {
			named = n;
			asm volatile("" : "+r"(named)); /* its bounds are told by the mask alone */
			named &= NAME_MAX_BYTES - 1;
			len += named;
		}
	} else {
		o->offset = 0;
		mm = v->vm_mm;
		if (mm) {
			o->heap = o->start <= mm->brk && o->end >= mm->start_brk;
			o->stack = o->start <= mm->start_stack && o->end >= mm->start_stack;
		}
	}
	o->len = len;
	bpf_seq_write(ctx->meta->seq, &record, len);
	return 0;
}
