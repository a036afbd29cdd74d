package main

import (
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/connection"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/fileio"
	"github.com/bearcat-hids/bearcat/internal/observe/flame"
	"github.com/bearcat-hids/bearcat/internal/observe/function"
	"github.com/bearcat-hids/bearcat/internal/observe/hist"
	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/task"
	"github.com/bearcat-hids/bearcat/internal/observe/top"
)

// observerSources are those of all that can be looked at. What record keeps has the same.
var observerSources = []func() ([]kernel.Observer, error){
	packet.Sources, fileio.Sources, task.Sources, connection.Sources, function.Sources, top.Sources, hist.Sources, flame.Sources, drop.Sources,
}

// checkObservers says of each observer from which sources it works here.
func checkObservers() []kernel.Check {
	var out []kernel.Check
	limited := func(err error) {
		out = append(out, kernel.Check{Name: "observers", State: kernel.Limited, Detail: fmt.Sprintf("some are not known: %v", err), Advice: "please report this with the kernel's version"})
	}
	var all []kernel.Observer
	for _, sources := range observerSources {
		some, err := sources()
		if err != nil {
			limited(err)
			continue
		}
		all = append(all, some...)
	}
	if err := kernel.FindSources(all); err != nil {
		limited(err)
		return out
	}
	for _, o := range all {
		out = append(out, o.Check())
	}
	return out
}
