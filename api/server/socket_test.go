package server_test

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-jsonrpc"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/gorilla/websocket"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/api/server"
	"github.com/lodenet/lode/chain/types"
)

func tipset(t *testing.T, height abi.ChainEpoch) *types.TipSet {
	t.Helper()
	miner, err := address.NewIDAddress(1000)
	require.NoError(t, err)
	ts, err := types.NewTipSet([]*types.BlockHeader{{
		Miner: miner, Ticket: &types.Ticket{VRFProof: []byte{1}}, ElectionProof: &types.ElectionProof{},
		ParentWeight: big.NewInt(9), ParentStateRoot: types.EmptyArrayCid, ParentMessageReceipts: types.EmptyAMTCid,
		Messages: types.EmptyAMTCid, ParentBaseFee: big.NewInt(100), Height: height,
	}})
	require.NoError(t, err)
	return ts
}

// endless are more heads than anyone takes.
const endless = math.MaxInt

// heads tells of so many heads, as fast as they are taken, and ends with its context.
func heads(t *testing.T, most int, ended chan<- struct{}) *api.Proxy {
	ts := tipset(t, 3)
	node := &api.Proxy{}
	node.Call.ChainNotify = func(ctx context.Context) (<-chan []*api.HeadChange, error) {
		ch := make(chan []*api.HeadChange)
		go func() {
			defer func() { ended <- struct{}{} }()
			defer close(ch)
			kind := api.HeadCurrent
			for range most {
				select {
				case ch <- []*api.HeadChange{{Type: kind, Val: ts}}:
					kind = api.HeadApply
				case <-ctx.Done():
					return
				}
			}
			<-ctx.Done()
		}()
		return ch, nil
	}
	node.Call.StateNetworkName = func(context.Context) (string, error) { return "testnet", nil }
	return node
}

func TestSubscription(t *testing.T) {
	ended := make(chan struct{}, 10)
	r := serve(t, heads(t, endless, ended), server.Options{})
	c := r.client(t)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		sub, err := c.ChainNotify(ctx)
		require.NoError(t, err)
		for i := range 50 {
			v := <-sub
			require.Len(t, v, 1)
			require.Equal(t, i == 0, v[0].Type == api.HeadCurrent)
			require.Equal(t, tipset(t, 3).Key(), v[0].Val.Key())
		}
		cancel()
		<-ended // the node's side ended
		for range sub {
		}
	}
	// A wrong token or permission is an error of the subscription itself.
	bad, err := client.New(t.Context(), client.Target{Addr: r.url, Token: "x"})
	require.NoError(t, err)
	_, err = bad.ChainNotify(t.Context())
	require.ErrorIs(t, err, client.ErrToken)
	require.NoError(t, bad.Close())
	_, err = r.client(t).Retrieve(t.Context(), &api.RetrieveOrder{})
	require.ErrorContains(t, err, "missing permission to invoke 'Retrieve'")
}

// TestLibraryClient talks to the server as other Filecoin programs do, over the library's own
// WebSocket client (whose reader may stay behind when it is closed).
func TestLibraryClient(t *testing.T) {
	ended := make(chan struct{}, 1)
	r := serve(t, heads(t, endless, ended), server.Options{})
	var calls struct {
		ChainNotify      func(context.Context) (<-chan []*api.HeadChange, error)
		StateNetworkName func(context.Context) (string, error)
		WalletBalance    func(context.Context, address.Address) (abi.TokenAmount, error)
	}
	stop, err := jsonrpc.NewMergeClient(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"/rpc/v1", "Filecoin", []any{&calls}, nil)
	require.NoError(t, err)
	name, err := calls.StateNetworkName(t.Context())
	require.NoError(t, err)
	require.Equal(t, "testnet", name)
	_, err = calls.WalletBalance(t.Context(), address.Undef)
	require.ErrorContains(t, err, "panic in rpc method")
	ctx, cancel := context.WithCancel(t.Context())
	sub, err := calls.ChainNotify(ctx)
	require.NoError(t, err)
	require.Equal(t, api.HeadCurrent, (<-sub)[0].Type)
	require.Equal(t, api.HeadApply, (<-sub)[0].Type)
	cancel()
	<-ended
	stop()
}

// raw is a WebSocket without a client library.
type raw struct {
	t  *testing.T
	ws *websocket.Conn
}

func (r *running) dial(t *testing.T, header http.Header) (*raw, *http.Response, error) {
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"/rpc/v1", header)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &raw{t, ws}, resp, nil
}

func (r *raw) send(text string) {
	r.t.Helper()
	require.NoError(r.t, r.ws.WriteMessage(websocket.TextMessage, []byte(text)))
}

func (r *raw) next() map[string]any {
	r.t.Helper()
	_, b, err := r.ws.ReadMessage()
	require.NoError(r.t, err)
	var m map[string]any
	require.NoError(r.t, json.Unmarshal(b, &m), string(b))
	return m
}

