package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sink"
	"github.com/bearcat-hids/bearcat/internal/sink/console"
	"github.com/bearcat-hids/bearcat/internal/sink/falcojson"
	"github.com/bearcat-hids/bearcat/internal/sink/file"
	"github.com/bearcat-hids/bearcat/internal/sink/json"
)

// output is where events and alerts go.
type output struct {
	writer *sink.Writer
	file   *file.File
	closed bool
	// gone is closed when whoever read the output has gone; it has been said
	// by then.
	gone chan struct{}
}

func openOutput(cfg config.Output, host string, log *slog.Logger) (*output, error) {
	o := &output{gone: make(chan struct{})}
	name, target, err := o.target(cfg, log)
	if err != nil {
		return nil, err
	}
	format, err := outputFormat(cfg, host)
	if err != nil {
		return nil, errors.Join(err, target.Close())
	}
	o.writer = sink.NewWriter(name, format, target, sink.Options{
		Events: cfg.Events && cfg.Format != "falco-json", Log: log, // Falco has no form for events
		OnClosed: func(error) { close(o.gone) },
	})
	return o, nil
}

func (o *output) target(cfg config.Output, log *slog.Logger) (string, sink.Target, error) {
	if cfg.File == "" {
		t, err := sink.Stdout()
		return "stdout", t, err
	}
	f, err := file.Open(file.Config{Path: cfg.File, MaxSize: int64(cfg.Rotate.Size), Keep: cfg.Rotate.Keep, Log: log})
	o.file = f
	return "file", f, err
}

func outputFormat(cfg config.Output, host string) (sink.Format, error) {
	switch cfg.Format {
	case "json":
		boot, err := kernel.BootID()
		return json.New(host, boot), err
	case "falco-json":
		return falcojson.New(host, time.Local), nil
	}
	color := cfg.File == "" && console.UseColor(cfg.Color, int(os.Stdout.Fd()), os.Getenv)
	return console.New(console.Options{Color: color, Chain: cfg.Chain, Local: time.Local}), nil
}

func (o *output) sinks() []sink.Sink { return []sink.Sink{o.writer} }

func (o *output) reopen() error {
	if o.file == nil {
		return nil
	}
	return o.file.Reopen()
}

func (o *output) close(ctx context.Context) error {
	if o.closed {
		return nil
	}
	o.closed = true
	err := o.writer.Close(ctx)
	select {
	case <-o.gone:
		return nil
	default:
		return err
	}
}
