package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/lodenet/lode/api"
)

const discoverMethod = api.Namespace + ".Discover"

// describe makes the OpenRPC document that lists the methods.
func describe(methods map[string]*method) (json.RawMessage, error) {
	type content struct {
		Name        string         `json:"name"`
		Description string         `json:"description,omitempty"`
		Required    bool           `json:"required,omitempty"`
		Schema      map[string]any `json:"schema"`
	}
	type entry struct {
		Name           string    `json:"name"`
		Description    string    `json:"description"`
		ParamStructure string    `json:"paramStructure"`
		Params         []content `json:"params"`
		Result         content   `json:"result"`
	}
	doc := struct {
		OpenRPC string            `json:"openrpc"`
		Info    map[string]string `json:"info"`
		Methods []entry           `json:"methods"`
	}{OpenRPC: "1.2.6", Info: map[string]string{"title": "lode", "version": fmt.Sprintf("%d.%d.%d", api.APIVersion>>16, api.APIVersion>>8&0xff, api.APIVersion&0xff)}}
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		m := methods[name]
		e := entry{Name: name, Description: "needs permission " + string(m.perm), ParamStructure: "by-position", Params: []content{}}
		for i, p := range m.params {
			e.Params = append(e.Params, content{Name: fmt.Sprintf("p%d", i+1), Description: p.String(), Required: true, Schema: schema(p)})
		}
		e.Result = content{Name: "result", Schema: map[string]any{"type": "null"}}
		if m.result != nil {
			e.Result.Description, e.Result.Schema = m.result.String(), schema(m.result)
		}
		doc.Methods = append(doc.Methods, e)
	}
	return json.Marshal(doc)
}

// schema says no more than the kind of JSON value; the description names the Go type.
func schema(t reflect.Type) map[string]any {
	if t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) {
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string"}
		}
		return map[string]any{"type": "array", "items": schema(t.Elem())}
	case reflect.Struct, reflect.Map:
		return map[string]any{"type": "object"}
	}
	return map[string]any{}
}
