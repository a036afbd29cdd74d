//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Processes: exec, fork, exit, change of name, and those that are already
 * there. Attached to BTF tracepoints and the task iterator, which every kernel
 * from 5.10 has; nothing here needs kprobes or trampolines.
 */
#include "core_fixes.h"
#include "path.h"
#include "record.h"
#include "scope.h"
#include "scratch.h"
#include "stdio.h"
#include "task.h"
#include "transport.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile u32 argv_limit = 64 << 10;
const volatile u32 env_limit = 64 << 10;

/* argv and environment up to here travel in the exec record itself. */
#define INLINE_MAX 12288
#define PATH_BYTES 16384
#define ITER_PATH_BYTES 5120
#define CHUNKS_MAX 65

/* Reads up to BC_CHUNK_BYTES of w.ulen bytes at w.uaddr to w.off, page by
 * page, so that a page that is not there costs only itself. */
__noinline int bc_read_user(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	u64 addr;
	u32 off, left, n, done = 0;

	if (!s)
		return 0;
	addr = s->w.uaddr;
	off = s->w.off;
	left = s->w.ulen;
	for (int i = 0; i < BC_CHUNK_BYTES / 4096 + 1; i++) {
		n = 4096 - ((u32)addr & 4095);
		if (n > left)
			n = left;
		if (n > BC_CHUNK_BYTES - done)
			n = BC_CHUNK_BYTES - done;
		if (!n)
			break;
		off &= BC_BUF - 1;
		bc_opaque(off);
		off &= BC_BUF - 1;
		n &= BC_SLACK - 1;
		bc_opaque(n);
		n &= BC_SLACK - 1;
		if (bpf_probe_read_user(&s->data[off], n, (void *)addr))
			s->w.unreadable += n;
		addr += n;
		off += n;
		left -= n;
		done += n;
	}
	s->w.uaddr = addr;
	s->w.off = off;
	s->w.ulen = left;
	return done;
}

/* Sends w.ulen bytes at w.uaddr as BC_CHUNK records. */
__noinline int bc_send_chunks(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_counter *c = bc_count(BC_STREAM_EXEC);
	struct bc_chunk *k;
	u32 at = 0, n;

	if (!s || !c)
		return 0;
	k = (struct bc_chunk *)s->data;
	for (int i = 0; i < CHUNKS_MAX && s->w.ulen; i++) {
		s->w.off = sizeof(*k);
		s->w.unreadable = 0;
		n = bc_read_user(slot);
		if (n > BC_CHUNK_BYTES)
			break;
		k->key = s->w.key;
		k->len = n;
		k->env = s->w.env;
		k->off = at;
		k->unreadable = s->w.unreadable;
		bc_header(&k->hdr, c, BC_CHUNK, BC_STREAM_EXEC, s->w.tid);
		bc_send_critical(c, k, sizeof(*k) + n);
		at += n;
	}
	return 0;
}

static __always_inline u32 bc_str(struct bc_scratch *s, const char *str, u32 max)
{
	u32 off = s->w.off & (BC_BUF - 1);
	long n;

	bc_opaque(off);
	off &= BC_BUF - 1;
	n = bpf_probe_read_kernel_str(&s->data[off], max, str);
	if (n <= 1)
		return 0;
	s->w.off = off + (u32)n - 1;
	return (u32)n - 1;
}

static __always_inline void bc_fill_cgroup(struct bc_scratch *s, u32 slot, struct bc_exec *e,
					   struct task_struct *t)
{
	u32 start = s->w.off;
	bool v1 = false;
	struct kernfs_node *kn = bc_cgroup_of(t, &v1);

	if (v1)
		e->flags |= BC_EXEC_CGROUP1;
	e->cgroup_id = BPF_CORE_READ(kn, id);
	s->w.kn = (u64)kn;
	bc_cgroup_path(slot);
	e->cgroup_len = s->w.off - start;
}

