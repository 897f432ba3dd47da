package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/auth"
	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/api/server"
	"github.com/lodenet/lode/chain/types"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // what the client library's own imports start
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"),
		goleak.IgnoreTopFunction("github.com/filecoin-project/go-jsonrpc.(*wsConn).nextMessage")) // TestLibraryClient
}

// running is a server on a free port with tokens for each set of permissions.
type running struct {
	url    string
	tokens *auth.Tokens
	stop   func() error
}

func serve(t *testing.T, node api.Node, opt server.Options) *running {
	t.Helper()
	tokens, err := auth.New(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	s, err := server.New(node, tokens, slog.New(slog.DiscardHandler), opt)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	var result error
	stopped := false
	r := &running{url: "http://" + ln.Addr().String(), tokens: tokens}
	r.stop = func() error {
		if !stopped {
			cancel()
			result, stopped = <-done, true
		}
		return result
	}
	t.Cleanup(func() { _ = r.stop() })
	return r
}

func (r *running) token(t *testing.T, perms ...api.Permission) string {
	t.Helper()
	if len(perms) == 0 {
		return ""
	}
	b, err := r.tokens.AuthNew(t.Context(), perms)
	require.NoError(t, err)
	return string(b)
}

func (r *running) client(t *testing.T, perms ...api.Permission) *client.Client {
	t.Helper()
	c, err := client.New(t.Context(), client.Target{Addr: r.url, Token: r.token(t, perms...)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// post sends a body and returns status and answer.
func (r *running) post(t *testing.T, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/rpc/v1", strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := h.Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// every makes a node whose every method counts its calls and returns zero values.
func every(calls *atomic.Int64) *api.Proxy {
	var p api.Proxy
	v := reflect.ValueOf(&p.Call).Elem()
	for i := range v.NumField() {
		t := v.Field(i).Type()
		v.Field(i).Set(reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value {
			calls.Add(1)
			out := make([]reflect.Value, t.NumOut())
			for j := range out {
				out[j] = reflect.Zero(t.Out(j))
				if t.Out(j).Kind() == reflect.Chan {
					ch := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, t.Out(j).Elem()), 0)
					ch.Close()
					out[j] = ch.Convert(t.Out(j))
				}
			}
			return out
		}))
	}
	return &p
}

// TestPermissionTable calls every method with every set of permissions: it runs exactly when
// the one that its tag names is there.
func TestPermissionTable(t *testing.T) {
	var calls atomic.Int64
	r := serve(t, every(&calls), server.Options{})
	sets := [][]api.Permission{nil, {api.PermWrite}, {api.PermSign}, {api.PermAdmin}, {api.PermRead, api.PermWrite}, api.AllPermissions()}
	iface, tags := reflect.TypeFor[api.Node](), reflect.TypeFor[api.Calls]()
	for _, set := range sets {
		tok := r.token(t, set...)
		var header []string
		if tok != "" {
			header = []string{"Authorization", "Bearer " + tok}
		} else {
			set = []api.Permission{api.PermRead}
		}
		for i := range iface.NumMethod() {
			m := iface.Method(i)
			if m.Type.NumOut() == 2 && m.Type.Out(0).Kind() == reflect.Chan {
				continue // not over HTTP
			}
			field, _ := tags.FieldByName(m.Name)
			need := api.Permission(field.Tag.Get("perm"))
			allowed := false
			for _, p := range set {
				allowed = allowed || p == need
			}
			params := make([]any, m.Type.NumIn()-1)
			for j := range params {
				params[j] = example(m.Type.In(j + 1))
			}
			b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "Filecoin." + m.Name, "params": params})
			require.NoError(t, err)
			before := calls.Load()
			status, text := r.post(t, string(b), header...)
			require.Equal(t, http.StatusOK, status, "%s: %s", m.Name, text)
			if allowed {
				require.Equal(t, before+1, calls.Load(), "%s with %v was not called: %s", m.Name, set, text)
				require.Contains(t, text, `"result":`, m.Name)
			} else {
				require.Equal(t, before, calls.Load(), "%s with %v was called", m.Name, set)
				require.Contains(t, text, fmt.Sprintf("missing permission to invoke '%s' (need '%s')", m.Name, need))
			}
		}
	}
}

