package process

import (
	"io/fs"
	"syscall"
)

// inode returns the inode number behind a FileInfo, 0 where there is none.
func inode(st fs.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
