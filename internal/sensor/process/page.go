package process

import "os"

// pageSize turns the kernel's counts of pages into bytes.
var pageSize = uint64(os.Getpagesize())