// example is JSON that a param of the type takes.
func example(t reflect.Type) any {
	v := reflect.New(t)
	for _, text := range []string{"null", `""`, `"t01000"`, `"bls"`, `"0"`, "0", "[]", "{}", "false",
		`"00000000-0000-0000-0000-000000000000"`, `"12D3KooWGBgrkGmFLDtzBLTFnKaMZUhkxGFSsjXTgRFTqzBUcPRy"`, `{"/":"bafkqaaa"}`} {
		if json.Unmarshal([]byte(text), v.Interface()) == nil {
			return json.RawMessage(text)
		}
	}
	panic("no example for " + t.String())
}

func TestTokens(t *testing.T) {
	var calls atomic.Int64
	r := serve(t, every(&calls), server.Options{})
	const body = `{"jsonrpc":"2.0","id":1,"method":"Filecoin.Version"}`
	good := r.token(t, api.PermRead)
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"none":         {nil, 200},
		"good":         {[]string{"Authorization", "Bearer " + good}, 200},
		"no prefix":    {[]string{"Authorization", good}, 401},
		"other scheme": {[]string{"Authorization", "Basic " + good}, 401},
		"noise":        {[]string{"Authorization", "Bearer x.y.z"}, 401},
		"empty":        {[]string{"Authorization", "Bearer "}, 401},
		"changed":      {[]string{"Authorization", "Bearer " + good[:len(good)-4] + "AAAA"}, 401},
	} {
		status, text := r.post(t, body, c.header...)
		require.Equal(t, c.status, status, "%s: %s", name, text)
		if status == 401 {
			require.Empty(t, text)
		}
	}
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for q, want := range map[string]int{"?token=" + good: 200, "?token=x": 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/rpc/v1"+q, strings.NewReader(body))
		require.NoError(t, err)
		resp, err := h.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, q)
	}
}

