package event

// callLines lists the calls: name, type of event, then the arguments in their
// order as NAME:KIND or NAME:KIND=SET, where SET is one of callNames; "-> fd"
// says that the result is a descriptor. Names of arguments are Falco's where it
// has them.
const callLines = `
open               open       name:path flags:flags=open mode:mode -> fd
openat             open       dirfd:dirfd name:path flags:flags=open mode:mode -> fd
openat2            open       dirfd:dirfd name:path how:data size:len -> fd
creat              open       name:path mode:mode -> fd
open_by_handle_at  open       mountfd:dirfd handle:ptr flags:flags=open -> fd
close              close      fd:fd
rename             rename     oldpath:path newpath:path2
renameat           rename     olddirfd:dirfd oldpath:path newdirfd:dirfd2 newpath:path2
renameat2          rename     olddirfd:dirfd oldpath:path newdirfd:dirfd2 newpath:path2 flags:flags=rename
link               link       oldpath:path newpath:path2
linkat             link       olddir:dirfd oldpath:path newdir:dirfd2 newpath:path2 flags:flags=at
symlink            symlink    target:text linkpath:path
symlinkat          symlink    target:text linkdirfd:dirfd linkpath:path
unlink             unlink     path:path
unlinkat           unlink     dirfd:dirfd name:path flags:flags=at
rmdir              rmdir      path:path
mkdir              mkdir      path:path mode:mode
mkdirat            mkdir      dirfd:dirfd path:path mode:mode
mknod              mknod      path:path mode:mode dev:hex
mknodat            mknod      dirfd:dirfd path:path mode:mode dev:hex
chmod              chmod      filename:path mode:mode
fchmod             chmod      fd:fd mode:mode
fchmodat           chmod      dirfd:dirfd filename:path mode:mode
fchmodat2          chmod      dirfd:dirfd filename:path mode:mode flags:flags=at
chown              chown      path:path uid:uid gid:gid
lchown             chown      path:path uid:uid gid:gid
fchown             chown      fd:fd uid:uid gid:gid
fchownat           chown      dirfd:dirfd pathname:path uid:uid gid:gid flags:flags=at
setxattr           setxattr   path:path name:text value:ptr size:len flags:hex
lsetxattr          setxattr   path:path name:text value:ptr size:len flags:hex
fsetxattr          setxattr   fd:fd name:text value:ptr size:len flags:hex
removexattr        setxattr   path:path name:text
lremovexattr       setxattr   path:path name:text
fremovexattr       setxattr   fd:fd name:text
truncate           truncate   path:path length:int
ftruncate          truncate   fd:fd length:int
utime              utimes     path:path times:ptr
utimes             utimes     path:path times:ptr
futimesat          utimes     dirfd:dirfd path:path times:ptr
utimensat          utimes     dirfd:dirfd path:path times:ptr flags:flags=at
ioctl              chattr     fd:fd request:enum=ioctl argument:hex
mount              mount      dev:text dir:path2 type:text flags:flags=mount data:ptr
move_mount         mount      from_dirfd:dirfd from:path to_dirfd:dirfd2 dir:path2 flags:hex
pivot_root         mount      new_root:path put_old:path2
open_tree          mount      dirfd:dirfd path:path flags:hex -> fd
fsopen             mount      type:text flags:hex -> fd
fsconfig           mount      fd:fd cmd:enum=fsconfig key:text value:ptr aux:int
fsmount            mount      fd:fd flags:hex attr_flags:hex -> fd
fspick             mount      dirfd:dirfd path:path flags:hex -> fd
mount_setattr      mount      dirfd:dirfd path:path flags:hex attr:ptr size:len
umount2            umount     name:path flags:flags=umount
chroot             chroot     path:path
memfd_create       memfd      name:text flags:flags=memfd -> fd
splice             splice     fd_in:fd off_in:ptr fd_out:fd2 off_out:ptr size:uint flags:hex
tee                splice     fd_in:fd fd_out:fd2 size:uint flags:hex
vmsplice           splice     fd:fd iov:ptr count:uint flags:hex
sendfile           splice     out_fd:fd2 in_fd:fd offset:ptr size:uint
copy_file_range    splice     fdin:fd offin:ptr fdout:fd2 offout:ptr len:uint flags:hex

socket             socket     domain:enum=family type:enum=socktype proto:enum=sockproto -> fd
connect            connect    fd:fd addr:addr addrlen:len
bind               bind       fd:fd addr:addr addrlen:len
listen             listen     fd:fd backlog:int
accept             accept     listenfd:fd2 addr:ptr addrlen:ptr -> fd
accept4            accept     listenfd:fd2 addr:ptr addrlen:ptr flags:hex -> fd
sendto             send       fd:fd data:data size:uint flags:hex addr:addr addrlen:len
sendmsg            send       fd:fd msg:data flags:hex
sendmmsg           send       fd:fd msg:data count:uint flags:hex
shutdown           shutdown   fd:fd how:enum=shutdown
tcp_state          tcp
dns                dns

dup                dup        oldfd:fd -> fd
dup2               dup        oldfd:fd newfd:int -> fd
dup3               dup        oldfd:fd newfd:int flags:flags=fd -> fd
fcntl              dup        fd:fd cmd:enum=fcntl arg:int -> fd
pipe               pipe       fds:fds
pipe2              pipe       fds:fds flags:flags=fd
socketpair         socketpair domain:enum=family type:enum=socktype proto:enum=sockproto fds:fds
pidfd_getfd        getfd      pidfd:pidfd target_fd:int flags:hex -> fd
scm_rights         passfd     fd:fd

setuid             setuid     uid:uid
setgid             setuid     gid:gid
setreuid           setuid     ruid:uid euid:uid
setregid           setuid     rgid:gid egid:gid
setresuid          setuid     ruid:uid euid:uid suid:uid
setresgid          setuid     rgid:gid egid:gid sgid:gid
setfsuid           setuid     uid:uid
setfsgid           setuid     gid:gid
setgroups          setuid     count:int groups:ptr
capset             capset     header:ptr data:ptr
prctl              prctl      option:enum=prctl arg2:hex arg3:hex arg4:hex arg5:hex
seccomp            prctl      op:enum=seccomp flags:hex args:ptr
setns              setns      fd:fd nstype:flags=clone
unshare            unshare    flags:flags=clone
keyctl             keyctl     option:enum=keyctl arg2:hex arg3:hex arg4:hex arg5:hex
add_key            keyctl     type:text desc:text payload:ptr size:len keyring:int
request_key        keyctl     type:text desc:text callout:ptr keyring:int

ptrace             ptrace     request:enum=ptrace pid:pid addr:hex data:hex
process_vm_readv   process_vm pid:pid local:ptr liovcnt:uint remote:ptr riovcnt:uint flags:hex
process_vm_writev  process_vm pid:pid local:ptr liovcnt:uint remote:ptr riovcnt:uint flags:hex
kill               kill       pid:pid sig:enum=signal
tkill              kill       tid:pid sig:enum=signal
tgkill             kill       pid:pid tid:int sig:enum=signal
pidfd_send_signal  kill       pidfd:pidfd sig:enum=signal info:ptr flags:hex
rt_sigqueueinfo    kill       pid:pid sig:enum=signal info:ptr
process_madvise    madvise    pidfd:pidfd iovec:ptr vlen:uint advice:int flags:hex
userfaultfd        userfaultfd flags:hex -> fd
perf_event_open    perf_event attr:data pid:pid cpu:int group_fd:int flags:hex -> fd
mprotect           mprotect   addr:hex length:uint prot:flags=prot
pkey_mprotect      mprotect   addr:hex length:uint prot:flags=prot pkey:int
mmap               mmap       addr:hex length:uint prot:flags=prot flags:flags=map fd:fd pgoffset:hex

init_module        module     img:ptr length:uint uargs:text
finit_module       module     fd:fd uargs:text flags:hex
delete_module      module     name:text flags:hex
module_load        module     taints:hex
kexec_load         kexec      entry:hex nr_segments:uint segments:ptr flags:hex
kexec_file_load    kexec      kernel_fd:fd initrd_fd:fd2 cmdline_len:len cmdline:ptr flags:hex
bpf                bpf        cmd:enum=bpf attr:data size:len
iopl               iopl       level:int
ioperm             iopl       from:hex num:uint turn_on:int
swapon             swapon     path:path flags:hex
swapoff            swapon     path:path
settimeofday       settime    tv:ptr tz:ptr
clock_settime      settime    clock:int tp:ptr
adjtimex           settime    buf:ptr
clock_adjtime      settime    clock:int buf:ptr
reboot             reboot     magic:hex magic2:hex cmd:hex arg:ptr
io_uring_setup     io_uring   entries:uint params:ptr -> fd
io_uring_op        io_uring   opcode:enum=uring fd:int
`
