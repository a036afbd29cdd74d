//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Operations that go through io_uring and are no system calls. Where the kernel
 * lets programs at its functions (fentry, from 6.1 on, before which they are
 * not functions of their own), the operation becomes the event that the call
 * would have been. Everywhere else the tracepoint of submissions tells the
 * operation and the names that it carries, before it is known how it ends.
 */
#include "core_fixes.h"
#include "call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum bc_uring_op {
	OP_SENDMSG = 9,
	OP_ACCEPT = 13,
	OP_CONNECT = 16,
	OP_OPENAT = 18,
	OP_SEND = 26,
	OP_OPENAT2 = 28,
	OP_SPLICE = 30,
	OP_RENAMEAT = 35,
	OP_UNLINKAT = 36,
	OP_MKDIRAT = 37,
	OP_SYMLINKAT = 38,
	OP_LINKAT = 39,
	OP_FSETXATTR = 41,
	OP_SETXATTR = 42,
	OP_SOCKET = 45,
	OP_URING_CMD = 46,
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_FTRUNCATE = 55,
	OP_BIND = 56,
	OP_LISTEN = 57,
};

/* Operations that open, connect, send, or change names; reads, writes and
 * timeouts are none of these. */
static __always_inline bool bc_op_matters(u8 op)
{
	u64 set = 1ull << OP_SENDMSG | 1ull << OP_ACCEPT | 1ull << OP_CONNECT | 1ull << OP_OPENAT |
		  1ull << OP_SEND | 1ull << OP_OPENAT2 | 1ull << OP_SPLICE | 1ull << OP_RENAMEAT |
		  1ull << OP_UNLINKAT | 1ull << OP_MKDIRAT | 1ull << OP_SYMLINKAT | 1ull << OP_LINKAT |
		  1ull << OP_FSETXATTR | 1ull << OP_SETXATTR | 1ull << OP_SOCKET | 1ull << OP_URING_CMD |
		  1ull << OP_SEND_ZC | 1ull << OP_SENDMSG_ZC | 1ull << OP_FTRUNCATE | 1ull << OP_BIND |
		  1ull << OP_LISTEN;

	return op < 64 && (set >> op & 1);
}

#define NAME_MAX 2048

/* What an operation is about, kept from its begin to its end, by its request. */
struct bc_uring {
	u64 args[6];
	u32 nr;
	s32 len[2]; /* of the names; -1 for none */
	u8 opcode;
	u8 cut;
	u8 pad[2];
	u8 name[2][NAME_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, u64);
	__type(value, struct bc_uring);
} pending SEC(".maps");

/* A stack cannot hold one: it is filled in here, behind the record. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct bc_uring);
} filled SEC(".maps");

#define NR_CONNECT 42
#define NR_OPENAT 257
#define NR_MKDIRAT 258
#define NR_UNLINKAT 263
#define NR_LINKAT 265
#define NR_SYMLINKAT 266
#define NR_RENAMEAT2 316

static __always_inline void bc_uring_name(struct bc_uring *u, u32 i, struct filename *f)
{
	long n;

	if (!f)
		return;
	n = bpf_probe_read_kernel_str(u->name[i], NAME_MAX, (void *)fix_filename(f));
	u->len[i] = n > 0 ? n - 1 : 0;
	if (n == NAME_MAX)
		u->cut = 1;
}

/* The request as the arguments of the call that it stands for. The command of
 * a request lies at its beginning, on every kernel. */
