package top

import (
	"encoding/json"
	"fmt"
)

// Again says how to show a frame again that was written as JSON before.
type Again struct {
	// Pid and Comm choose rows; 0 and "" for all.
	Pid  uint32
	Comm string
	// Sort is the column to sort by; "" for the view's first.
	Sort string
}

// Decode makes a frame of what was written as JSON, with its rows chosen and sorted
// anew.
func Decode(text []byte, o Again) (*Frame, error) {
	var raw struct {
		Frame
		Rows json.RawMessage `json:"rows"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("this is no table of top: %w", err)
	}
	v, ok := ViewNamed(raw.View)
	if !ok {
		return nil, fmt.Errorf("there is no view %q here: it was written by another version", raw.View)
	}
	var err error
	if o.Sort, err = v.Column(o.Sort); err != nil {
		return nil, err
	}
	f := raw.Frame
	if err := v.table.again(&f, raw.Rows, o); err != nil {
		return nil, err
	}
	return &f, nil
}

// Sorted is a frame as another column would have sorted it.
func (f *Frame) Sorted(column string) (*Frame, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("sorting a table of top: %w", err)
	}
	return Decode(text, Again{Sort: column})
}
