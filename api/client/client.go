package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"

	"github.com/filecoin-project/go-jsonrpc"

	"github.com/lodenet/lode/api"
)

var (
	// ErrUnreachable: nobody answers at the address.
	ErrUnreachable = errors.New("node cannot be reached")
	// ErrToken: the node does not know our token.
	ErrToken = errors.New("the node refuses the token")
)

// Client is a node elsewhere. Safe from many goroutines.
type Client struct {
	api.Proxy
	target Target
	header http.Header
	subURL string
	http   *http.Client
	stop   jsonrpc.ClientCloser
	subs   sync.WaitGroup // goroutines of subscriptions
}

var _ api.Node = (*Client)(nil)

// New makes a client; it does not connect yet.
func New(ctx context.Context, t Target) (*Client, error) {
	calls, subs, err := t.urls()
	if err != nil {
		return nil, err
	}
	c := &Client{target: t, header: http.Header{}, subURL: subs}
	if t.Token != "" {
		c.header.Set("Authorization", "Bearer "+t.Token)
	}
	c.http = &http.Client{Transport: checked{&http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16}}}
	c.stop, err = jsonrpc.NewMergeClient(ctx, calls, api.Namespace, []any{&c.Call}, c.header,
		jsonrpc.WithHTTPClient(c.http), jsonrpc.WithErrors(errorCodes()))
	if err != nil {
		return nil, fmt.Errorf("api client: %w", err)
	}
	c.wrap()
	return c, nil
}

// Close ends idle connections and waits for subscriptions, whose contexts the caller must
// have ended.
func (c *Client) Close() error {
	c.stop()
	c.subs.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// checked turns the answers of a refused token into an error that says so.
type checked struct{ *http.Transport }

func (t checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		return nil, errors.Join(ErrToken, resp.Body.Close())
	}
	return resp, err
}

// errorCodes maps every code that the contract knows to *api.Error.
func errorCodes() jsonrpc.Errors {
	es := jsonrpc.NewErrors()
	for _, code := range []int{
		api.CodeParse, api.CodeRequest, api.CodeNoMethod, api.CodeParams, api.CodeLimit, api.CodeError,
		api.CodeOutOfGas, api.CodeReverted, api.CodeActorNotFound, api.CodeNullRound, api.CodeNoRole,
	} {
		es.Register(jsonrpc.ErrorCode(code), new(*api.Error))
	}
	return es
}

// wrap gives errors their meaning and sends subscriptions over WebSockets.
func (c *Client) wrap() {
	calls := reflect.ValueOf(&c.Call).Elem()
	for i := range calls.NumField() {
		f := calls.Field(i)
		call := reflect.ValueOf(f.Interface())
		if t := f.Type(); t.NumOut() == 2 && t.Out(0).Kind() == reflect.Chan {
			method := api.Namespace + "." + calls.Type().Field(i).Name
			f.Set(reflect.MakeFunc(t, func(args []reflect.Value) []reflect.Value {
				ch, err := c.subscribe(args[0].Interface().(context.Context), method, t.Out(0).Elem(), args[1:])
				if err != nil {
					return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
				}
				return []reflect.Value{ch.Convert(t.Out(0)), reflect.Zero(reflect.TypeFor[error]())}
			}))
			continue
		}
		f.Set(reflect.MakeFunc(f.Type(), func(args []reflect.Value) []reflect.Value {
			out := call.Call(args)
			c.explain(args[0], &out[len(out)-1])
			return out
		}))
	}
}

// explain replaces the errors of the transport, which speak of themselves, by ours.
func (c *Client) explain(ctx reflect.Value, out *reflect.Value) {
	err, _ := out.Interface().(error)
	if err == nil {
		return
	}
	var conn *jsonrpc.RPCConnectionError
	var lib *jsonrpc.ErrClient
	e := ctx.Interface().(context.Context).Err()
	switch {
	case e != nil && (errors.As(err, &conn) || errors.As(err, &lib)):
		err = e
	case errors.Is(err, ErrToken):
		err = c.refused()
	case errors.As(err, &conn):
		err = c.unreachable(conn.Unwrap())
	case errors.As(err, &lib):
		err = fmt.Errorf("call to %s: %w", c.target.Addr, lib.Unwrap())
	default:
		return
	}
	*out = reflect.ValueOf(&err).Elem()
}

func (c *Client) unreachable(err error) error {
	return fmt.Errorf("%w at %s; is it running? lode daemon starts it (%w)", ErrUnreachable, c.target.Addr, err)
}

func (c *Client) refused() error {
	return fmt.Errorf("%w at %s; make one there with lode auth new", ErrToken, c.target.Addr)
}
