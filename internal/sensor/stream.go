package sensor

import (
	"fmt"
	"io"
)

// Stream reads records one after the other as they come: there may be millions. next takes
// the first of raw apart and returns its length, or 0 where it is not whole yet.
func Stream(rd io.Reader, next func(raw []byte) (int, error)) error {
	const most = 1 << 18 // several times what one record can have
	buf := make([]byte, 0, most)
	for {
		n, failed := rd.Read(buf[len(buf):most])
		buf = buf[:len(buf)+n]
		rest := buf
		for len(rest) > 0 {
			used, err := next(rest)
			if err != nil {
				return err
			}
			if used == 0 {
				break
			}
			rest = rest[used:]
		}
		if len(rest) == most || failed == io.EOF && len(rest) > 0 {
			return fmt.Errorf("%d bytes are left, which are no record", len(rest))
		}
		if failed == io.EOF {
			return nil
		}
		if failed != nil {
			return failed
		}
		buf = append(buf[:0], rest...)
	}
}
