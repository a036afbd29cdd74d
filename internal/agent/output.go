package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sink"
	"github.com/bearcat-hids/bearcat/internal/sink/console"
	"github.com/bearcat-hids/bearcat/internal/sink/falcojson"
	"github.com/bearcat-hids/bearcat/internal/sink/file"
	"github.com/bearcat-hids/bearcat/internal/sink/json"
)

// errOutputGone ends the agent: whoever read its standard output has gone.
var errOutputGone = errors.New("whoever read the standard output has gone")

// output is where events and alerts go.
type output struct {
	writer   *sink.Writer
	file     *file.File
	closed   bool
	gone     atomic.Bool // whoever read the output has gone; it has been said
	onClosed func(error)
}

func openOutput(cfg config.Output, host string, log *slog.Logger) (*output, error) {
	o := &output{onClosed: func(error) {}}
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
		OnClosed: func(err error) {
			o.gone.Store(true)
			o.onClosed(fmt.Errorf("%w: %w", errOutputGone, err))
		},
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
	if o.gone.Load() {
		return nil
	}
	return err
}