func TestSocketFrames(t *testing.T) {
	ended := make(chan struct{}, 10)
	// So few that the subscription is not cut off, however long this goroutine stands still.
	r := serve(t, heads(t, 10, ended), server.Options{MaxRequest: 4096})
	c, _, err := r.dial(t, nil)
	require.NoError(t, err)

	c.send(`{"id":"a","method":"Filecoin.StateNetworkName"}`)
	require.Equal(t, map[string]any{"jsonrpc": "2.0", "id": "a", "result": "testnet"}, c.next())
	c.send(`{"id":1`)
	require.InDelta(t, api.CodeParse, c.next()["error"].(map[string]any)["code"], 0)
	require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, []byte(`{"id":2,"method":"Filecoin.Nope"}`)))
	require.InDelta(t, api.CodeNoMethod, c.next()["error"].(map[string]any)["code"], 0)
	c.send(`{"id":3,"method":"Filecoin.ChainNotify"}`)
	require.Equal(t, map[string]any{"jsonrpc": "2.0", "id": 3.0, "result": 1.0}, c.next(), "the channel's id comes first")
	v := c.next()
	require.Equal(t, "xrpc.ch.val", v["method"])
	require.InDelta(t, 1, v["params"].([]any)[0], 0)
	require.Equal(t, "current", v["params"].([]any)[1].([]any)[0].(map[string]any)["Type"])

	c.send(`{"id":3,"method":"Filecoin.StateNetworkName"}`)
	for v = c.next(); v["method"] == "xrpc.ch.val"; v = c.next() {
	}
	require.InDelta(t, api.CodeRequest, v["error"].(map[string]any)["code"], 0, "an id that is in use")

	c.send(`{"method":"xrpc.cancel","params":[99]}`)
	c.send(`{"method":"xrpc.cancel","params":"x"}`)
	c.send(`{"method":"xrpc.cancel","params":[3]}`)
	<-ended
	for v = c.next(); v["method"] == "xrpc.ch.val"; v = c.next() {
	}
	require.Equal(t, map[string]any{"jsonrpc": "2.0", "method": "xrpc.ch.close", "params": []any{1.0}}, v)

	// A second subscription ends with the connection; a frame that is too large ends that.
	c.send(`{"id":4,"method":"Filecoin.ChainNotify"}`)
	c.send(`{"id":"` + strings.Repeat("x", 5000) + `"}`)
	<-ended
}

func TestSlowSubscriberIsCutOff(t *testing.T) {
	ended := make(chan struct{}, 1)
	r := serve(t, heads(t, endless, ended), server.Options{Backlog: 10})
	c, _, err := r.dial(t, nil)
	require.NoError(t, err)
	c.send(`{"id":1,"method":"Filecoin.ChainNotify"}`)
	<-ended // without one frame having been read
	for {
		if v := c.next(); v["method"] == "xrpc.ch.close" {
			break
		}
	}
	c.send(`{"id":2,"method":"Filecoin.StateNetworkName"}`)
	require.Equal(t, "testnet", c.next()["result"], "the connection itself goes on")
}

func TestTooManyCalls(t *testing.T) {
	var began atomic.Int32
	node := &api.Proxy{}
	node.Call.StateWaitMsg = func(ctx context.Context, _ cid.Cid, _ uint64, _ abi.ChainEpoch, _ bool) (*api.MsgLookup, error) {
		began.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := serve(t, node, server.Options{Calls: 2})
	c, _, err := r.dial(t, nil)
	require.NoError(t, err)
	for _, id := range []string{"1", "2", "3"} {
		c.send(`{"id":` + id + `,"method":"Filecoin.StateWaitMsg","params":[{"/":"bafkqaaa"},1,-1,true]}`)
	}
	v := c.next()
	require.InDelta(t, 3, v["id"], 0)
	require.InDelta(t, api.CodeLimit, v["error"].(map[string]any)["code"], 0)
	c.send(`{"method":"xrpc.cancel","params":[1]}`)
	require.InDelta(t, 1, c.next()["id"], 0)
}

func TestSocketOrigins(t *testing.T) {
	r := serve(t, heads(t, endless, make(chan struct{}, 1)), server.Options{Origins: []string{"https://wallet.example"}})
	for origin, want := range map[string]int{"https://wallet.example": 101, "https://evil.example": 403, r.url: 101} {
		_, resp, err := r.dial(t, http.Header{"Origin": {origin}})
		require.Equal(t, want, resp.StatusCode, origin)
		require.Equal(t, want == 101, err == nil)
	}
	_, resp, err := r.dial(t, http.Header{"Authorization": {"Bearer x"}})
	require.Error(t, err)
	require.Equal(t, 401, resp.StatusCode)
}

func TestPings(t *testing.T) {
	r := serve(t, heads(t, endless, make(chan struct{}, 1)), server.Options{})
	c, _, err := r.dial(t, nil)
	require.NoError(t, err)
	pinged := make(chan struct{})
	first := sync.OnceFunc(func() { close(pinged) }) // others may follow before we look
	c.ws.SetPingHandler(func(string) error { first(); return nil })
	go func() { _, _, _ = c.ws.ReadMessage() }()
	select {
	case <-pinged:
	case <-time.After(5 * time.Minute):
		t.Fatal("no ping")
	}
	require.NoError(t, c.ws.Close())
}

func FuzzFrames(f *testing.F) {
	for _, s := range []string{`{"id":1,"method":"Filecoin.StateNetworkName"}`, `{"method":"xrpc.cancel","params":[1]}`, `[]`, `{"id":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := serve(t, every(new(atomic.Int64)), server.Options{})
		c, _, err := r.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.ws.WriteMessage(websocket.TextMessage, b)
		c.send(`{"id":"last","method":"Filecoin.StateNetworkName"}`)
		for c.next()["id"] != "last" {
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}
