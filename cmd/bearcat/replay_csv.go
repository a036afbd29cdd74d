package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// writeCSV writes rows, a slice of structs: a column for each field that their JSON has.
// The names of the columns come first, once.
func (o *replayOptions) writeCSV(w io.Writer, at time.Time, rows any) error {
	v := reflect.ValueOf(rows)
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Struct {
		return fmt.Errorf("%T has no rows to write", rows)
	}
	out := csv.NewWriter(w)
	var fields []int
	names := []string{"time"}
	for i := range v.Type().Elem().NumField() {
		name, _, _ := strings.Cut(v.Type().Elem().Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields, names = append(fields, i), append(names, name)
		}
	}
	if !o.columns {
		o.columns = true
		if err := out.Write(names); err != nil {
			return fmt.Errorf("writing the columns: %w", err)
		}
	}
	for i := range v.Len() {
		line := []string{at.Format(time.RFC3339Nano)}
		for _, f := range fields {
			cell, err := cellOf(v.Index(i).Field(f))
			if err != nil {
				return err
			}
			line = append(line, cell)
		}
		if err := out.Write(line); err != nil {
			return fmt.Errorf("writing a line: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// cellOf writes a value as JSON has it, text without its quotes. Text that begins with a
// sign would be a formula to a spreadsheet, so that it gets a quote before it.
func cellOf(v reflect.Value) (string, error) {
	if v.Kind() == reflect.String {
		text := termtext.String(v.String())
		if strings.HasPrefix(text, "=") || strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") || strings.HasPrefix(text, "@") {
			text = "'" + text
		}
		return text, nil
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return "", fmt.Errorf("writing a value: %w", err)
	}
	if string(b) == "null" {
		return "", nil
	}
	return string(b), nil
}