/* What exec and the iterator have in common. f is the executable. */
static __always_inline void bc_fill(struct bc_scratch *s, u32 slot, struct bc_exec *e,
				    struct task_struct *t, struct file *f)
{
	struct fs_struct *fs = t->fs;
	struct files_struct *files = t->files;
	struct uts_namespace *uts;
	u64 pidns = 0;

	bc_fill_task(&e->task, t, &pidns);
	bc_fill_cred(&e->cred, t);
	bc_fill_ns(&e->ns, t, pidns);
	bc_fill_tty(e, t);
	e->flags = 0;
	e->nodename[0] = 0;
	if (t->nsproxy) {
		uts = t->nsproxy->uts_ns;
		bpf_core_read(e->nodename, sizeof(e->nodename), &uts->name.nodename);
	}
	s->w.off = sizeof(*e);
	s->w.root_dentry = 0;
	s->w.root_mnt = 0;
	if (fs) {
		s->w.root_dentry = (u64)fs->root.dentry;
		s->w.root_mnt = (u64)fs->root.mnt -
				bpf_core_field_offset(struct mount, mnt);
	}
	u64 root_dentry = s->w.root_dentry;

	__builtin_memset(&e->exe, 0, sizeof(e->exe));
	if (f) {
		bc_fill_file(&e->exe, f);
		bc_walk(s, slot, &e->exe_path, (u64)f->f_path.dentry,
			(u64)f->f_path.mnt);
	} else {
		bc_walk(s, slot, &e->exe_path, 0, 0);
	}
	s->w.root_dentry = root_dentry;
	if (fs)
		bc_walk(s, slot, &e->cwd, (u64)fs->pwd.dentry,
			(u64)fs->pwd.mnt);
	else
		bc_walk(s, slot, &e->cwd, 0, 0);
	bc_get_fds(s, files);
	for (u32 n = 0; n < 3; n++) {
		s->w.root_dentry = root_dentry;
		if (bc_stdio_one(slot, n))
			bc_walk(s, slot, &e->fd[n].path, s->w.dentry, s->w.mnt);
	}
	bc_fill_cgroup(s, slot, e, t);
	e->filename_len = 0;
	e->interp_len = 0;
	e->argc = 0;
	e->argv_full = 0;
	e->argv_len = 0;
	e->env_full = 0;
	e->env_len = 0;
	e->old_tid = 0;
	e->exec_boot = 0;
}

static __always_inline u32 bc_min(u64 a, u32 b)
{
	return a < b ? (u32)a : b;
}

