// Package record keeps what an observer shows in a file, to be looked at again later:
// lines of JSON, a header first and a line with the count of records last.
//
// In goes what a view writes as JSON, a line for each table; out comes the same, or a
// sentence on why it does not. `bearcat record` and `bearcat replay` call it.
package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Version is that of the format. It changes when files of before cannot be read any more.
const Version = 1

// LineMax is how long a line may be. A table of all that a view has room for is shorter.
const LineMax = 64 << 20

// Header is the first line: what the records are of.
type Header struct {
	Version int `json:"bearcat_record"`
	// View is the command, such as "top", and Args what followed it.
	View string   `json:"view"`
	Args []string `json:"args"`
	// Began is when, Host and Kernel where.
	Began   time.Time `json:"began"`
	Host    string    `json:"host"`
	Kernel  string    `json:"kernel"`
	Bearcat string    `json:"bearcat"`
}

// end is the last line.
type end struct {
	Ended   time.Time `json:"ended"`
	Records *uint64   `json:"records"`
}

// Writer writes a file. What it is given may come in pieces; each line is a record.
type Writer struct {
	file *os.File
	part []byte
	// Records and Bytes are what it has written.
	Records uint64
	Bytes   uint64
	// Progress is called after each record; nil for nothing.
	Progress func()
}

// Create begins a file, which only its owner may read, as it tells what programs do. One
// that is there already is left alone.
func Create(path string, h Header) (*Writer, error) {
	h.Version = Version
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("writing the header of a record: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already and is left as it is: remove it, or name another file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("beginning a record: %w", err)
	}
	w := &Writer{file: f}
	if err := w.line(head); err != nil {
		_ = f.Close()
		return nil, err
	}
	return w, nil
}

func (w *Writer) line(text []byte) error {
	n, err := w.file.Write(append(text, '\n'))
	w.Bytes += uint64(n)
	if err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return nil
}

// Write takes JSON, a line for each record.
func (w *Writer) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		at := bytes.IndexByte(w.part, '\n')
		if at < 0 {
			return len(p), nil
		}
		record := w.part[:at:at]
		w.part = w.part[at+1:]
		if !json.Valid(record) {
			return 0, fmt.Errorf("a record is no JSON and is not kept: %.60q", record)
		}
		if err := w.line(record); err != nil {
			return 0, err
		}
		w.Records++
		if w.Progress != nil {
			w.Progress()
		}
	}
}

// Close ends the file. Without it a reader says that the file was cut off.
func (w *Writer) Close() error {
	last, err := json.Marshal(end{time.Now(), &w.Records})
	if err == nil {
		err = w.line(last)
	}
	if e := w.file.Close(); err == nil && e != nil {
		err = fmt.Errorf("ending a record: %w", e)
	}
	return err
}

// Reader reads a file.
type Reader struct {
	Header Header
	in     *bufio.Reader
	n      uint64
	ended  bool
}

// NewReader reads the header.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	line, err := r.line()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: it is no record of bearcat")
	}
	if err != nil {
		return nil, err
	}
	var version struct {
		Version *int `json:"bearcat_record"`
	}
	if err := json.Unmarshal(line, &version); err != nil || version.Version == nil {
		return nil, errors.New("the first line is no header: this is no record of bearcat")
	}
	if *version.Version != Version {
		return nil, fmt.Errorf("the record has version %d and this bearcat reads %d: use the one that wrote it", *version.Version, Version)
	}
	if err := json.Unmarshal(line, &r.Header); err != nil {
		return nil, fmt.Errorf("the header of the record cannot be read: %w", err)
	}
	return r, nil
}

// line reads a whole line. At the end of the file it gives io.EOF, also after a part of
// one.
func (r *Reader) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(whole)+len(part) > LineMax {
			return nil, fmt.Errorf("a line of the record is longer than %d bytes: it is damaged", LineMax)
		}
		whole = append(whole, part...)
		switch {
		case err == nil:
			return whole[:len(whole)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("reading the record: %w", err)
		}
	}
}

// CutError says that a file ends before its last line. What came before is good.
type CutError struct{ Records uint64 }

func (e *CutError) Error() string {
	return fmt.Sprintf("the record was cut off after %d tables: its last line is missing, as when bearcat was killed or the disk was full", e.Records)
}

// Next gives the next record, io.EOF after the last, and a *CutError where the file was
// cut off.
func (r *Reader) Next() (json.RawMessage, error) {
	if r.ended {
		return nil, io.EOF
	}
	line, err := r.line()
	if errors.Is(err, io.EOF) {
		return nil, &CutError{r.n}
	}
	if err != nil {
		return nil, err
	}
	if !json.Valid(line) {
		return nil, fmt.Errorf("record %d is no JSON: the file is damaged there", r.n+1)
	}
	var last end
	if json.Unmarshal(line, &last) != nil || last.Records == nil || last.Ended.IsZero() {
		r.n++
		return line, nil
	}
	if *last.Records != r.n {
		return nil, fmt.Errorf("the record has %d tables and its last line says %d: some are missing", r.n, *last.Records)
	}
	r.ended = true
	if _, err := r.line(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the last line of the record: the file is damaged")
	}
	return nil, io.EOF
}
