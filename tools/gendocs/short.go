package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
)

// members lists the paths that the line of an event of type t has when all
// there is to know is known: by writing such a line and looking.
func members(t event.Type) (map[string]bool, error) {
	ev := event.Event{Proc: new(event.Process), ExecInfo: new(event.ExecInfo), ExitInfo: new(event.ExitInfo), GapInfo: new(event.GapInfo), LimitInfo: new(event.LimitInfo), CredsInfo: new(event.CredsInfo), FirewallInfo: new(event.FirewallInfo), FindingInfo: new(event.FindingInfo)}
	fill(reflect.ValueOf(&ev).Elem(), 0)
	ev.Type = t
	var line any
	if err := json.Unmarshal(eventjson.NewEncoder("host", "boot").AppendEvent(nil, &ev), &line); err != nil {
		return nil, fmt.Errorf("reading the line of an event of type %s: %w", t, err)
	}
	out := map[string]bool{}
	walk(line, "", out)
	return out, nil
}

// maxDepth is how many pointers are followed; it ends the chain of parents.
const maxDepth = 4

// fill sets everything that can be set to something that is not zero.
func fill(v reflect.Value, depth int) {
	if !v.CanSet() || depth > maxDepth {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth)
		fill(value, depth)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		fill(p.Elem(), depth+1)
		v.Set(p)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), depth)
		}
	}
}

// walk collects the paths of a JSON value, as eventjson.Field has them.
func walk(v any, at string, out map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			path := k
			if at != "" {
				path = at + "." + k
			}
			out[path] = true
			if path == "call.args" || k == "labels" { // their members are the call's and the container's own
				continue
			}
			walk(x, path, out)
		}
	case []any:
		for _, x := range v {
			walk(x, at+"[]", out)
		}
	}
}
