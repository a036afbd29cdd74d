package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// unknown says that there is no such histogram, graph or view, and which is meant.
func unknown[T any](what, word string, all []T, name func(T) string) error {
	names := make([]string, 0, len(all))
	for _, x := range all {
		names = append(names, name(x))
	}
	if near := event.Nearest(word, names); near != "" {
		return fmt.Errorf("there is no %s %q: did you mean %s?", what, word, near)
	}
	return fmt.Errorf("there is no %s %q: there are %s", what, word, strings.Join(names, ", "))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := file.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
