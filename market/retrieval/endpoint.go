package retrieval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/lodenet/lode/market/car"
	"github.com/lodenet/lode/market/transfer"
)

const (
	connectTimeout = 20 * time.Second
	// stall ends a request that brings nothing for so long.
	stall = time.Minute
)

// endpoint is one gateway of one provider.
type endpoint struct {
	name   string
	base   string
	client *http.Client
	dead   bool // could not be reached; asked last
}

// open finds the gateways of a provider.
func open(ctx context.Context, h host.Host, p Provider) ([]*endpoint, error) {
	if p.URL != "" {
		return []*endpoint{overHTTP(p.URL)}, nil
	}
	if h == nil {
		return nil, errors.New("this node has no libp2p host; give the provider's http URL")
	}
	dial, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "retrieval"), connectTimeout)
	defer cancel()
	// Somebody waits for this: that nobody answered a moment ago, which libp2p goes by for some
	// seconds, does not count.
	if s, ok := h.Network().(interface {
		Backoff() *libp2pswarm.DialBackoff
	}); ok {
		s.Backoff().Clear(p.Peer.ID)
	}
	if err := h.Connect(dial, p.Peer); err != nil {
		return nil, fmt.Errorf("cannot be reached (is it running, and is its address right?): %w", err)
	}
	ts, terr := QueryTransports(ctx, h, p.Peer.ID)
	var out []*endpoint
	for _, t := range ts {
		if t.Name != "http" {
			continue
		}
		for _, a := range t.Addresses {
			if u, ok := gatewayURL(a); ok {
				out = append(out, overHTTP(u))
			}
		}
	}
	// HTTP on the connection there is: needs no open port, so it works when all else fails.
	out = append(out, &endpoint{
		name: p.Peer.ID.String() + " by libp2p", base: "http://" + p.Peer.ID.String(),
		client: &http.Client{Transport: transfer.StreamTransport(h, p.Peer, ProtocolHTTP)},
	})
	if ids, err := h.Peerstore().SupportsProtocols(p.Peer.ID, ProtocolHTTP); err == nil && len(ids) == 0 {
		out = out[:len(out)-1]
	}
	if len(out) == 0 {
		return nil, errors.Join(errors.New("it offers no way to retrieve over HTTP"), terr)
	}
	return out, nil
}

func overHTTP(base string) *endpoint {
	return &endpoint{
		name: base, base: strings.TrimSuffix(base, "/"),
		client: &http.Client{Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
			ResponseHeaderTimeout: stall,
			MaxIdleConnsPerHost:   2,
		}},
	}
}

// absent: the endpoint was reached and does not have the block.
var errAbsent = errors.New("does not have it")

// do asks an endpoint; the body must be closed, and dies when nothing comes for a while.
func (e *endpoint) do(ctx context.Context, query, accept string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+query, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := e.client.Do(req)
	if err != nil {
		cancel(nil)
		e.dead = true
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		res.Body.Close()
		cancel(nil)
		if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone {
			return nil, errAbsent
		}
		return nil, fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(printable(string(text))))
	}
	e.dead = false
	b := &watched{body: res.Body, ctx: ctx, cancel: cancel}
	b.timer = time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %s", stall)) })
	return b, nil
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// watched is a body that ends when it stalls.
type watched struct {
	body   io.ReadCloser
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if n > 0 {
		w.timer.Reset(stall)
	}
	if err != nil && err != io.EOF && w.ctx.Err() != nil {
		err = context.Cause(w.ctx)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}

// raw gets one block and verifies it.
func (e *endpoint) raw(ctx context.Context, c cid.Cid) ([]byte, error) {
	body, err := e.do(ctx, "/ipfs/"+c.String()+"?format=raw", typeRaw)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, car.MaxBlock+1))
	if err != nil {
		return nil, err
	}
	if len(data) > car.MaxBlock {
		return nil, fmt.Errorf("the answer is larger than a block, %d bytes", car.MaxBlock)
	}
	return data, car.Check(c, data)
}

// alive puts endpoints that could not be reached last.
func alive(es []*endpoint) []*endpoint {
	out := slices.Clone(es)
	slices.SortStableFunc(out, func(a, b *endpoint) int {
		switch {
		case a.dead == b.dead:
			return 0
		case a.dead:
			return 1
		}
		return -1
	})
	return out
}