func TestRequestForms(t *testing.T) {
	var got atomic.Int64
	node := &api.Proxy{}
	node.Call.ID = nil
	node.Call.Shutdown = func(context.Context) error { got.Add(1); return nil }
	node.Call.StateNetworkName = func(context.Context) (string, error) { return "testnet", nil }
	node.Call.ChainHead = func(context.Context) (*types.TipSet, error) { return nil, nil }
	node.Call.WalletValidateAddress = func(_ context.Context, s string) (address.Address, error) {
		return address.Undef, fmt.Errorf("looking: %w", api.ErrActorNotFound.With("%s at the head", s))
	}
	node.Call.NodeStatus = func(context.Context, bool) (api.NodeStatus, error) { panic("oh") }
	node.Call.MpoolPending = func(context.Context, types.TipSetKey) ([]*types.SignedMessage, error) { return nil, nil }
	node.Call.ChainReadObj = func(_ context.Context, c cid.Cid) ([]byte, error) { return nil, nil }
	node.Call.WalletBalance = func(context.Context, address.Address) (abi.TokenAmount, error) {
		return big.NewInt(12), errors.New("and an error")
	}
	node.Call.StateCirculatingSupply = func(context.Context, types.TipSetKey) (abi.TokenAmount, error) { return big.NewInt(12), nil }
	r := serve(t, node, server.Options{MaxRequest: 4096})
	admin := []string{"Authorization", "Bearer " + r.token(t, api.AllPermissions()...)}
	for _, c := range []struct {
		name, body string
		status     int
		want       string // JSON, or a part of the text with * in front
	}{
		{"plain", `{"jsonrpc":"2.0","id":1,"method":"Filecoin.StateNetworkName","params":[]}`, 200, `{"jsonrpc":"2.0","id":1,"result":"testnet"}`},
		{"string id", `{"id":"a","method":"Filecoin.StateNetworkName"}`, 200, `{"jsonrpc":"2.0","id":"a","result":"testnet"}`},
		{"null params", ` {"id":-1.5,"method":"Filecoin.StateNetworkName","params":null,"meta":{"SpanContext":"x"}} `, 200, `{"jsonrpc":"2.0","id":-1.5,"result":"testnet"}`},
		{"void result", `{"id":1,"method":"Filecoin.Shutdown"}`, 200, `{"jsonrpc":"2.0","id":1,"result":null}`},
		{"nil object", `{"id":1,"method":"Filecoin.ChainHead"}`, 200, `{"jsonrpc":"2.0","id":1,"result":null}`},
		{"nil list", `{"id":1,"method":"Filecoin.MpoolPending","params":[null]}`, 200, `{"jsonrpc":"2.0","id":1,"result":[]}`},
		{"nil bytes", `{"id":1,"method":"Filecoin.ChainReadObj","params":[{"/":"bafkqaaa"}]}`, 200, `{"jsonrpc":"2.0","id":1,"result":null}`},
		{"amount", `{"id":1,"method":"Filecoin.StateCirculatingSupply","params":[[]]}`, 200, `{"jsonrpc":"2.0","id":1,"result":"12"}`},
		{"value and error", `{"id":1,"method":"Filecoin.WalletBalance","params":["t01"]}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"and an error"}}`},
		{"coded error", `{"id":1,"method":"Filecoin.WalletValidateAddress","params":["x"]}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":11,"message":"looking: actor not found: x at the head"}}`},
		{"notification", `{"method":"Filecoin.Shutdown"}`, 200, "*"},
		{"unknown method", `{"id":1,"method":"Filecoin.Nope"}`, 500, `*"code":-32601`},
		{"no method", `{"id":1}`, 500, `*"code":-32601`},
		{"stream", `{"id":1,"method":"Filecoin.ChainNotify"}`, 500, `*no out channel support`},
		{"too many params", `{"id":1,"method":"Filecoin.StateNetworkName","params":[1]}`, 500, `*"code":-32602,"message":"wrong param count (method 'Filecoin.StateNetworkName'): 1 != 0"`},
		{"too few params", `{"id":1,"method":"Filecoin.WalletBalance"}`, 500, `*0 != 1`},
		{"wrong param", `{"id":1,"method":"Filecoin.WalletBalance","params":[5]}`, 500, `*"code":-32602`},
		{"named params", `{"id":1,"method":"Filecoin.WalletBalance","params":{"a":5}}`, 500, `*"code":-32602`},
		{"id is a list", `{"id":[1],"method":"Filecoin.StateNetworkName"}`, 500, `*"code":-32700`},
		{"id is true", `{"id":true,"method":"Filecoin.StateNetworkName"}`, 500, `*"code":-32700`},
		{"no JSON", `hello`, 500, `*"code":-32700`},
		{"a number", `7`, 500, `*"code":-32700`},
		{"cut off", `{"id":1,`, 500, `*"code":-32700`},
		{"empty", ` `, 400, `*"code":-32600`},
		{"too large", `{"id":"` + strings.Repeat("x", 5000) + `"}`, 500, `*request bigger than maximum 4096 allowed`},
		{"panic", `{"id":1,"method":"Filecoin.NodeStatus","params":[true]}`, 500, `*panic in rpc method 'Filecoin.NodeStatus': oh`},
		{"method that the node lacks", `{"id":1,"method":"Filecoin.ID"}`, 500, `*"code":-32603`},
		{"batch", `[{"id":1,"method":"Filecoin.StateNetworkName"},{"method":"Filecoin.Shutdown"},{"id":2,"method":"Filecoin.Nope"},3]`, 200,
			`[{"jsonrpc":"2.0","id":1,"result":"testnet"},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"method 'Filecoin.Nope' not found"}},
			{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}]`},
		{"batch of notifications", `[{"method":"Filecoin.Shutdown"}]`, 204, "*"},
		{"empty batch", `[]`, 400, `*"code":-32600`},
		{"broken batch", `[{"id":1},`, 500, `*"code":-32700`},
		{"batch too long", "[" + strings.Repeat("1,", 1500) + "1]", 200, `*"code":-32005`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text := r.post(t, c.body, admin...)
			require.Equal(t, c.status, status, text)
			if part, ok := strings.CutPrefix(c.want, "*"); ok {
				require.Contains(t, text, part)
			} else {
				require.JSONEq(t, c.want, text)
			}
		})
	}
	require.EqualValues(t, 4, got.Load(), "notifications run too")
	for _, m := range []string{http.MethodGet, http.MethodPut} {
		req, err := http.NewRequestWithContext(t.Context(), m, r.url+"/rpc/v1", nil)
		require.NoError(t, err)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	}
}

