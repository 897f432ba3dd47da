package heartbeat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
)

// Defaults of a Reporter, go-filecoin's.
const (
	DefaultPeriod    = 3 * time.Second
	DefaultReconnect = 10 * time.Second
	sendTimeout      = 10 * time.Second
)

// Options vary a Reporter.
type Options struct {
	Period    time.Duration // between beats
	Reconnect time.Duration // after a failure
}

// Reporter tells one collector how the node does.
type Reporter struct {
	host   libp2phost.Host
	target peer.AddrInfo
	beat   func(ctx context.Context) (Beat, error)
	opt    Options
	clk    clock.Clock
	log    *slog.Logger
	sent   atomic.Uint64
}

// NewReporter prepares a reporter; Run starts it. beat says how the node does now.
func NewReporter(h libp2phost.Host, target peer.AddrInfo, beat func(ctx context.Context) (Beat, error), opt Options, clk clock.Clock, log *slog.Logger) *Reporter {
	if opt.Period <= 0 {
		opt.Period = DefaultPeriod
	}
	if opt.Reconnect <= 0 {
		opt.Reconnect = DefaultReconnect
	}
	return &Reporter{host: h, target: target, beat: beat, opt: opt, clk: clk, log: log}
}

// Sent counts the beats since the start.
func (r *Reporter) Sent() uint64 { return r.sent.Load() }

// Run reports until the context ends. A collector that is away is looked for again; that is
// said once each time.
func (r *Reporter) Run(ctx context.Context) error {
	told := false
	for {
		began := r.sent.Load()
		err := r.connection(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if r.sent.Load() > began {
			told = false // it worked for a while
		}
		if !told {
			r.log.Warn("the collector of heartbeats cannot be told; check Heartbeat.BeatTarget of the settings", "peer", r.target.ID, "err", err)
			told = true
		}
		if clock.Sleep(ctx, r.clk, r.opt.Reconnect) != nil {
			return nil
		}
	}
}

// connection sends over one stream until that fails.
func (r *Reporter) connection(ctx context.Context) error {
	open, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	r.host.Peerstore().AddAddrs(r.target.ID, r.target.Addrs, peerstore.TempAddrTTL)
	s, err := r.host.NewStream(network.WithAllowLimitedConn(open, "heartbeat"), r.target.ID, Protocol)
	if err != nil {
		return fmt.Errorf("heartbeat to %s: %w", r.target.ID, err)
	}
	defer func() { _ = s.Reset() }() // it is over either way
	for {
		if err := r.send(ctx, s); err != nil {
			return fmt.Errorf("heartbeat to %s: %w", r.target.ID, err)
		}
		r.sent.Add(1)
		if err := clock.Sleep(ctx, r.clk, r.opt.Period); err != nil {
			return err
		}
	}
}

// send writes one beat.
func (r *Reporter) send(ctx context.Context, s network.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	b, err := r.beat(ctx)
	if err != nil {
		return err
	}
	line, err := json.Marshal(b)
	if err != nil {
		return err
	}
	defer host.Bound(ctx, s)()
	_, err = s.Write(append(line, '\n'))
	return err
}
