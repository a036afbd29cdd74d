package call

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// privateMounts gives the child a mount namespace whose mounts reach nobody.
func privateMounts() {
	must(unix.Unshare(unix.CLONE_NEWNS))
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

func childChroot(args []string) {
	dir := args[0]
	must(os.MkdirAll(dir+"/jail/sub", 0o755))
	must(os.WriteFile(dir+"/jail/sub/f", nil, 0o600))
	out, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(err)
	d := do("chroot", dir+"/none")
	tell(d)
	d = do("chroot", dir+"/jail")
	tell(d)
	must(unix.Chdir("/sub"))
	inJail := func(d done) { d.Root = dir + "/jail"; tell(d) }
	inJail(do("open", "/sub/f", unix.O_RDONLY))
	inJail(do("open", "f", unix.O_RDONLY))
	inJail(do("open", "/none", unix.O_RDONLY))
	inJail(do("mkdir", "/made", 0o755))
	inJail(do("openat", out, "jail", unix.O_RDONLY))
	inJail(do("chroot", "/sub"))
}

func childMounts(args []string) {
	dir := args[0]
	privateMounts()
	for _, d := range []string{"a", "b", "c", "d"} {
		must(os.Mkdir(dir+"/"+d, 0o755))
	}
	tell(do("mount", "none", dir+"/none", "tmpfs", 0, uintptr(0)))
	tell(do("mount", "bearcat", dir+"/a", "tmpfs", unix.MS_NOSUID, "size=1m"))
	tell(do("mount", dir+"/a", dir+"/b", "", unix.MS_BIND, uintptr(0)))
	must(os.WriteFile(dir+"/a/f", nil, 0o600))
	tell(closed(do("open", dir+"/b/f", unix.O_RDONLY)))
	tell(do("umount2", dir+"/b", unix.MNT_DETACH))
	tell(do("umount2", dir+"/b", 0))
	tree := tell(do("open_tree", at, dir+"/a", 1)) // OPEN_TREE_CLONE
	must(os.Chdir(dir))
	if tree.Ret >= 0 {
		tell(do("move_mount", int(tree.Ret), "", at, "c", 4)) // MOVE_MOUNT_F_EMPTY_PATH
	}
	fs := tell(do("fsopen", "tmpfs", 0))
	tell(do("fsconfig", int(fs.Ret), 1, "size", raw("1m\x00"), 0))
	tell(do("fsconfig", int(fs.Ret), 6, uintptr(0), uintptr(0), 0))
	if m := tell(do("fsmount", int(fs.Ret), 0, 0)); m.Ret >= 0 {
		tell(do("move_mount", int(m.Ret), "", at, dir+"/d", 4))
	}
	tell(do("fspick", at, dir+"/a", 0))
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC}
	tell(do("mount_setattr", at, dir+"/a", 0, unsafe.Pointer(attr), int(unsafe.Sizeof(*attr))))
	for _, d := range []string{"a", "c", "d"} {
		_ = unix.Unmount(dir+"/"+d, unix.MNT_DETACH)
	}
}

func childPivot(args []string) {
	dir := args[0]
	privateMounts()
	must(unix.Mount("new", dir, "tmpfs", 0, ""))
	must(os.Mkdir(dir+"/old", 0o755))
	tell(do("pivot_root", dir, dir+"/nonesuch"))
	tell(do("pivot_root", dir, dir+"/old"))
	must(unix.Chdir("/"))
	tell(do("umount2", "/old", unix.MNT_DETACH))
}

func childOverlay(args []string) {
	dir := args[0]
	privateMounts()
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		must(os.Mkdir(dir+"/"+d, 0o755))
	}
	must(os.WriteFile(dir+"/lower/f", []byte("x"), 0o600))
	must(unix.Mount("overlay", dir+"/merged", "overlay", 0, "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work"))
	tell(closed(do("open", dir+"/merged/f", unix.O_RDONLY)))
	tell(closed(do("open", dir+"/merged/g", unix.O_WRONLY|unix.O_CREAT, 0o600)))
	tell(closed(do("open", dir+"/merged/f", unix.O_RDWR)))
	must(unix.Unmount(dir+"/merged", unix.MNT_DETACH))
}
