// Package metrics exposes a running agent's status to Prometheus. In comes a
// function that takes a status.Status; out goes an HTTP handler for /metrics
// and a server for it. The agent starts it where metrics.listen is set.
//
// Every counter is read from the status at the moment of the scrape: there is
// no second set of counters that could disagree with "bearcat status".
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bearcat-hids/bearcat/internal/status"
)

// Handler answers scrapes with what snapshot returns; it is called on other
// goroutines, once for each scrape.
func Handler(snapshot func() status.Status) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(snapshot))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		// one bad label must not hide all the rest
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// Server serves /metrics.
type Server struct {
	http http.Server
	addr net.Addr
	done chan struct{}
}

// Serve listens on addr, which is a host and a port (see config.Metrics.Addr),
// until Close.
func Serve(addr string, snapshot func() status.Status) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w: set metrics.listen to a free address", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(snapshot))
	s := &Server{
		http: http.Server{
			Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
			WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		},
		addr: l.Addr(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // ErrServerClosed, or the listener's end
	}()
	return s, nil
}

// Addr returns the address that is listened on.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the server: gently until ctx ends, then at once.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("closing the metrics server: %w", err), s.http.Close())
	}
	<-s.done
	return err
}
