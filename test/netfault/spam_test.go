package netfault_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/host"
)

func init() {
	kinds["spam"] = spam
	kinds["flood"] = flood
}

// prunes notes when the first and the last of the targets had enough of us: it pruned us from
// a mesh, or hung up.
type prunes struct {
	begin time.Time
	mu    sync.Mutex
	at    map[string]time.Duration
	who   map[string]bool
}

// Trace implements pubsub.EventTracer.
func (p *prunes) Trace(e *pb.TraceEvent) {
	var peer, topic string
	switch e.GetType() {
	case pb.TraceEvent_PRUNE:
		peer, topic = string(e.GetPrune().GetPeerID()), e.GetPrune().GetTopic()
	case pb.TraceEvent_ON_CLOSED_OUTBOUND_STREAM:
		peer = string(e.GetOnClosedOutboundStream().GetPeerID())
	default:
		return
	}
	who := peer + topic
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.at[who]; !ok {
		p.at[who] = time.Since(p.begin)
	}
	p.who[peer] = true
}

// spam publishes, many times a second, messages with signatures that are none, blocks that
// do not decode, and the same again.
func spam(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
	seen := &prunes{begin: time.Now(), at: map[string]time.Duration{}, who: map[string]bool{}}
	psCtx, stop := context.WithCancel(ctx)
	defer stop()
	ps, err := pubsub.NewGossipSub(psCtx, h, pubsub.WithFloodPublish(true), pubsub.WithEventTracer(seen),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return gossip.MessageID(m.GetData()) }))
	if err != nil {
		return nil, err
	}
	var topics []*pubsub.Topic
	for _, name := range []string{gossip.MessagesTopic(a.Network), gossip.BlocksTopic(a.Network)} {
		t, err := ps.Join(name)
		if err != nil {
			return nil, err
		}
		cancel, err := t.Relay()
		if err != nil {
			return nil, err
		}
		defer cancel()
		topics = append(topics, t)
	}
	targets, err := a.targets()
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if _, err := protocolsOf(ctx, h, t); err != nil {
			return nil, err
		}
	}
	pause(ctx, 2*time.Second) // so that the meshes form
	seen.mu.Lock()
	seen.begin = time.Now()
	clear(seen.at)
	clear(seen.who)
	seen.mu.Unlock()
	const burst = 20 * time.Millisecond
	sent := 0
	for n := uint64(0); ctx.Err() == nil; pause(ctx, burst) {
		for range max(1, a.Rate*int(burst/time.Millisecond)/1000) {
			n++
			data, topic := forged(n), topics[0]
			switch n % 4 {
			case 1:
				data = binary.BigEndian.AppendUint64([]byte("no message"), n)
			case 2:
				data, topic = binary.BigEndian.AppendUint64([]byte("no block"), n), topics[1]
			case 3:
				data = forged(n - 3) // again
			}
			if topic.Publish(ctx, data) == nil {
				sent++
			}
		}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	last := time.Duration(0)
	for _, d := range seen.at {
		last = max(last, d)
	}
	out := map[string]float64{"spam sent": float64(sent), "pruned": float64(len(seen.who)), "last pruned after s": last.Seconds()}
	if len(seen.who) < len(targets) {
		return out, errors.New("somebody keeps the spammer in a mesh")
	}
	if last > 10*time.Second {
		return out, errors.New("it took too long to prune the spammer")
	}
	return out, nil
}

// forged is a message that decodes and whose signature is wrong.
func forged(n uint64) []byte {
	m := &types.SignedMessage{
		Message: types.Message{To: sink, From: sink, Nonce: n, Value: big.NewInt(1), GasLimit: 1_000_000, GasFeeCap: big.NewInt(1), GasPremium: big.NewInt(1)},
	}
	m.Signature = crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}
	return must(m.Serialize())
}

// flood opens TCP connections from every address of its namespace as fast as it can.
func flood(ctx context.Context, a attack, _ *host.Host) (map[string]float64, error) {
	var addrs []string
	for _, t := range a.Targets {
		m, err := ma.NewMultiaddr(t)
		if err != nil {
			return nil, err
		}
		where, _ := ma.SplitLast(m) // without the peer id
		if at, err := manet.ToNetAddr(where); err == nil && at.Network() == "tcp" {
			addrs = append(addrs, at.String())
		}
	}
	var opened, failed atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range max(1, a.Rate) {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(a.Addrs[w%len(a.Addrs)], "0"))
		if err != nil {
			return nil, err
		}
		d := net.Dialer{LocalAddr: local, Timeout: time.Second}
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c, err := d.DialContext(ctx, "tcp", addrs[i%len(addrs)])
				if err != nil {
					failed.Add(1)
					pause(ctx, time.Millisecond)
					continue
				}
				opened.Add(1)
				_ = c.(*net.TCPConn).SetLinger(0) // no lingering port of ours
				if i%8 != 0 {
					c.Close()
					continue
				}
				wg.Go(func() { // some stay and say nothing
					pause(ctx, 2*time.Second)
					c.Close()
				})
			}
		})
	}
	wg.Wait()
	return map[string]float64{
		"connects": float64(opened.Load()), "connects a second": float64(opened.Load()) / time.Since(begin).Seconds(), "refused": float64(failed.Load()),
	}, nil
}