__noinline int bc_uring_read(u64 req)
{
	u32 zero = 0;
	struct bc_uring *u = bpf_map_lookup_elem(&filled, &zero);
	struct io_open *o = (void *)req;
	struct io_rename *rn = (void *)req;
	struct io_unlink *ul = (void *)req;
	struct io_mkdir *mk = (void *)req;
	struct io_link *ln = (void *)req;
	u8 op;

	if (!u)
		return 0;
	op = fix_uring_opcode(req);
	u->opcode = op;
	u->nr = 0;
	u->cut = 0;
	u->len[0] = u->len[1] = -1;
	__builtin_memset(u->args, 0, sizeof(u->args));
	switch (op) {
	case OP_OPENAT:
	case OP_OPENAT2:
		u->nr = NR_OPENAT;
		u->args[0] = (s64)BPF_CORE_READ(o, dfd);
		u->args[2] = BPF_CORE_READ(o, how.flags);
		u->args[3] = BPF_CORE_READ(o, how.mode);
		bc_uring_name(u, 0, fix_uring_name(req, io_open, filename));
		break;
	case OP_RENAMEAT:
		if (!bpf_core_type_exists(struct io_rename))
			break;
		u->nr = NR_RENAMEAT2;
		u->args[0] = (s64)BPF_CORE_READ(rn, old_dfd);
		u->args[2] = (s64)BPF_CORE_READ(rn, new_dfd);
		u->args[4] = (u32)BPF_CORE_READ(rn, flags);
		bc_uring_name(u, 0, fix_uring_name(req, io_rename, oldpath));
		bc_uring_name(u, 1, fix_uring_name(req, io_rename, newpath));
		break;
	case OP_UNLINKAT:
		if (!bpf_core_type_exists(struct io_unlink))
			break;
		u->nr = NR_UNLINKAT;
		u->args[0] = (s64)BPF_CORE_READ(ul, dfd);
		u->args[2] = (u32)BPF_CORE_READ(ul, flags);
		bc_uring_name(u, 0, fix_uring_name(req, io_unlink, filename));
		break;
	case OP_MKDIRAT:
		if (!bpf_core_type_exists(struct io_mkdir))
			break;
		u->nr = NR_MKDIRAT;
		u->args[0] = (s64)BPF_CORE_READ(mk, dfd);
		u->args[2] = BPF_CORE_READ(mk, mode);
		bc_uring_name(u, 0, fix_uring_name(req, io_mkdir, filename));
		break;
	case OP_SYMLINKAT:
	case OP_LINKAT:
		if (!bpf_core_type_exists(struct io_link))
			break;
		u->nr = op == OP_LINKAT ? NR_LINKAT : NR_SYMLINKAT;
		u->args[0] = (s64)BPF_CORE_READ(ln, old_dfd);
		u->args[op == OP_LINKAT ? 2 : 1] = (s64)BPF_CORE_READ(ln, new_dfd);
		u->args[4] = (u32)BPF_CORE_READ(ln, flags);
		bc_uring_name(u, 0, fix_uring_name(req, io_link, oldpath));
		bc_uring_name(u, 1, fix_uring_name(req, io_link, newpath));
		break;
	case OP_CONNECT:
		u->nr = NR_CONNECT;
		u->args[0] = (s64)fix_uring_fd(req);
		bpf_probe_read_kernel(&u->args[5], 8, (void *)req); /* the file */
		break;
	}
	return 1;
}

/* A name that the kernel has copied already; its address is in w.msg. */
__noinline int bc_put_name(u32 slot, u32 len, u32 which)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	u32 at, off;

	if (!s || !bc_sec_room(s))
		return 0;
	at = bc_sec_begin(s, BC_SEC_TEXT, which);
	off = s->w.off & (BC_BUF - 1);
	bc_opaque(off);
	off &= BC_BUF - 1;
	len &= NAME_MAX - 1;
	bc_opaque(len);
	len &= NAME_MAX - 1;
	bpf_probe_read_kernel(&s->data[off], len, (void *)s->w.msg);
	s->w.off = off + len;
	bc_sec_end(s, at, len == NAME_MAX - 1 ? BC_SEC_CUT : 0);
	return 0;
}

/* Where the names go in the record: a symbolic link's target is a text. */
static __always_inline void bc_put_names(u32 slot, struct bc_scratch *s, struct bc_uring *u)
{
	for (u32 i = 0; i < 2; i++) {
		u32 which = i;
		s32 dfd = u->args[0];

		if (u->len[i] < 0)
			continue;
		if (u->nr == NR_SYMLINKAT)
			which = i ? 0 : 2;
		if (i)
			dfd = u->nr == NR_SYMLINKAT ? u->args[1] : u->args[2];
		s->w.msg = (u64)u->name[i];
		bc_put_name(slot, u->len[i], which);
		if (which == 2)
			continue;
		if (u->name[i][0] != '/')
			bc_put_base(slot, dfd, which);
		else if (bc_chrooted(s->w.task))
			bc_put_base(slot, BC_AT_ROOT, which);
	}
}

/* The programs at functions may preempt each other, which share their memory;
 * the one at the tracepoint has its own. Only they need an instruction that
 * kernels before 5.12 lack. */
static __always_inline bool bc_lock(struct bc_scratch *s)
{
	return !__sync_lock_test_and_set(&s->w.busy, 1);
}

static __always_inline void bc_unlock(struct bc_scratch *s)
{
	s->w.busy = 0;
}

/* What both kinds of programs do first. */
static __always_inline struct bc_scratch *bc_uring_begin(u32 *slot, u32 stream, u64 task, bool lock)
{
	struct bc_counter *c = bc_count(stream);
	struct bc_scratch *s;

	*slot = first_slot + bpf_get_smp_processor_id();
	s = bpf_map_lookup_elem(&scratch, slot);
	if (!c || !s)
		return NULL;
	c->runs++;
	if (!bc_current_in_scope(task)) {
		c->filtered++;
		return NULL;
	}
	if (lock && !bc_lock(s)) {
		c->produced++; /* one more that is missing */
		c->lost++;
		return NULL;
	}
	return s;
}

/* An argument as a plain number, which the verifier does not track. */
static __always_inline u64 bc_plain(void *ctx, u32 n)
{
	u64 v = 0;

	bpf_probe_read_kernel(&v, sizeof(v), ctx + 8 * n);
	return v;
}

