/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the programs for calls have in common: the table that says which calls
 * are wanted and how they are described, and the record's fixed part.
 */
#ifndef BEARCAT_CALL_H
#define BEARCAT_CALL_H

#include "record.h"
#include "scope.h"
#include "scratch.h"
#include "section.h"
#include "transport.h"
#include <bpf/bpf_tracing.h>

#define CALLS 512 /* numbers of a table; the 32-bit table lies behind it */
#define TS_COMPAT 2
#define X32_BIT 0x40000000u
#define NO_ARG 7

/* How a call is looked at before it is described (enum filter in table.go). */
enum bc_filter {
	BC_F_NONE = 0,
	BC_F_FCNTL,
	BC_F_IOCTL,
	BC_F_PRCTL,
	BC_F_MMAP,
	BC_F_MPROTECT,
	BC_F_KILL,
	BC_F_PTRACE,
	BC_F_BPF,
	BC_F_OPEN,
	BC_F_CONNECT,
	BC_F_NET, /* sends and receives: see bc_on_net */
	BC_F_SIGNAL,
	BC_F_DUP,
	BC_F_ACCEPT,
	BC_F_SOCKET,
};

enum bc_net {
	BC_NET_SENDTO = 1,
	BC_NET_SENDMSG,
	BC_NET_SENDMMSG,
	BC_NET_WRITE,
	BC_NET_WRITEV,
	BC_NET_RECVFROM,
	BC_NET_RECVMSG,
	BC_NET_RECVMMSG,
	BC_NET_READ,
	BC_NET_READV,
};

enum bc_desc_flags {
	BC_D_WANTED = 1,
	BC_D_REPORT = 2, /* the call itself is reported, not only looked at */
	BC_D_SUCCESS = 4, /* only where it succeeded */
	BC_D_RETFD = 8,
	BC_D_FDS = 16,  /* fd[0] points to two descriptors */
	BC_D_CRED = 32, /* credentials after the call */
};

/* Arguments are given by index; NO_ARG for none. */
struct bc_desc {
	u8 flags;
	u8 stream;
	u8 filter;
	u8 net;
	u8 path[2];
	u8 dirfd[2];
	u8 fd[2];
	u8 text[2];
	u8 addr;
	u8 addrlen;
	u8 how; /* openat2's */
	u8 aux; /* of an open its flags, of a kill its signal */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * CALLS);
	__type(key, u32);
	__type(value, struct bc_desc);
} calls SEC(".maps");

/* Which lengths the components have that a kind of opens is wanted by: bit 31 for all
 * that are longer. Most components are told apart by it, without their names. */
struct bc_open_lens {
	u32 name;
	u32 dir;
	u32 first;
	u32 second; /* bit 0: any, or none */
};

/* What user space may change while the program runs. */
struct bc_settings {
	u32 own;  /* the agent's own process, whose bulk calls are left out; 0 for none */
	u32 open; /* enum bc_open: which opens are reported */
	u32 dns;  /* DNS messages are reported */
	u32 send; /* first datagrams are */
	u32 passfd;
	u32 level; /* enum bc_level: how much of the bulk class is left out */
	/* Kinds of opens (enum bc_open): those that are wanted for some paths only,
	 * and of these those with ends of names, first components, or a ".." among
	 * what is wanted. See openpath.h. */
	u32 paths;
	u32 exts;
	u32 tops;
	u32 dotdot;
	u32 tails;
	u32 dirs;
	struct bc_open_lens lens[8]; /* by kind */
	u32 dup_stdio; /* of dups only those onto descriptors 0 to 2 are reported */
	u32 accept_relay; /* of accepts only those of processes whose input is a pipe */
	u32 connects;      /* connects are wanted by their address, see connect.h: which set
			    * of rules says so; 0 for all */
	u32 connect_other; /* and those of other families than the internet's */
	u16 sockets[64];   /* by family: a bit for each kind that is wanted */
};

/* What is left out where the agent may not cost more; each step beside those
 * before it. Calls of the critical class are never left out. */
enum bc_level {
	BC_LEVEL_ALL = 0,
	BC_LEVEL_READS = 1,   /* opens for reading only */
	BC_LEVEL_REPEATS = 2, /* what a process repeats within a second */
	BC_LEVEL_SAMPLE = 3,  /* fifteen of sixteen */
};

/* Opens are by far the most frequent of all: what no rule asks for is left out
 * before anything of it is read. */
enum bc_open {
	BC_OPEN_READ = 1,   /* for reading only, and succeeded */
	BC_OPEN_WRITE = 2,  /* for writing, or creating */
	BC_OPEN_FAILED = 4, /* failed, whatever it was for */
	BC_OPEN_RELAY = 8,  /* of a FIFO or /dev/ptmx, by which processes hand on data */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct bc_settings);
} settings SEC(".maps");

