package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lodenet/lode/api"
)

// The life of a connection (spec api.md A.4).
const (
	pingEvery  = 5 * time.Second
	idleLimit  = 30 * time.Second // without a frame of any kind
	writeLimit = 30 * time.Second // for one frame
	outQueue   = 64               // frames that wait to be written
)

// The methods of the connection itself.
const (
	methodCancel = "xrpc.cancel"
	methodValue  = "xrpc.ch.val"
	methodClose  = "xrpc.ch.close"
)

// notification goes to the client without being asked.
type notification struct {
	JSONRPC string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

// conn is one WebSocket.
type conn struct {
	s     *Server
	ws    *websocket.Conn
	perms []api.Permission
	ctx   context.Context // the lifetime of the connection
	// out feeds the writer; whoever puts something in also waits for ctx.
	out chan []byte
	// slots holds a token for each call under way.
	slots chan struct{}
	calls sync.WaitGroup

	mu     sync.Mutex
	cancel map[string]context.CancelFunc // by the id of the call
	nextCh uint64
}

// socket serves a WebSocket until either side ends it, and waits for its goroutines.
func (s *Server) socket(w http.ResponseWriter, r *http.Request, perms []api.Permission) {
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // answered by the upgrader
	}
	ctx, end := context.WithCancel(s.sockets)
	defer end()
	c := &conn{
		s: s, ws: ws, perms: perms, ctx: ctx,
		out:    make(chan []byte, outQueue),
		slots:  make(chan struct{}, s.opt.Calls),
		cancel: make(map[string]context.CancelFunc),
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
		end()
		_ = ws.Close() // ends the reader
	}()
	c.read()
	end()
	c.calls.Wait()
	<-written
}

// read takes frames until the connection ends.
func (c *conn) read() {
	c.ws.SetReadLimit(c.s.opt.MaxRequest)
	alive := func() { _ = c.ws.SetReadDeadline(time.Now().Add(idleLimit)) }
	alive()
	c.ws.SetPongHandler(func(string) error { alive(); return nil })
	ping := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error { alive(); return ping(data) })
	for {
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway) && c.ctx.Err() == nil {
				c.s.log.Debug("websocket ended", "remote", c.ws.RemoteAddr(), "err", err)
			}
			return
		}
		alive()
		c.frame(frame)
	}
}

// write sends frames and pings, one goroutine a connection.
func (c *conn) write() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case b := <-c.out:
			_ = c.ws.SetWriteDeadline(time.Now().Add(writeLimit))
			err = c.ws.WriteMessage(websocket.TextMessage, b)
		case <-tick.C:
			err = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeLimit))
		case <-c.ctx.Done():
			msg := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			_ = c.ws.WriteControl(websocket.CloseMessage, msg, time.Now().Add(time.Second))
			return
		}
		if err != nil {
			return
		}
	}
}

// frame handles one request of the client.
func (c *conn) frame(raw []byte) {
	req, bad := parse(raw)
	switch {
	case bad != nil:
		c.send(*bad)
		return
	case req.Method == methodCancel:
		c.cancelCall(req.Params)
		return
	case req.Method == "": // an answer; nothing was asked
		return
	}
	select {
	case c.slots <- struct{}{}:
	default: // waiting here would keep the frames that cancel calls from being read
		c.send(failure(req.ID, api.ErrLimit.With("%d calls are under way on this connection", cap(c.slots))))
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	if req.ID != nil && !c.register(string(req.ID), cancel) {
		cancel()
		<-c.slots
		c.send(failure(req.ID, &api.Error{Code: api.CodeRequest, Message: "a call with this id is under way"}))
		return
	}
	c.calls.Go(func() {
		defer func() { <-c.slots }()
		defer cancel()
		if req.ID != nil {
			defer c.forget(string(req.ID))
		}
		c.call(ctx, cancel, req)
	})
}

func (c *conn) call(ctx context.Context, cancel context.CancelFunc, req request) {
	result, stream, err := c.s.invoke(ctx, c.perms, req, req.ID != nil)
	switch {
	case req.ID == nil:
	case err != nil:
		c.send(failure(req.ID, err))
	case stream.IsValid():
		c.stream(cancel, req.ID, stream)
	default:
		c.send(response{JSONRPC: "2.0", ID: req.ID, Result: result})
	}
}

// stream forwards a channel's values until it is closed. The method closes it when its
// context ends, so cancelling always ends this. A client that lags too far is cut off.
func (c *conn) stream(cancel context.CancelFunc, id json.RawMessage, ch reflect.Value) {
	c.mu.Lock()
	c.nextCh++
	n := c.nextCh
	c.mu.Unlock()
	c.send(response{JSONRPC: "2.0", ID: id, Result: json.RawMessage(fmt.Sprint(n))})

	var backlog [][]byte
	values := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: ch}
	for {
		cases := []reflect.SelectCase{values, {Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.ctx.Done())}}
		if len(backlog) > 0 {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectSend, Chan: reflect.ValueOf(c.out), Send: reflect.ValueOf(backlog[0])})
		}
		chosen, v, open := reflect.Select(cases)
		var err error
		switch {
		case chosen == 1: // the connection ends
			cancel()
			discard(ch)
			return
		case chosen == 2:
			backlog = backlog[1:]
			continue
		case !open:
			for _, b := range backlog {
				c.put(b)
			}
			c.notify(methodClose, n)
			return
		case len(backlog) >= c.s.opt.Backlog:
			err = errors.New("the subscriber is too slow")
		default:
			var b []byte
			if b, err = c.value(n, v); err == nil {
				backlog = append(backlog, b)
				continue
			}
		}
		c.s.log.Debug("subscription cut off", "remote", c.ws.RemoteAddr(), "err", err)
		cancel()
		discard(ch)
		c.notify(methodClose, n)
		return
	}
}

func (c *conn) value(n uint64, v reflect.Value) ([]byte, error) {
	b, err := encode(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(notification{"2.0", methodValue, []any{n, b}})
}

// discard empties a channel until it is closed.
func discard(ch reflect.Value) {
	for {
		if _, open := ch.Recv(); !open {
			return
		}
	}
}

func (c *conn) notify(method string, params ...any) {
	if b, err := json.Marshal(notification{"2.0", method, params}); err == nil {
		c.put(b)
	}
}

func (c *conn) send(r response) {
	b, err := json.Marshal(r)
	if err != nil { // results are JSON already
		c.s.log.Error("rpc answer cannot be written", "err", err)
		return
	}
	c.put(b)
}

func (c *conn) put(b []byte) {
	select {
	case c.out <- b:
	case <-c.ctx.Done():
	}
}

func (c *conn) register(id string, cancel context.CancelFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.cancel[id]; taken {
		return false
	}
	c.cancel[id] = cancel
	return true
}

func (c *conn) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cancel, id)
}

// cancelCall ends the call or subscription whose id is the first param.
func (c *conn) cancelCall(params json.RawMessage) {
	var ids []json.RawMessage
	if json.Unmarshal(params, &ids) != nil || len(ids) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel, ok := c.cancel[string(ids[0])]; ok {
		cancel()
	}
}
