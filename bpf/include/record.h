/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What goes through the rings. Go's structs are generated from these types.
 * Keep every member naturally aligned and the sizes multiples of 8.
 */
#ifndef BEARCAT_RECORD_H
#define BEARCAT_RECORD_H

#include "vmlinux.h"

enum bc_kind {
	BC_EXEC = 1,
	BC_FORK = 2,
	BC_EXIT = 3,
	BC_COMM = 4,
	BC_CHUNK = 5, /* a piece of argv or environment, before its BC_EXEC */
	BC_TASK = 6,  /* the task iterator: a process that is already there */
	BC_CALL = 7,  /* a system call, or an operation like one */
};

/*
 * A stream is numbered without holes on each CPU: one for each program, since
 * a program never runs twice at once on a CPU, but two programs may, where
 * tracepoints are preemptible (7.x). A program's second copy (transport.h)
 * has the numbers from BC_STREAMS on, and so forth.
 */
enum bc_stream {
	BC_STREAM_EXEC = 0,
	BC_STREAM_FORK = 1,
	BC_STREAM_EXIT = 2,
	BC_STREAM_COMM = 3,
	BC_STREAM_CALL = 4,      /* calls of the critical class */
	BC_STREAM_CALL_BULK = 5, /* and of the bulk class */
	BC_STREAM_TCP = 6,
	BC_STREAM_MODULE = 7,
	/* From here on, operations of io_uring, one stream for each function. */
	BC_STREAM_URING_SUBMIT = 8,
	BC_STREAM_URING_OPEN = 9,
	BC_STREAM_URING_RENAME = 10,
	BC_STREAM_URING_UNLINK = 11,
	BC_STREAM_URING_MKDIR = 12,
	BC_STREAM_URING_SYMLINK = 13,
	BC_STREAM_URING_LINK = 14,
	BC_STREAM_URING_CONNECT = 15,
	BC_STREAM_CLOSE = 16,
	BC_STREAMS = 24,
	BC_COPIES_MAX = 4,
};

struct bc_hdr {
	u64 boot; /* ns, CLOCK_BOOTTIME */
	u64 seq;  /* from 1, in its stream on its CPU */
	u32 tid;
	u16 cpu;
	u8 kind;
	u8 stream;
};

struct bc_key {
	u64 start; /* ns, CLOCK_BOOTTIME, of the group leader */
	u32 pid;
	u32 pad;
};

struct bc_task {
	struct bc_key key;
	struct bc_key parent;
	u32 ppid;
	u32 ns_pid;
	u32 ns_ppid;
	u32 sid;
	u32 pgid;
	u32 ns_sid;
	u32 ns_pgid;
	u32 kthread;
	u8 comm[16];
};

struct bc_cred {
	u32 uid, gid, euid, egid, suid, sgid, fsuid, fsgid;
	u32 loginuid, sessionid;
	u32 no_new_privs;
	u32 pad;
	u64 effective, permitted, inheritable, bounding, ambient;
};

/* Flags of a path in the record. */
enum bc_path_flags {
	BC_PATH_CUT = 1,     /* longer than the buffer: the root's end is missing */
	BC_PATH_PSEUDO = 2,  /* not in any tree: memfd, anon_inode */
	BC_PATH_AT_ROOT = 4, /* the walk met the process's root, at root_at */
	BC_PATH_UNLINKED = 8,
};

/* A path: "/leaf/parent/..." in the record's variable part. */
struct bc_path {
	u32 len;
	u32 root_at; /* bytes of it that lie below the process's root */
	u32 flags;
	u32 pad;
};

struct bc_file {
	u64 dev; /* the kernel's dev_t: major << 20 | minor */
	u64 inode;
	s64 mtime, ctime; /* ns since 1970 */
	u32 nlink, mode, uid, gid;
	u32 rdev;
	u32 magic;
	u32 upper; /* overlayfs: the file is in the upper layer */
	u32 nosuid;
};

struct bc_sock {
	u16 family, type, proto, state;
	u16 lport, rport; /* host order */
	u16 llen, rlen;   /* unix: bytes of local and remote name */
	u8 laddr[16];
	u8 raddr[16];
};

/* File descriptors 0, 1 and 2. */
struct bc_stdio {
	u64 inode;
	u32 open; /* 0 closed, 1 open, 2 the same open file as fd 0, 3 as fd 1 */
	u32 mode;
	u32 rdev;
	u32 magic;
	struct bc_path path;
	struct bc_sock sock;
};

struct bc_ns {
	u32 pid, mnt, net, uts, user, cgroup, ipc;
	u32 pad;
};

enum bc_exec_flags {
	BC_EXEC_AT = 1,         /* execveat on a descriptor */
	BC_EXEC_SECURE = 2,     /* AT_SECURE */
	BC_EXEC_CHUNKED = 4,    /* argv and environment came in chunks before */
	BC_EXEC_UNREADABLE = 8, /* a page of argv or environment was not there */
	BC_EXEC_CGROUP1 = 16,   /* the cgroup is of a v1 hierarchy */
};

/*
 * BC_EXEC and BC_TASK. Behind it, in this order: exe path, cwd, the paths (or
 * unix names) of fd 0 to 2, cgroup path, filename, interp, argv, environment.
 */
struct bc_exec {
	struct bc_hdr hdr;
	struct bc_task task;
	struct bc_cred cred;
	struct bc_ns ns;
	struct bc_file exe;
	struct bc_path exe_path;
	struct bc_path cwd;
	struct bc_stdio fd[3];
	u64 cgroup_id;
	u64 exec_boot;
	u32 cgroup_len;
	u32 filename_len; /* without NUL, as interp_len */
	u32 interp_len;
	u32 argc;
	u32 argv_full; /* bytes there are, NULs included */
	u32 argv_len;  /* bytes delivered, here or in chunks */
	u32 env_full;
	u32 env_len;
	u32 old_tid;
	u32 flags;
	u32 tty_dev;
	u32 pad;
	u8 tty[64];
	u8 nodename[65];
	u8 pad2[7];
};

