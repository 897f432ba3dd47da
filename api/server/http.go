package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/lodenet/lode/api"
)

// rpc answers /rpc/v1: CORS, then who calls, then the call or the upgrade.
func (s *Server) rpc(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" && s.listed(origin) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Headers", "Content-Type, Authorization")
		h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	perms, ok := s.permissions(r)
	switch {
	case !ok:
		w.WriteHeader(http.StatusUnauthorized)
	case websocket.IsWebSocketUpgrade(r):
		s.socket(w, r, perms)
	case r.Method == http.MethodPost:
		s.post(w, r, perms)
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		http.Error(w, "post a JSON-RPC request, or open a WebSocket", http.StatusMethodNotAllowed)
	}
}

// permissions of the caller: without a token, to read. ok is false for a token that is wrong.
func (s *Server) permissions(r *http.Request) (_ []api.Permission, ok bool) {
	header, token := r.Header.Get("Authorization"), r.URL.Query().Get("token")
	if header != "" {
		if token, ok = strings.CutPrefix(header, "Bearer "); !ok {
			return nil, false
		}
	} else if token == "" {
		return []api.Permission{api.PermRead}, true
	}
	perms, err := s.tokens.AuthVerify(r.Context(), strings.TrimSpace(token))
	if err != nil {
		s.log.Debug("token refused", "remote", r.RemoteAddr, "err", err)
		return nil, false
	}
	return perms, true
}

// post answers one request or a batch.
func (s *Server) post(w http.ResponseWriter, r *http.Request, perms []api.Permission) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.opt.MaxRequest))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.reply(w, failure(nil, &api.Error{Code: api.CodeParse, Message: fmt.Sprintf("request bigger than maximum %d allowed", s.opt.MaxRequest)}))
		return
	case err != nil:
		s.reply(w, failure(nil, &api.Error{Code: api.CodeParse, Message: fmt.Sprintf("reading request: %v", err)}))
		return
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		s.reply(w, failure(nil, &api.Error{Code: api.CodeRequest, Message: "Invalid request"}))
		return
	}
	if body[0] != '[' {
		if resp, ok := s.answer(r, perms, body); ok {
			s.reply(w, resp)
		}
		return
	}
	s.batch(w, r, perms, body)
}

func (s *Server) batch(w http.ResponseWriter, r *http.Request, perms []api.Permission, body []byte) {
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		s.reply(w, failure(nil, &api.Error{Code: api.CodeParse, Message: "Parse error"}))
		return
	}
	if len(list) == 0 {
		s.reply(w, failure(nil, &api.Error{Code: api.CodeRequest, Message: "Invalid request"}))
		return
	}
	if len(list) > maxBatch {
		s.reply(w, failure(nil, api.ErrLimit.With("%d calls in a batch, %d are allowed", len(list), maxBatch)))
		return
	}
	var out []response
	for _, raw := range list {
		if r.Context().Err() != nil {
			return
		}
		if resp, ok := s.answer(r, perms, raw); ok {
			out = append(out, resp)
		}
	}
	if len(out) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.write(w, http.StatusOK, out)
}

// answer runs one call; ok is false for a notification.
func (s *Server) answer(r *http.Request, perms []api.Permission, raw json.RawMessage) (_ response, ok bool) {
	req, bad := parse(raw)
	if bad != nil {
		return *bad, true
	}
	result, _, err := s.invoke(r.Context(), perms, req, false)
	switch {
	case req.ID == nil:
		return response{}, false
	case err != nil:
		return failure(req.ID, err), true
	}
	return response{JSONRPC: "2.0", ID: req.ID, Result: result}, true
}

func (s *Server) reply(w http.ResponseWriter, resp response) {
	s.write(w, httpStatus(resp.Error), resp)
}

func (s *Server) write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // results are JSON already
		s.log.Error("rpc answer cannot be written", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(b, '\n')); err != nil {
		s.log.Debug("caller went away", "err", err)
	}
}

// listed tells whether a browser's page of that origin may call.
func (s *Server) listed(origin string) bool {
	return slices.Contains(s.opt.Origins, "*") || slices.Contains(s.opt.Origins, origin)
}

// originAllowed is for WebSockets, which browsers open without asking first: programs send no
// origin, the node's own pages have the node's.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || s.listed(origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}