static __always_inline void bc_user_region(struct bc_scratch *s, u64 addr, u32 len, u32 env)
{
	s->w.uaddr = addr;
	s->w.ulen = len;
	s->w.env = env;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(bc_on_exec, struct task_struct *t, pid_t old_pid, struct linux_binprm *bprm)
{
	struct bc_counter *c = bc_count(BC_STREAM_EXEC);
	u32 slot = first_slot + bpf_get_smp_processor_id();
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct mm_struct *mm = t->mm;
	u64 arg, env, arg_full, env_full;
	u32 arg_len, env_len, len;
	bool chunked;
	struct bc_exec *e;

	if (!c || !s)
		return 0;
	c->runs++;
	if (!bc_in_scope(t)) {
		c->filtered++;
		return 0;
	}
	if (!bc_mine(t->tgid, BC_STREAM_EXEC, t->group_leader->start_boottime + t->self_exec_id))
		return 0;
	arg = mm->arg_start;
	arg_full = mm->arg_end - arg;
	env = mm->env_start;
	env_full = mm->env_end - env;
	arg_len = bc_min(arg_full, argv_limit);
	env_len = bc_min(env_full, env_limit);
	chunked = arg_len + env_len > INLINE_MAX;
	s->w.tid = t->pid;
	s->w.unreadable = 0;
	s->w.path_max = PATH_BYTES;
	if (chunked) {
		bc_fill_key(&s->w.key, t);
		bc_user_region(s, arg, arg_len, 0);
		bc_send_chunks(slot);
		bc_user_region(s, env, env_len, 1);
		bc_send_chunks(slot);
		s->w.unreadable = 0;
	}
	e = (struct bc_exec *)s->data;
	bc_fill(s, slot, e, t, bprm->file);
	e->filename_len = bc_str(s, bprm->filename, 4096);
	if (bprm->interp != bprm->filename)
		e->interp_len = bc_str(s, bprm->interp, 4096);
	e->argc = bprm->argc;
	e->argv_full = arg_full;
	e->argv_len = arg_len;
	e->env_full = env_full;
	e->env_len = env_len;
	if (old_pid != t->pid)
		e->old_tid = old_pid;
	if (bprm->fdpath)
		e->flags |= BC_EXEC_AT;
	if (BPF_CORE_READ_BITFIELD(bprm, secureexec))
		e->flags |= BC_EXEC_SECURE;
	if (chunked) {
		e->flags |= BC_EXEC_CHUNKED;
	} else {
		bc_user_region(s, arg, arg_len, 0);
		bc_read_user(slot);
		bc_user_region(s, env, env_len, 1);
		bc_read_user(slot);
		if (s->w.unreadable)
			e->flags |= BC_EXEC_UNREADABLE;
	}
	bc_header(&e->hdr, c, BC_EXEC, BC_STREAM_EXEC, t->pid);
	e->exec_boot = e->hdr.boot;
	len = s->w.off;
	bc_opaque(len);
	if (len > BC_BUF)
		len = BC_BUF;
	bc_send_critical(c, e, len);
	return 0;
}

SEC("iter/task")
int bc_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	u32 slot = iter_slot, len;
	struct bc_scratch *s;
	struct mm_struct *mm;
	struct bc_exec *e;

	if (!t)
		return 0;
	t = fix_plain_task(t);
	if (t->pid != t->tgid)
		return 0;
	/* A zombie that its parent has not waited for is no process any more. */
	if (t->signal->live.counter == 0)
		return 0;
	s = bpf_map_lookup_elem(&scratch, &slot);
	if (!s)
		return 0;
	s->w.path_max = ITER_PATH_BYTES;
	e = (struct bc_exec *)s->data;
	mm = t->mm;
	bc_fill(s, slot, e, t, mm ? mm->exe_file : NULL);
	if (mm) {
		e->argv_full = mm->arg_end - mm->arg_start;
		e->env_full = mm->env_end - mm->env_start;
	}
	e->hdr.boot = bpf_ktime_get_boot_ns();
	e->hdr.seq = 0;
	e->hdr.tid = t->pid;
	e->hdr.cpu = 0;
	e->hdr.kind = BC_TASK;
	e->hdr.stream = 0;
	len = s->w.off;
	bc_opaque(len);
	if (len > BC_BUF)
		len = BC_BUF;
	bpf_seq_write(ctx->meta->seq, e, len);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(bc_on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct bc_counter *c = bc_count(BC_STREAM_FORK);
	struct bc_fork f;
	u64 pidns = 0;

	if (!c)
		return 0;
	c->runs++;
	if (child->pid != child->tgid)
		return 0;
	if (!bc_in_scope(scope_kind == BC_SCOPE_PID ? parent : child)) {
		c->filtered++;
		return 0;
	}
	if (!bc_mine(child->tgid, BC_STREAM_FORK, child->start_boottime))
		return 0;
	bc_scope_add(child->tgid);
	__builtin_memset(&f, 0, sizeof(f));
	bc_fill_task(&f.task, child, &pidns);
	bc_fill_key(&f.creator, parent);
	f.cgroup_id = child->cgroups->dfl_cgrp->kn->id;
	bc_header(&f.hdr, c, BC_FORK, BC_STREAM_FORK, child->pid);
	bc_send_critical(c, &f, sizeof(f));
	return 0;
}

#define SIGNAL_GROUP_EXIT 4
#define THREADS_MAX 256

/*
 * Adds the times of the threads that have not been reaped yet: this one, the
 * leader until its parent has waited for it, and any that are on their way
 * out. Those of all others are in the signal struct already.
 */
static __always_inline void bc_thread_times(struct bc_exit *x, struct signal_struct *sig)
{
	u64 head = (u64)sig + bpf_core_field_offset(struct signal_struct, thread_head);
	u64 at = (u64)BPF_CORE_READ(sig, thread_head.next);
	struct task_struct *t;

	for (int i = 0; i < THREADS_MAX && at && at != head; i++) {
		t = (struct task_struct *)(at - bpf_core_field_offset(struct task_struct, thread_node));
		x->cpu_ns += BPF_CORE_READ(t, se.sum_exec_runtime);
		x->utime_ns += BPF_CORE_READ(t, utime);
		x->stime_ns += BPF_CORE_READ(t, stime);
		at = (u64)BPF_CORE_READ(t, thread_node.next);
	}
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(bc_on_exit, struct task_struct *t)
{
	struct bc_counter *c = bc_count(BC_STREAM_EXIT);
	struct signal_struct *sig = t->signal;
	struct bc_exit x;

	if (!c)
		return 0;
	c->runs++;
	/* The count was taken down before this tracepoint, on every kernel. */
	if (sig->live.counter != 0)
		return 0;
	if (!bc_in_scope(t)) {
		c->filtered++;
		return 0;
	}
	if (!bc_mine(t->tgid, BC_STREAM_EXIT, t->group_leader->start_boottime))
		return 0;
	__builtin_memset(&x, 0, sizeof(x));
	bc_fill_key(&x.key, t);
	bc_fill_key(&x.parent, t->real_parent);
	x.ppid = x.parent.pid;
	x.cpu_ns = sig->sum_sched_runtime;
	x.utime_ns = sig->utime;
	x.stime_ns = sig->stime;
	bc_thread_times(&x, sig);
	x.maxrss_pages = sig->maxrss;
	if (sig->flags & SIGNAL_GROUP_EXIT)
		x.code = sig->group_exit_code;
	else
		x.code = t->group_leader->exit_code;
	bpf_probe_read_kernel(x.comm, sizeof(x.comm), t->group_leader->comm);
	bc_header(&x.hdr, c, BC_EXIT, BC_STREAM_EXIT, t->pid);
	bc_send_critical(c, &x, sizeof(x));
	bc_scope_del(t->tgid);
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(bc_on_comm, struct task_struct *t, const char *comm)
{
	struct bc_counter *c = bc_count(BC_STREAM_COMM);
	struct bc_comm m;
	u64 token[2] = {};

	if (!c)
		return 0;
	c->runs++;
	/* A process is called by its leader's name, and an exec tells its own. */
	if (t->pid != t->tgid || BPF_CORE_READ_BITFIELD(t, in_execve))
		return 0;
	if (!bc_in_scope(t)) {
		c->filtered++;
		return 0;
	}
	bpf_probe_read_kernel_str(token, sizeof(token), comm);
	if (!bc_mine(t->tgid, BC_STREAM_COMM, token[0] ^ token[1] << 1))
		return 0;
	__builtin_memset(&m, 0, sizeof(m));
	bc_fill_key(&m.key, t);
	bpf_probe_read_kernel(m.old_comm, sizeof(m.old_comm), t->comm);
	bpf_probe_read_kernel_str(m.new_comm, sizeof(m.new_comm), comm);
	bc_header(&m.hdr, c, BC_COMM, BC_STREAM_COMM, t->pid);
	bc_send_bulk(c, &m, sizeof(m));
	return 0;
}

/* So that the types are in this object's BTF, from which Go's are made. */
const struct bc_exec *bc_unused_exec __attribute__((unused));
const struct bc_fork *bc_unused_fork __attribute__((unused));
const struct bc_exit *bc_unused_exit __attribute__((unused));
const struct bc_comm *bc_unused_comm __attribute__((unused));
const struct bc_chunk *bc_unused_chunk __attribute__((unused));
const struct bc_counter *bc_unused_counter __attribute__((unused));