func TestDiscover(t *testing.T) {
	r := serve(t, &api.Proxy{}, server.Options{})
	for _, name := range []string{"rpc.discover", "Filecoin.Discover"} {
		_, text := r.post(t, `{"id":1,"method":"`+name+`"}`)
		var out struct {
			Result struct{ Methods []struct{ Name string } }
		}
		require.NoError(t, json.Unmarshal([]byte(text), &out))
		require.Len(t, out.Result.Methods, reflect.TypeFor[api.Node]().NumMethod())
	}
}

func TestHealth(t *testing.T) {
	var healthy atomic.Bool
	node := &api.Proxy{}
	node.Call.NodeStatus = func(context.Context, bool) (api.NodeStatus, error) {
		return api.NodeStatus{Healthy: healthy.Load(), Reason: "no peers"}, nil
	}
	r := serve(t, node, server.Options{})
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
		require.NoError(t, err)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, string(b)
	}
	status, _ := get("/health/livez")
	require.Equal(t, 200, status)
	status, text := get("/health/readyz")
	require.Equal(t, 503, status)
	require.Contains(t, text, "no peers")
	healthy.Store(true)
	status, _ = get("/health/readyz")
	require.Equal(t, 200, status)
	status, _ = get("/nope")
	require.Equal(t, 404, status)
}

func TestOrigins(t *testing.T) {
	r := serve(t, every(new(atomic.Int64)), server.Options{Origins: []string{"https://wallet.example"}})
	for origin, want := range map[string]string{"https://wallet.example": "https://wallet.example", "https://evil.example": ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, r.url+"/rpc/v1", nil)
		require.NoError(t, err)
		req.Header.Set("Origin", origin)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
		require.Equal(t, want, resp.Header.Get("Access-Control-Allow-Origin"))
	}
}

func TestCallsEndWithTheirCaller(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	node := &api.Proxy{}
	node.Call.StateWaitMsg = func(ctx context.Context, _ cid.Cid, _ uint64, _ abi.ChainEpoch, _ bool) (*api.MsgLookup, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}
	r := serve(t, node, server.Options{})
	c := r.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.StateWaitMsg(ctx, types.EmptyAMTCid, 1, -1, true)
		failed <- err
	}()
	<-began
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	<-ended
}

func TestStopEndsWhatGoesOn(t *testing.T) {
	began := make(chan struct{}, 2)
	node := &api.Proxy{}
	node.Call.StateWaitMsg = func(ctx context.Context, _ cid.Cid, _ uint64, _ abi.ChainEpoch, _ bool) (*api.MsgLookup, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	node.Call.ChainNotify = func(ctx context.Context) (<-chan []*api.HeadChange, error) {
		ch := make(chan []*api.HeadChange)
		go func() { defer close(ch); began <- struct{}{}; <-ctx.Done() }()
		return ch, nil
	}
	r := serve(t, node, server.Options{})
	c := r.client(t)
	failed := make(chan error, 1)
	go func() {
		_, err := c.StateWaitMsg(t.Context(), types.EmptyAMTCid, 1, -1, true)
		failed <- err
	}()
	sub, err := c.ChainNotify(t.Context())
	require.NoError(t, err)
	<-began
	<-began
	require.NoError(t, r.stop(), "it does not wait for the calls")
	require.Error(t, <-failed)
	_, open := <-sub
	require.False(t, open)
	_, err = c.ID(t.Context())
	require.ErrorIs(t, err, client.ErrUnreachable)
}
