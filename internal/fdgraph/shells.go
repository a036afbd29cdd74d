package fdgraph

import (
	"path"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// isShell reports whether a program reads commands from its input: a shell, or
// the interpreter of a language. It goes by the program's file and by the name
// under which it was started, so that a copy with another name has to give up
// both.
func isShell(i *event.Image) bool {
	if i == nil {
		return false
	}
	if shellName(path.Base(i.Exe.Path)) {
		return true
	}
	return len(i.Argv) > 0 && shellName(strings.TrimPrefix(path.Base(i.Argv[0]), "-"))
}

func shellName(s string) bool {
	switch s {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "lksh", "pdksh", "oksh", "tcsh", "csh", "fish", "rbash", "yash",
		"posh", "bash-static", "zsh5", "zsh-static", "busybox", "toybox", "pwsh", "nu", "xonsh", "elvish":
		return true
	}
	// python3.12, perl5.36.0, php8.2, ruby3.1, lua5.4
	name := strings.TrimRight(s, "0123456789.")
	switch name {
	case "python", "pypy", "perl", "ruby", "php", "php-cli", "lua", "luajit", "node", "nodejs", "tclsh", "expect", "jjs", "jrunscript", "irb", "guile", "gdb":
		return true
	}
	return false
}
