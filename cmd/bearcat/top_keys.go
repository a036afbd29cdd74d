package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// key is what was pressed: a rune, or one of those below.
type key rune

const (
	keyUp key = -1 - iota
	keyDown
	keyEnter
	keyEscape
	keyErase
)

// listen takes keys from a terminal as they are pressed, without showing them. Restore
// gives the terminal back as it was; ok is false where there is none.
func listen(in io.Reader) (keys <-chan key, restore func(), ok bool) {
	file, isFile := in.(*os.File)
	if !isFile {
		return nil, nil, false
	}
	fd := int(file.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, nil, false
	}
	now := *was
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, &now) != nil {
		return nil, nil, false
	}
	pressed := make(chan key, 64)
	go func() { // it ends with the process, or with the terminal
		defer close(pressed)
		buf := make([]byte, 256)
		for {
			n, err := file.Read(buf)
			if err != nil || n == 0 {
				return
			}
			for _, k := range keysOf(buf[:n]) {
				pressed <- k
			}
		}
	}()
	return pressed, func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }, true
}

// keysOf reads what a terminal sends. An escape with nothing behind it is the key, and what
// is not known is left out.
func keysOf(b []byte) (keys []key) {
	text := []rune(string(b))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '\r' || r == '\n':
			keys = append(keys, keyEnter)
		case r == 0x7f || r == '\b':
			keys = append(keys, keyErase)
		case r == 0x1b && i+1 < len(text) && (text[i+1] == '[' || text[i+1] == 'O'):
			i += 2
			for i < len(text) && (text[i] < '@' || text[i] > '~') { // parameters
				i++
			}
			if i < len(text) && text[i] == 'A' {
				keys = append(keys, keyUp)
			} else if i < len(text) && text[i] == 'B' {
				keys = append(keys, keyDown)
			}
		case r == 0x1b:
			keys = append(keys, keyEscape)
		case r >= ' ' && r != '\ufffd':
			keys = append(keys, key(r))
		}
	}
	return keys
}
