package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lodenet/lode/api"
)

// The life of a subscription's connection (spec api.md A.4).
const (
	dialLimit = 15 * time.Second
	pingEvery = 5 * time.Second
	idleLimit = 30 * time.Second // without a frame while we read
)

// frame is what a node sends on a subscription's connection: the answer to our one request,
// a value, or the end.
type frame struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	Error  *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
}

// subscribe opens a connection for one subscription. The channel is closed when the node ends
// it, the connection breaks or ctx ends; its two goroutines end then.
func (c *Client) subscribe(ctx context.Context, method string, elem reflect.Type, args []reflect.Value) (reflect.Value, error) {
	params := make([]any, len(args))
	for i, a := range args { // through pointers: amounts write themselves only from there
		p := reflect.New(a.Type())
		p.Elem().Set(a)
		params[i] = p.Interface()
	}
	request, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return reflect.Value{}, fmt.Errorf("%s: %w", method, err)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: dialLimit}
	ws, resp, err := dialer.DialContext(ctx, c.subURL, c.header)
	switch {
	case ctx.Err() != nil:
		return reflect.Value{}, errors.Join(ctx.Err(), closeIf(ws))
	case resp != nil && resp.StatusCode == http.StatusUnauthorized:
		return reflect.Value{}, c.refused()
	case err != nil:
		return reflect.Value{}, c.unreachable(err)
	}
	subCtx, end := context.WithCancel(ctx)
	c.subs.Go(func() { keepAlive(subCtx, ws) }) // closes ws
	first, err := open(ws, request)
	if err == nil && first.Error != nil {
		err = &api.Error{Code: first.Error.Code, Message: first.Error.Message, Data: first.Error.Data}
	}
	if err != nil {
		if e := ctx.Err(); e != nil {
			err = e
		}
		end()
		return reflect.Value{}, err
	}
	out := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, elem), 0)
	c.subs.Go(func() {
		defer end()
		defer out.Close()
		receive(subCtx, ws, elem, out)
	})
	return out, nil
}

func closeIf(ws *websocket.Conn) error {
	if ws == nil {
		return nil
	}
	return ws.Close()
}

// open sends the request and reads the answer, which comes before any value.
func open(ws *websocket.Conn, request []byte) (f frame, err error) {
	if err := ws.WriteMessage(websocket.TextMessage, request); err != nil {
		return f, err
	}
	_ = ws.SetReadDeadline(time.Now().Add(dialLimit))
	return f, ws.ReadJSON(&f)
}

// keepAlive pings until ctx ends, then closes the connection, which ends receive.
func keepAlive(ctx context.Context, ws *websocket.Conn) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(pingEvery))
		case <-ctx.Done():
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
			_ = ws.Close()
			return
		}
	}
}

// receive hands values on until the end. Only the connection's own end is not told apart from
// the node's: either way the caller subscribes again.
func receive(ctx context.Context, ws *websocket.Conn, elem reflect.Type, out reflect.Value) {
	alive := func() { _ = ws.SetReadDeadline(time.Now().Add(idleLimit)) }
	ping := ws.PingHandler()
	ws.SetPingHandler(func(data string) error { alive(); return ping(data) })
	ws.SetPongHandler(func(string) error { alive(); return nil })
	done := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}
	for {
		alive()
		var f frame
		if ws.ReadJSON(&f) != nil || f.Method == "xrpc.ch.close" {
			return
		}
		if f.Method != "xrpc.ch.val" || len(f.Params) != 2 {
			continue
		}
		v := reflect.New(elem)
		if json.Unmarshal(f.Params[1], v.Interface()) != nil {
			return
		}
		send := reflect.SelectCase{Dir: reflect.SelectSend, Chan: out, Send: v.Elem()}
		if chosen, _, _ := reflect.Select([]reflect.SelectCase{done, send}); chosen == 0 {
			return
		}
	}
}
