package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/connection"
	"github.com/bearcat-hids/bearcat/internal/observe/fileio"
	"github.com/bearcat-hids/bearcat/internal/observe/function"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/task"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// recordableTraces are the nouns of trace that can be kept: each object is a line.
var recordableTraces = []string{"packet", "io", "task", "tcp", "func"}

func packetStory(l *packet.Life) story {
	group := "received packets"
	if l.Sent {
		group = "sent packets"
	}
	return story{group, l.ID, l.Title(), l.At, l.Stages}
}

func callStory(c *fileio.Call) story {
	return story{fmt.Sprintf("%s[%d]", c.Comm, c.Pid), uint64(c.Tid), c.Comm, c.At, c.Stages}
}

func intervalStory(i *task.Interval) story {
	begin := waterfall.Stage{Name: i.What, CPU: i.CPU, Source: "sched_switch"}
	end := begin
	end.At, end.Took, end.Detail = i.Took, i.Took, i.Detail()
	return story{fmt.Sprintf("%s[%d]", i.Comm, i.Pid), uint64(i.Tid), i.Comm, i.At, []waterfall.Stage{begin, end}}
}

func connectionStory(l *connection.Life) story {
	return story{"connections", l.ID, l.Title(), l.At, l.Stages}
}

func functionStory(c *function.Call) story {
	begin := waterfall.Stage{Name: c.Function, CPU: uint32(c.CPU), Source: "ftrace"}
	end := begin
	end.At, end.Took = c.Took, c.Took
	return story{fmt.Sprintf("%s[%d]", c.Comm, c.Tid), uint64(c.Tid), c.Comm, time.Unix(0, int64(c.At)), []waterfall.Stage{begin, end}}
}

// openChart begins the file for --perfetto, and returns what ends it.
func (o *replayOptions) openChart() (end func() error, err error) {
	if o.perfetto == "" {
		return func() error { return nil }, nil
	}
	f, err := os.OpenFile(o.perfetto, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the file for the stages: %w", err)
	}
	o.chart = waterfall.NewTrace(f)
	return func() error { return errors.Join(o.chart.Close(), f.Close()) }, nil
}

// traced returns what shows the objects of one noun of trace.
func (o *replayOptions) traced(args []string) (func(io.Writer, []byte) error, error) {
	noun := ""
	if len(args) > 0 {
		noun = args[0]
	}
	switch noun {
	case "packet":
		return o.packet, nil
	case "io":
		return o.call, nil
	case "task":
		return o.interval, nil
	case "tcp":
		return o.connection, nil
	case "func":
		return o.functionCall, nil
	}
	return nil, fmt.Errorf("the record is of trace %q, which this bearcat cannot show", noun)
}

func (o *replayOptions) packet(w io.Writer, line []byte) error {
	var l packet.Life
	if err := strictly(line, &l); err != nil {
		return err
	}
	either := l.Sender != nil && o.chooses(l.Sender.Comm, l.Sender.Pid) || l.Reader != nil && o.chooses(l.Reader.Comm, l.Reader.Pid)
	if !either && !o.chooses("", 0) {
		return nil
	}
	return o.story(w, &l, packetStory(&l), l.Took, []packet.Life{l})
}

func (o *replayOptions) call(w io.Writer, line []byte) error {
	var c fileio.Call
	if err := strictly(line, &c); err != nil {
		return err
	}
	if !o.chooses(c.Comm, c.Pid) {
		return nil
	}
	return o.story(w, &c, callStory(&c), c.Took, []fileio.Call{c})
}

func (o *replayOptions) interval(w io.Writer, line []byte) error {
	var i task.Interval
	if err := strictly(line, &i); err != nil {
		return err
	}
	if !o.chooses(i.Comm, i.Pid) {
		return nil
	}
	return o.story(w, &i, intervalStory(&i), i.Took, []task.Interval{i})
}

func (o *replayOptions) connection(w io.Writer, line []byte) error {
	var l connection.Life
	if err := strictly(line, &l); err != nil {
		return err
	}
	if !o.chooses(l.Comm, l.Pid) {
		return nil
	}
	return o.story(w, &l, connectionStory(&l), l.Took, []connection.Life{l})
}

// functionCall shows a call, or what all of them come to. Where calls are chosen the sums
// are made again of those.
func (o *replayOptions) functionCall(w io.Writer, line []byte) error {
	var all struct {
		Functions *[]*function.Sum `json:"functions"`
	}
	if json.Unmarshal(line, &all) == nil && all.Functions != nil {
		return o.functionSums(w, *all.Functions)
	}
	var c function.Call
	if err := strictly(line, &c); err != nil {
		return err
	}
	o.calls++
	if c.Took < 0 || c.Took > longestStage {
		return fmt.Errorf("a call took %d ns: the file is damaged there", c.Took)
	}
	if c.Tid < 0 || !o.chooses(c.Comm, uint32(c.Tid)) || c.Took < o.slower {
		return nil
	}
	if o.sums == nil {
		o.sums = function.Sums{}
	}
	o.sums.Add(&c)
	return o.story(w, &c, functionStory(&c), c.Took, []function.Call{c})
}

func (o *replayOptions) functionSums(w io.Writer, sums []*function.Sum) error {
	if o.choose.Pid != 0 || o.choose.Comm != "" || o.slower != 0 {
		if o.calls == 0 {
			return errors.New("the record has only what all calls come to, so none can be chosen: record with --calls")
		}
		sums = o.sums.List()
	}
	latency := false
	rows := make([]function.Sum, 0, len(sums))
	for _, s := range sums {
		if s == nil || s.Calls < 0 || s.Took < 0 || s.Longest < 0 {
			return errors.New("a function's sums are below 0: the file is damaged there")
		}
		latency = latency || s.Took > 0
		rows = append(rows, *s)
	}
	switch {
	case o.json:
		return writeHostJSON(w, functionSums{sums})
	case o.csv && o.calls > 0: // a table of calls, which have other columns
		return nil
	case o.csv:
		return o.writeCSV(w, o.began, rows)
	}
	return writeFunctionSums(w, sums, latency)
}

// longestStage is more than any trace lasts; a file may say anything.
const longestStage = 366 * 24 * time.Hour

// story shows one object of a trace, as text, JSON or CSV, and for Perfetto.
func (o *replayOptions) story(w io.Writer, v text, s story, took time.Duration, row any) error {
	for _, stage := range s.stages {
		if stage.At < 0 || stage.Took < 0 || stage.At > longestStage || stage.Took > longestStage {
			return fmt.Errorf("stage %q takes %d ns: the file is damaged there", stage.Name, stage.Took)
		}
	}
	if took < o.slower {
		return nil
	}
	if o.chart != nil {
		if err := o.chart.Add(termtext.String(s.group), s.id, termtext.String(s.title), s.at, s.stages); err != nil {
			return err
		}
	}
	switch {
	case o.json:
		return writeHostJSON(w, v)
	case o.csv:
		return o.writeCSV(w, s.at, row)
	}
	return v.WriteText(w, termtext.String)
}
