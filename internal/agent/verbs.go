package agent

import (
	"encoding/json"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/alerts"
	"github.com/bearcat-hids/bearcat/internal/status"
)

// AlertsArgs are the arguments of the verb "alerts": which of those that are
// kept are wanted. The answer is a list of alerts.Kept.
type AlertsArgs struct {
	// After is the number of the last one that is known; N how many at most.
	After uint64 `json:"after,omitempty"`
	N     int    `json:"n,omitempty"`
}

// AlertArgs are the arguments of the verb "alert", which is answered with one
// alerts.Kept, its JSON and the events around it among it.
type AlertArgs struct {
	// ID is the alert's, or its beginning.
	ID string `json:"id"`
}

// verbs are answered on the status socket beside "status".
func (a *Agent) verbs() map[string]status.Handler {
	return map[string]status.Handler{
		"reload": func(json.RawMessage) (any, error) { return a.Reload() },
		"alerts": func(raw json.RawMessage) (any, error) {
			var args AlertsArgs
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, fmt.Errorf("the arguments of alerts are not understood: %w", err)
			}
			list := a.pipe.alerts.List(args.After, args.N)
			if list == nil {
				list = []alerts.Kept{}
			}
			return list, nil
		},
		"alert": func(raw json.RawMessage) (any, error) {
			var args AlertArgs
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, fmt.Errorf("the arguments of alert are not understood: %w", err)
			}
			k, n := a.pipe.alerts.Get(args.ID)
			switch {
			case k != nil:
				pinned{pins: a.cfg.Response.Pins}.bansNow(k.Bans)
				return k, nil
			case n > 1:
				return nil, fmt.Errorf("%d alerts have an ID that begins with %q: give more of it", n, args.ID)
			}
			return nil, fmt.Errorf("there is no alert %q among those that are kept (the setting alerts.keep is %v): bearcat alerts tail lists them", args.ID, a.cfg.Alerts.Keep)
		},
	}
}
