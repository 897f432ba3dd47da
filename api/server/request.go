package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/lodenet/lode/api"
)

// request is one call as it arrives. No id: a notification.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// response is one answer.
type response struct {
	JSONRPC string          `json:"jsonrpc"`
	Result  json.RawMessage `json:"result,omitempty"`
	ID      json.RawMessage `json:"id"`
	Error   *wireError      `json:"error,omitempty"`
}

func failure(id json.RawMessage, err error) response {
	if id == nil {
		id = json.RawMessage("null")
	}
	return response{JSONRPC: "2.0", ID: id, Error: toWire(err)}
}

// parse reads one request; errors come with the response to send.
func parse(raw json.RawMessage) (request, *response) {
	var r request
	if err := json.Unmarshal(raw, &r); err != nil {
		f := failure(nil, &api.Error{Code: api.CodeParse, Message: "Parse error"})
		return r, &f
	}
	if bytes.Equal(r.ID, []byte("null")) {
		r.ID = nil
	}
	if len(r.ID) > 0 && r.ID[0] != '"' && r.ID[0] != '-' && (r.ID[0] < '0' || r.ID[0] > '9') {
		f := failure(nil, &api.Error{Code: api.CodeParse, Message: "failed to parse ID: neither a string nor a number"})
		return r, &f
	}
	return r, nil
}

// aliases of methods (spec api.md A.2).
var aliases = map[string]string{"rpc.discover": discoverMethod}

// invoke runs a call with the caller's permissions. stream is valid when the method answers
// with a channel, which only a WebSocket can carry.
func (s *Server) invoke(ctx context.Context, perms []api.Permission, r request, streams bool) (result json.RawMessage, stream reflect.Value, err error) {
	none := reflect.Value{}
	name := r.Method
	if a, ok := aliases[name]; ok {
		name = a
	}
	if name == discoverMethod {
		return s.discover, none, nil
	}
	m, ok := s.methods[name]
	switch {
	case !ok:
		return nil, none, &api.Error{Code: api.CodeNoMethod, Message: fmt.Sprintf("method '%s' not found", r.Method)}
	case m.stream && !streams:
		return nil, none, &api.Error{Code: api.CodeNoMethod, Message: fmt.Sprintf("method '%s' not supported in this mode (no out channel support): use a WebSocket", r.Method)}
	case !slices.Contains(perms, m.perm):
		return nil, none, &api.Error{Code: api.CodeError, Message: fmt.Sprintf("missing permission to invoke '%s' (need '%s')", m.bare, m.perm)}
	}
	v, story, err := m.call(ctx, r.Params)
	if story != nil {
		s.log.Error("panic in an rpc method", "method", m.name, "err", err, "stack", string(story))
	}
	if err != nil {
		return nil, none, err
	}
	if m.stream {
		return nil, v, nil
	}
	result, err = encode(v)
	if err != nil {
		s.log.Error("result of an rpc method cannot be written", "method", m.name, "err", err)
		return nil, none, &api.Error{Code: codeInternal, Message: fmt.Sprintf("result of '%s': %v", m.name, err)}
	}
	return result, none, nil
}

// httpStatus is the status that goes with an error code (spec api.md A.2).
func httpStatus(e *wireError) int {
	switch {
	case e == nil:
		return http.StatusOK
	case e.Code == api.CodeRequest:
		return http.StatusBadRequest
	case e.Code == api.CodeParse, e.Code == api.CodeNoMethod, e.Code == api.CodeParams, e.Code == codeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusOK
}