static __always_inline int bc_on_submit(u64 req, u8 op)
{
	u32 stream = BC_STREAM_URING_SUBMIT, slot, zero = 0;
	u64 task = bpf_get_current_task();
	struct bc_uring *u;
	struct bc_scratch *s;
	struct bc_call *r;

	if (!bc_op_matters(op))
		return 0;
	s = bc_uring_begin(&slot, stream, task, false);
	if (!s)
		return 0;
	r = (struct bc_call *)s->data;
	__builtin_memset(r, 0, sizeof(*r));
	bc_call_fill(s, r, task);
	r->op = BC_OP_URING;
	r->flags = BC_CALL_URING;
	r->args[0] = op;
	u = bpf_map_lookup_elem(&filled, &zero);
	if (u && req && bc_uring_read(req)) {
		r->args[1] = u->args[0];
		r->args[2] = u->args[2];
		r->args[3] = u->args[3];
		r->args[4] = u->args[4];
		bc_put_names(slot, s, u);
	}
	bc_call_send(s, stream);
	return 0;
}

/* From 5.18 on (the later name is 6.4's, commit 4ab9d465071b). */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(bc_on_submit_req, void *req)
{
	u64 at = bc_plain(ctx, 0);

	return bc_on_submit(at, fix_uring_opcode(at));
}

SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(bc_on_submit_sqe, void *req)
{
	u64 at = bc_plain(ctx, 0);

	return bc_on_submit(at, fix_uring_opcode(at));
}

/* Before: the context, the request, the opcode and more. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(bc_on_submit_old, void *ring, void *req, u8 op)
{
	return bc_on_submit(bc_plain(ctx, 1), bc_plain(ctx, 2));
}

static __always_inline int bc_op_begin(u64 req)
{
	u64 task = bpf_get_current_task();
	struct bc_uring *u, *old;
	u32 zero = 0;

	if (!bc_current_in_scope(task) || !bc_uring_read(req))
		return 0;
	u = bpf_map_lookup_elem(&filled, &zero);
	old = bpf_map_lookup_elem(&pending, &req);
	/* The descriptor is only there at the first try. */
	if (u && old && u->nr == NR_CONNECT && old->nr == NR_CONNECT && old->args[5] == u->args[5])
		u->args[0] = old->args[0];
	if (u)
		bpf_map_update_elem(&pending, &req, u, BPF_ANY);
	return 0;
}

#define EAGAIN 11
#define IOU_ISSUE_SKIP_COMPLETE -529 /* EIOCBQUEUED: it goes on elsewhere */

static __always_inline int bc_op_end(u64 req, s32 ret, u32 stream)
{
	u64 task = bpf_get_current_task();
	struct bc_uring *u;
	struct bc_scratch *s;
	struct bc_call *r;
	struct bc_desc *d;
	u32 slot, nr;
	s32 res;

	u = bpf_map_lookup_elem(&pending, &req);
	if (!u)
		return 0;
	res = fix_uring_res(req);
	/* It is tried again, by a worker, or it waits. */
	if (ret == -EAGAIN)
		return 0;
	if (ret == IOU_ISSUE_SKIP_COMPLETE)
		goto done;
	nr = u->nr;
	d = bpf_map_lookup_elem(&calls, &nr);
	if (!d || !(d->flags & BC_D_REPORT))
		goto done;
	s = bc_uring_begin(&slot, stream, task, true);
	if (!s)
		goto done;
	r = (struct bc_call *)s->data;
	__builtin_memset(r, 0, sizeof(*r));
	bc_call_fill(s, r, task);
	r->nr = nr;
	r->flags = BC_CALL_URING;
	r->ret = res;
	__builtin_memcpy(r->args, u->args, sizeof(r->args));
	if (d->filter == BC_F_OPEN && !bc_open_wanted(r, r->args[2]))
		goto unlock;
	bc_put_names(slot, s, u);
	if (d->flags & BC_D_RETFD && res >= 0)
		bc_put_fd(slot, res, 0);
	if (nr == NR_CONNECT) {
		s->w.fdnum = r->args[0];
		s->w.file = r->args[5];
		bc_put_file(slot, 0);
	}
	bc_call_send(s, stream);
unlock:
	bc_unlock(s);
done:
	bpf_map_delete_elem(&pending, &req);
	return 0;
}

/* One pair of programs for each function. */
#define BC_OP(name, stream)                                                                        \
	SEC("fentry/io_" #name)                                                                    \
	int bc_in_##name(unsigned long long *ctx)                                                  \
	{                                                                                          \
		return bc_op_begin(bc_plain(ctx, 0));                                              \
	}                                                                                          \
	SEC("fexit/io_" #name)                                                                     \
	int bc_out_##name(unsigned long long *ctx)                                                 \
	{                                                                                          \
		return bc_op_end(bc_plain(ctx, 0), bc_plain(ctx, 2), stream);                      \
	}

BC_OP(openat2, BC_STREAM_URING_OPEN)
BC_OP(renameat, BC_STREAM_URING_RENAME)
BC_OP(unlinkat, BC_STREAM_URING_UNLINK)
BC_OP(mkdirat, BC_STREAM_URING_MKDIR)
BC_OP(symlinkat, BC_STREAM_URING_SYMLINK)
BC_OP(linkat, BC_STREAM_URING_LINK)
BC_OP(connect, BC_STREAM_URING_CONNECT)