static __always_inline u64 bc_arg(struct bc_call *r, u32 i)
{
	return i < 6 ? r->args[i] : 0;
}

static __always_inline bool bc_current_in_scope(u64 task)
{
	u32 tgid;

	if (scope_kind == BC_SCOPE_HOST)
		return true;
	if (scope_kind == BC_SCOPE_PID) {
		tgid = bpf_get_current_pid_tgid() >> 32;
		return bpf_map_lookup_elem(&scope_tgids, &tgid) != NULL;
	}
	return bc_task_in_cgroup(task);
}

static __always_inline struct bc_settings *bc_get_settings(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

/* The fixed part of a record about the current task. */
static __always_inline void bc_call_fill(struct bc_scratch *s, struct bc_call *r, u64 task)
{
	const struct cred *c = BPF_CORE_READ((struct task_struct *)task, cred);
	struct task_struct *leader = BPF_CORE_READ((struct task_struct *)task, group_leader);
	struct bc_caps caps = {};
	u64 id = bpf_get_current_pid_tgid();

	s->w.task = task;
	s->w.tid = (u32)id;
	s->w.off = sizeof(*r);
	r->key.pid = id >> 32;
	r->key.pad = 0;
	r->key.start = BPF_CORE_READ(leader, start_boottime);
	fix_read_caps(&caps, c);
	r->caps = caps.effective;
	r->uid = BPF_CORE_READ(c, uid.val);
	r->gid = BPF_CORE_READ(c, gid.val);
	r->euid = BPF_CORE_READ(c, euid.val);
	r->egid = BPF_CORE_READ(c, egid.val);
	r->op = BC_OP_CALL;
	r->mnt_ns = 0;
	bpf_probe_read_kernel(r->comm, sizeof(r->comm), &leader->comm);
}

/* The mount namespace of the thread; 0 where it has left it, at its end. On the way lies
 * what scratch has room for: the stack of who calls this has none. */
static __always_inline void bc_put_mount_ns(struct bc_scratch *s, struct bc_call *r)
{
	u64 at = s->w.task;

	bpf_core_read(&s->w.kn, 8, &((struct task_struct *)at)->nsproxy);
	at = s->w.kn;
	bpf_core_read(&s->w.kn, 8, &((struct nsproxy *)at)->mnt_ns);
	at = s->w.kn;
	bpf_core_read(&r->mnt_ns, sizeof(r->mnt_ns), &((struct mnt_namespace *)at)->ns.inum);
}

/* Numbers the record in scratch and sends it. */
static __always_inline void bc_call_send(struct bc_scratch *s, u32 stream)
{
	struct bc_counter *c = bc_count(stream);
	struct bc_call *r = (struct bc_call *)s->data;
	u32 len = s->w.off;

	if (!c)
		return;
	bc_put_mount_ns(s, r);
	bc_header(&r->hdr, c, BC_CALL, stream, s->w.tid);
	bc_opaque(len);
	if (len > BC_BUF)
		len = BC_BUF;
	if (stream == BC_STREAM_CALL)
		bc_send_critical(c, r, len);
	else
		bc_send_bulk(c, r, len);
}

/* The kind of an open (enum bc_open); flags are its O_ flags. */
static __always_inline u32 bc_open_kind(struct bc_call *r, u64 flags)
{
	if (r->ret < 0)
		return BC_OPEN_FAILED;
	/* O_ACCMODE, O_CREAT, O_TRUNC */
	if (flags & (3 | 0100 | 01000))
		return BC_OPEN_WRITE;
	return BC_OPEN_READ;
}

#define PTMX (5 << 20 | 2) /* its device */

/* Whether a file is a FIFO or /dev/ptmx. */
static __always_inline bool bc_file_is_relay(u64 f)
{
	struct inode *i;
	u32 type;

	if (!f)
		return false;
	i = BPF_CORE_READ((struct file *)f, f_inode);
	type = BPF_CORE_READ(i, i_mode) & S_IFMT;
	return type == S_IFIFO || (type == S_IFCHR && BPF_CORE_READ(i, i_rdev) == PTMX);
}

static __always_inline bool bc_is_relay(s32 fd)
{
	return bc_file_is_relay(bc_file_at(bpf_get_current_task(), fd));
}

/* Whether an open is asked for; flags are its O_ flags. */
static __always_inline bool bc_open_wanted(struct bc_call *r, u64 flags)
{
	struct bc_settings *set = bc_get_settings();
	u32 want;

	if (!set)
		return false;
	want = set->open;
	if (want & bc_open_kind(r, flags))
		return true;
	return r->ret >= 0 && want & BC_OPEN_RELAY && bc_is_relay(r->ret);
}

#endif