struct bc_fork {
	struct bc_hdr hdr;
	struct bc_task task;
	struct bc_key creator;
	u64 cgroup_id;
};

struct bc_exit {
	struct bc_hdr hdr;
	struct bc_key key;
	u64 cpu_ns, utime_ns, stime_ns;
	u64 maxrss_pages;
	u32 code;
	u32 ppid;
	struct bc_key parent;
	u8 comm[16];
};

struct bc_comm {
	struct bc_hdr hdr;
	struct bc_key key;
	u8 old_comm[16];
	u8 new_comm[16];
};

/* What a BC_CALL tells of, where that is not the call numbered nr itself. */
enum bc_op {
	BC_OP_CALL = 0,
	BC_OP_DNS = 1,    /* a message to or from a name server, in DATA */
	BC_OP_PASSFD = 2, /* descriptors sent through a unix socket */
	BC_OP_TCP = 3,    /* args: old and new state, bytes sent and received, ns */
	BC_OP_MODULE = 4, /* a module was loaded: its name in TEXT, args[0] its taints */
	BC_OP_URING = 5,  /* args: opcode and descriptor of an operation that was submitted */
	BC_OP_OPS = 6,
};

enum bc_call_flags {
	BC_CALL_COMPAT = 1, /* nr is of the 32-bit table */
	BC_CALL_IN = 2,     /* BC_OP_DNS: received */
	BC_CALL_STREAM = 4, /* BC_OP_DNS: over TCP */
	BC_CALL_URING = 8,
};

/*
 * A system call on its return. Behind it come sections, each a struct bc_sec
 * at a multiple of 8 bytes and its contents.
 */
struct bc_call {
	struct bc_hdr hdr;
	struct bc_key key;
	s64 ret;
	u64 args[6];
	u64 caps; /* effective */
	u32 nr;
	u32 flags;
	u32 uid, gid, euid, egid;
	u32 op;
	u32 mnt_ns; /* of the thread; 0 where nobody looked */
	u8 comm[16];
};

enum bc_sec_tag {
	BC_SEC_TEXT = 1, /* a string of the caller; slot 0 or 1 a path's, 2 a name's */
	BC_SEC_BASE = 2, /* struct bc_path and its bytes: where path 0 or 1 starts */
	BC_SEC_FD = 3,   /* struct bc_fd and its path or names; slot 0 or 1 */
	BC_SEC_ADDR = 4, /* a socket address as passed */
	BC_SEC_DATA = 5, /* bytes as passed */
	BC_SEC_CRED = 6, /* struct bc_cred, after the call */
	BC_SEC_INSNS = 7, /* struct bc_insns */
};

enum bc_sec_flags {
	BC_SEC_CUT = 1,
	BC_SEC_UNREADABLE = 2,
};

struct bc_sec {
	u8 tag;
	u8 slot;
	u16 flags;
	u32 len;
};

struct bc_fd {
	s32 num;
	u32 open;  /* 0: nothing stands behind it */
	u32 fmode; /* the kernel's f_mode */
	u32 fflags;
	struct bc_file file;
	struct bc_path path;
	struct bc_sock sock;
};

/* An open file of a list, and behind it the section that describes it. */
struct bc_listed {
	struct bc_key key;
	s64 pos;
	u32 tid; /* of a thread with descriptors of its own */
	u32 len; /* of all */
	u64 dentry, mnt, root; /* whose path it has, seen from where */
	u32 told; /* a record before had the path, and this one has none */
	/* Of sockets that sock_diag is not asked about: bytes of memory that wait to be read
	 * and to be sent, packets that were dropped, and the network namespace. */
	u32 queue; /* whether they are known */
	u32 receive, send, drops, net_ns;
};

/* What a list of processes tells of one; behind it the paths of its program and of its
 * control group, each only where no record before had it. The last record has no
 * process, and in pid the number of those there were, zombies as well. */
struct bc_brief {
	u32 len; /* of all */
	u32 flags;
	u32 pid, ppid;
	u64 start, parent_start;
	u32 uid, gid, euid, loginuid;
	u32 mnt_ns, net_ns;
	u32 tty_dev;
	u32 cgroup_len;
	u64 cgroup; /* its id, and whose path it has */
	u64 dentry, mnt; /* of the program: whose path it has */
	u64 inode;
	u32 nlink, magic;
	struct bc_path exe;
	u8 comm[16];
	u8 tty[16];
};

enum bc_brief_flags {
	BC_BRIEF_KTHREAD = 1,
	BC_BRIEF_LAST = 2,
	BC_BRIEF_EXE = 4,    /* its path follows, which may be empty */
	BC_BRIEF_CGROUP = 8, /* the same of the control group */
};

#define BC_HELPERS_MAX 32

struct bc_insns {
	u32 count;   /* instructions there are */
	u32 looked;  /* instructions looked at */
	u32 helpers; /* of these, calls of distinct helpers, at most BC_HELPERS_MAX told */
	u32 pad;
	u32 helper[BC_HELPERS_MAX];
};

#define BC_CHUNK_BYTES 32768

struct bc_chunk {
	struct bc_hdr hdr;
	struct bc_key key;
	u32 len;
	u32 env; /* 0 argv, 1 environment */
	u32 off; /* of this piece in its block */
	u32 unreadable;
};

#endif
