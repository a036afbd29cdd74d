//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The end of an open file that could be written, whoever ends it: the call, an
 * exec, the end of the process. It is where inotify's IN_CLOSE_WRITE comes from:
 * once for each open, when the last descriptor of it is closed. By the time the
 * call returns nothing stands behind the descriptor any more, so this needs a
 * program at the function. Earlier functions do not do: close(2) has called
 * filp_close up to 6.5 and filp_flush since, and either may be inlined.
 */
#include "core_fixes.h"
#include "call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FMODE_WRITE 2
#define FMODE_OPENED 0x80000
#define S_IFREG 0100000
#define NR_CLOSE 3
#define PF_EXITING 4

/* A process that ends has left the scope before its files are closed. */
static __always_inline bool ends_in_scope(struct task_struct *t)
{
	u32 tgid;

	if (scope_kind != BC_SCOPE_PID ||
	    !(BPF_CORE_READ(t, flags) & PF_EXITING))
		return false;
	tgid = BPF_CORE_READ(t, real_parent, tgid);
	return bpf_map_lookup_elem(&scope_tgids, &tgid) != NULL;
}

SEC("fentry/__fput")
int BPF_PROG(bc_on_close, struct file *f)
{
	struct bc_counter *c = bc_count(BC_STREAM_CLOSE);
	u32 slot = first_slot + bpf_get_smp_processor_id();
	struct bc_settings *set = bc_get_settings();
	struct bc_scratch *s;
	struct bc_call *r;
	u64 task;

	if ((f->f_mode & (FMODE_WRITE | FMODE_OPENED)) != (FMODE_WRITE | FMODE_OPENED) || (f->f_inode->i_mode & S_IFMT) != S_IFREG)
		return 0;
	s = bpf_map_lookup_elem(&scratch, &slot);
	if (!c || !s || !set)
		return 0;
	c->runs++;
	task = bpf_get_current_task();
	if ((!bc_current_in_scope(task) && !ends_in_scope((void *)task)) ||
	    (u32)(bpf_get_current_pid_tgid() >> 32) == set->own) {
		c->filtered++;
		return 0;
	}
	r = (struct bc_call *)s->data;
	__builtin_memset(r, 0, sizeof(*r));
	bc_call_fill(s, r, task);
	r->nr = NR_CLOSE;
	r->args[0] = -1;
	s->w.fdnum = -1;
	bpf_probe_read_kernel(&s->w.file, sizeof(s->w.file), ctx);
	bc_put_file(slot, 0);
	bc_call_send(s, BC_STREAM_CLOSE);
	return 0;
}
