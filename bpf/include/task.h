/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What can be said of a task: identity, credentials, namespaces, terminal. */
#ifndef BEARCAT_TASK_H
#define BEARCAT_TASK_H

#include "core_fixes.h"
#include "record.h"

#define PF_KTHREAD 0x00200000
#define PIDTYPE_PGID 2
#define PIDTYPE_SID 3

/*
 * The number of a struct pid at a level, if it is known there. The pointer
 * must come from a probe read: up to 6.1 the verifier allows no arithmetic
 * with variables on those it tracks itself.
 */
static __always_inline u32 bc_pid_nr(struct pid *pid, u32 level, u64 *ns)
{
	struct upid u = {};
	u64 at;

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	at = (u64)pid + bpf_core_field_offset(struct pid, numbers) +
	     level * bpf_core_type_size(struct upid);
	if (bpf_probe_read_kernel(&u, sizeof(u), (void *)at))
		return 0;
	if (ns) {
		if (*ns && *ns != (u64)u.ns)
			return 0;
		*ns = (u64)u.ns;
	}
	return u.nr;
}

static __always_inline void bc_fill_key(struct bc_key *k, struct task_struct *t)
{
	k->pid = t->tgid;
	k->start = t->group_leader->start_boottime;
	k->pad = 0;
}

static __always_inline void bc_fill_task(struct bc_task *o, struct task_struct *t, u64 *pidns)
{
	struct task_struct *parent = t->real_parent;
	struct pid *pid = t->group_leader->thread_pid;
	struct pid *sid = t->signal->pids[PIDTYPE_SID];
	struct pid *pgid = t->signal->pids[PIDTYPE_PGID];
	u32 level = pid ? pid->level : 0;
	u64 ns = 0;

	bc_fill_key(&o->key, t);
	bc_fill_key(&o->parent, parent);
	o->ppid = o->parent.pid;
	o->sid = sid ? sid->numbers[0].nr : 0;
	o->pgid = pgid ? pgid->numbers[0].nr : 0;
	if (level == 0) {
		/* Outside of containers all namespaces are the initial one. */
		o->ns_pid = o->key.pid;
		o->ns_ppid = o->ppid;
		o->ns_sid = o->sid;
		o->ns_pgid = o->pgid;
		*pidns = pid ? (u64)pid->numbers[0].ns : 0;
	} else {
		o->ns_pid = bc_pid_nr(BPF_CORE_READ(t, group_leader, thread_pid), level, &ns);
		o->ns_ppid = bc_pid_nr(BPF_CORE_READ(parent, group_leader, thread_pid), level, &ns);
		o->ns_sid = bc_pid_nr(BPF_CORE_READ(t, signal, pids[PIDTYPE_SID]), level, NULL);
		o->ns_pgid = bc_pid_nr(BPF_CORE_READ(t, signal, pids[PIDTYPE_PGID]), level, NULL);
		*pidns = ns;
	}
	o->kthread = (t->flags & PF_KTHREAD) != 0;
	bpf_probe_read_kernel(o->comm, sizeof(o->comm), t->comm);
}

#define PFA_NO_NEW_PRIVS 0

static __always_inline void bc_fill_cred(struct bc_cred *o, struct task_struct *t)
{
	const struct cred *c = t->cred;
	struct bc_caps caps = {};

	o->uid = c->uid.val;
	o->gid = c->gid.val;
	o->euid = c->euid.val;
	o->egid = c->egid.val;
	o->suid = c->suid.val;
	o->sgid = c->sgid.val;
	o->fsuid = c->fsuid.val;
	o->fsgid = c->fsgid.val;
	o->loginuid = ~0u;
	o->sessionid = ~0u;
	if (bpf_core_field_exists(t->loginuid))
		o->loginuid = t->loginuid.val;
	if (bpf_core_field_exists(t->sessionid))
		o->sessionid = t->sessionid;
	o->no_new_privs = (t->atomic_flags >> PFA_NO_NEW_PRIVS) & 1;
	o->pad = 0;
	fix_read_caps(&caps, c);
	o->effective = caps.effective;
	o->permitted = caps.permitted;
	o->inheritable = caps.inheritable;
	o->bounding = caps.bounding;
	o->ambient = caps.ambient;
}

static __always_inline void bc_fill_ns(struct bc_ns *o, struct task_struct *t, u64 pidns)
{
	struct nsproxy *n = t->nsproxy;

	__builtin_memset(o, 0, sizeof(*o));
	if (pidns)
		o->pid = BPF_CORE_READ((struct pid_namespace *)pidns, ns.inum);
	o->user = t->cred->user_ns->ns.inum;
	if (!n)
		return;
	o->mnt = n->mnt_ns->ns.inum;
	o->net = n->net_ns->ns.inum;
	o->uts = n->uts_ns->ns.inum;
	o->ipc = n->ipc_ns->ns.inum;
	o->cgroup = n->cgroup_ns->ns.inum;
}

/*
 * The directory of a task's control group. On a host with v1 hierarchies the v2 path
 * is often just the root: there it is the one for pids, and *v1 is set.
 */
static __always_inline struct kernfs_node *bc_cgroup_of(struct task_struct *t, bool *v1)
{
	struct css_set *set = t->cgroups;
	struct kernfs_node *kn = set->dfl_cgrp->kn;

	if (!fix_kernfs_parent((u64)kn) &&
	    bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		struct cgroup_subsys_state *css = NULL;
		struct kernfs_node *old;

		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
					      8 * bpf_core_enum_value(enum cgroup_subsys_id,
								      pids_cgrp_id));
		old = BPF_CORE_READ(css, cgroup, kn);
		if (old && fix_kernfs_parent((u64)old)) {
			kn = old;
			*v1 = true;
		}
	}
	return kn;
}

/* A terminal in the device encoding of stat(2). */
static __always_inline u32 bc_tty_dev(struct tty_struct *tty)
{
	u32 major = tty->driver->major;
	u32 minor = tty->driver->minor_start + tty->index;

	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static __always_inline void bc_fill_tty(struct bc_exec *e, struct task_struct *t)
{
	struct tty_struct *tty = t->signal->tty;

	e->tty_dev = 0;
	e->tty[0] = 0;
	if (!tty)
		return;
	e->tty_dev = bc_tty_dev(tty);
	bpf_core_read(e->tty, sizeof(e->tty), &tty->name);
}

#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define MNT_NOSUID 1
#define SB_NOEXEC 8

static __always_inline void bc_fill_file(struct bc_file *o, struct file *f)
{
	struct inode *i = f->f_inode;
	u64 upper = 0;

	o->dev = i->i_sb->s_dev;
	o->inode = i->i_ino;
	o->mtime = fix_inode_mtime(i);
	o->ctime = fix_inode_ctime(i);
	o->nlink = i->i_nlink;
	o->mode = i->i_mode;
	o->uid = i->i_uid.val;
	o->gid = i->i_gid.val;
	o->rdev = 0;
	o->magic = i->i_sb->s_magic;
	o->nosuid = f->f_path.mnt->mnt_flags & MNT_NOSUID;
	o->upper = 0;
	/*
	 * overlayfs keeps its inode around the VFS one, with __upperdentry right
	 * behind it (since 4.19); the type itself is in a module's BTF.
	 */
	if (o->magic == OVERLAYFS_SUPER_MAGIC) {
		bpf_probe_read_kernel(&upper, sizeof(upper),
				      (void *)i + bpf_core_type_size(struct inode));
		o->upper = upper != 0;
	}
}

#endif
