package top

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestAgain writes frames of all views and shows them again: the same text, and with
// other choices what is chosen.
func TestAgain(t *testing.T) {
	fills := map[string]func(f *Frame, sort string){
		"cpu": func(f *Frame, by string) {
			cpuTable.fill(f, []CPU{{Pid: 1, Comm: "a", On: 50, Blame: &Blame{2, "b", 7}}, {Pid: 2, Comm: "b", WaitP99: 5}}, by)
		},
		"mem": func(f *Frame, by string) { memTable.fill(f, []Memory{{Pid: 1, Comm: "a", Faults: 9, took: 2}}, by) },
		"tcp": func(f *Frame, by string) { tcpTable.fill(f, []TCP{{Pid: 1, Comm: "a", In: 9000, took: 2}}, by) },
		"conn": func(f *Frame, by string) {
			connTable.fill(f, []Conn{{Pid: 1, Comm: "a", Out: 9000, State: "LISTEN", took: 2}}, by)
		},
		"file":   func(f *Frame, by string) { fileTable.fill(f, []File{{Pid: 1, Comm: "a", Read: 9000, took: 2}}, by) },
		"bpf":    func(f *Frame, by string) { bpfTable.fill(f, []BPFCost{{ID: 1, Runs: 40, took: 2}}, by) },
		"cgroup": func(f *Frame, by string) { groupTable.fill(f, []Group{{Path: "/a", Throttled: 40, took: 2}}, by) },
	}
	for _, v := range Views() {
		f := &Frame{View: v.Name, Took: 2, Lost: 3, Notes: []string{"a note"}}
		fills[v.Name](f, v.Columns[0])
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(text, Again{})
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if !slices.EqualFunc(got.Cells, f.Cells, slices.Equal) || !slices.Equal(got.Columns, f.Columns) || got.Lost != 3 || got.Took != 2 {
			t.Errorf("%s: %v is %v", v.Name, f.Cells, got.Cells)
		}
		again, err := json.Marshal(got)
		if err != nil || string(again) != string(text) {
			t.Errorf("%s: %s is written %s, %v", v.Name, text, again, err)
		}
		none, err := Decode(text, Again{Pid: 77})
		if owned := v.chooses == ""; owned != (err == nil) || owned && len(none.Cells) > 0 {
			t.Errorf("%s of a process that is not there: %v, %v", v.Name, none, err)
		}
	}
	f := &Frame{View: "cpu", Took: 1}
	fills["cpu"](f, "ON%")
	text, _ := json.Marshal(f)
	got, err := Decode(text, Again{Comm: "b", Sort: "WAITp99"})
	if err != nil || len(got.Cells) != 1 || got.Cells[0][0] != "2" {
		t.Errorf("%+v, %v", got, err)
	}
	for bad, want := range map[string]string{`{"view":"cpo"}`: "another version", `[]`: "no table of top", `{"view":"cpu","rows":{}}`: "none of this version", `{"view":"cpu","rows":[{"pid":-1}]}`: "none of this version"} {
		if _, err := Decode([]byte(bad), Again{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
	if _, err := Decode(text, Again{Sort: "nothing"}); err == nil {
		t.Error("it is sorted by a column that is not there")
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range Views() {
		f.Add([]byte(`{"view":"`+v.Name+`","took_s":1,"rows":[{"pid":1,"comm":"a","blame":{"pid":2}}],"sources":["x"]}`), uint32(0), "")
	}
	f.Add([]byte(`{"view":"cpu","rows":null}`), uint32(3), "a")
	f.Fuzz(func(t *testing.T, text []byte, pid uint32, comm string) {
		got, err := Decode(text, Again{Pid: pid, Comm: comm})
		if err != nil {
			return
		}
		for _, row := range got.Cells {
			if len(row) != len(got.Columns) {
				t.Errorf("%d cells under %d columns", len(row), len(got.Columns))
			}
		}
	})
}
