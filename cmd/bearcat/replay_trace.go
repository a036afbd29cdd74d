package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/fileio"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/task"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// recordableTraces are the nouns of trace that can be kept: each object is a line.
var recordableTraces = []string{"packet", "io", "task"}

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
