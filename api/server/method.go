package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"

	"github.com/lodenet/lode/api"
)

// method is a method of the node, looked at once. Immutable.
type method struct {
	name   string // with the prefix
	bare   string
	perm   api.Permission
	fn     reflect.Value
	params []reflect.Type
	result reflect.Type // nil: none
	stream bool         // result is a channel
}

// methodsOf collects the methods of api.Node by their names on the wire.
func methodsOf(node api.Node) (map[string]*method, error) {
	iface, tags, v := reflect.TypeFor[api.Node](), reflect.TypeFor[api.Calls](), reflect.ValueOf(node)
	out := make(map[string]*method, iface.NumMethod())
	for i := range iface.NumMethod() {
		im := iface.Method(i)
		field, ok := tags.FieldByName(im.Name)
		if !ok {
			return nil, fmt.Errorf("method %s has no permission: run go generate in package api", im.Name)
		}
		m := &method{
			name: api.Namespace + "." + im.Name,
			bare: im.Name,
			perm: api.Permission(field.Tag.Get("perm")),
			fn:   v.MethodByName(im.Name),
		}
		if !slices.Contains(api.AllPermissions(), m.perm) {
			return nil, fmt.Errorf("method %s: unknown permission %q", im.Name, m.perm)
		}
		for j := 1; j < im.Type.NumIn(); j++ { // the first is the context
			m.params = append(m.params, im.Type.In(j))
		}
		if im.Type.NumOut() == 2 {
			m.result = im.Type.Out(0)
			m.stream = m.result.Kind() == reflect.Chan
		}
		out[m.name] = m
	}
	return out, nil
}

// decode reads positional params. The errors are for the caller.
func (m *method) decode(raw json.RawMessage) ([]reflect.Value, error) {
	var list []json.RawMessage
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, &api.Error{Code: api.CodeParams, Message: fmt.Sprintf("params of '%s' must be an array: %v", m.name, err)}
		}
	}
	if len(list) != len(m.params) {
		return nil, &api.Error{Code: api.CodeParams, Message: fmt.Sprintf("wrong param count (method '%s'): %d != %d", m.name, len(list), len(m.params))}
	}
	args := make([]reflect.Value, len(list))
	for i, b := range list {
		p := reflect.New(m.params[i])
		if err := json.Unmarshal(b, p.Interface()); err != nil {
			return nil, &api.Error{Code: api.CodeParams, Message: fmt.Sprintf("param %d of '%s': %v", i, m.name, err)}
		}
		args[i] = p.Elem()
	}
	return args, nil
}

// call runs the method. A panic becomes an error with the stack in story.
func (m *method) call(ctx context.Context, raw json.RawMessage) (result reflect.Value, story []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			story = debug.Stack()
			err = &api.Error{Code: codeInternal, Message: fmt.Sprintf("panic in rpc method '%s': %v", m.name, r)}
		}
	}()
	args, err := m.decode(raw)
	if err != nil {
		return reflect.Value{}, nil, err
	}
	out := m.fn.Call(append([]reflect.Value{reflect.ValueOf(ctx)}, args...))
	if e, _ := out[len(out)-1].Interface().(error); e != nil {
		return reflect.Value{}, nil, e
	}
	if m.result == nil {
		return reflect.Value{}, nil, nil
	}
	return out[0], nil, nil
}

// encode writes a result. It goes through a pointer, because amounts write themselves only
// from a place in memory. A list without entries is [], not null.
func encode(v reflect.Value) (_ json.RawMessage, err error) {
	if !v.IsValid() {
		return json.RawMessage("null"), nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if v.Kind() == reflect.Slice && v.IsNil() && v.Type().Elem().Kind() != reflect.Uint8 {
		return json.RawMessage("[]"), nil
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return json.Marshal(p.Interface())
}

const codeInternal = -32603

// wireError is an error on the wire.
type wireError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// toWire keeps the code of an api.Error anywhere in the chain, with the whole text.
func toWire(err error) *wireError {
	var e *api.Error
	if errors.As(err, &e) {
		return &wireError{e.Code, err.Error(), e.Data}
	}
	return &wireError{Code: api.CodeError, Message: err.Error()}
}
