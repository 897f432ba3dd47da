package netfault_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/hello"
	"github.com/lodenet/lode/network/host"
)

// ours are the protocols whose every stream must end soon after it turns out to be bad;
// streams of gossip and bitswap may live as long as a connection.
var ours = []protocol.ID{hello.Protocol, exchange.Protocol}

const (
	endTime   = 15 * time.Second // for a bad stream of ours, after its last byte
	openTime  = 10 * time.Second
	writeTime = 20 * time.Second
)

// targets are the attacked nodes.
func (a attack) targets() ([]peer.AddrInfo, error) { return host.ParseAddrs(a.Targets) }

// protocolsOf connects, if need be, and lists what a target speaks.
func protocolsOf(ctx context.Context, h *host.Host, t peer.AddrInfo) ([]protocol.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := h.Connect(ctx, t); err != nil {
		return nil, err
	}
	all, err := h.Peerstore().GetProtocols(t.ID)
	if err != nil {
		return nil, err
	}
	slices.Sort(all)
	return all, nil
}

// end reads until the other side ends the stream, at most for a while.
func end(st network.Stream, within time.Duration) bool {
	if err := st.SetReadDeadline(time.Now().Add(within)); err != nil {
		return true
	}
	_, err := io.Copy(io.Discard, st)
	var late interface{ Timeout() bool }
	return !(errors.As(err, &late) && late.Timeout())
}

// tally counts from several goroutines.
type tally struct {
	mu sync.Mutex
	m  map[string]float64
}

func (t *tally) add(name string, n float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[string]float64{}
	}
	t.m[name] += n
}

// each opens a stream of every protocol of every target, over and over until the context
// ends or there were Rate of them, and lets send loose on it. A stream of ours that does not
// end makes it fail.
func (a attack) each(ctx context.Context, h *host.Host, send func(st network.Stream, rng *rand.Rand)) (map[string]float64, error) {
	targets, err := a.targets()
	if err != nil {
		return nil, err
	}
	var got tally
	var wg sync.WaitGroup
	var mu sync.Mutex
	var bad []error
	for i, t := range targets {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		wg.Go(func() {
			for n := 0; ctx.Err() == nil && (a.Rate == 0 || n < a.Rate); {
				all, err := protocolsOf(ctx, h, t)
				if err != nil {
					got.add("refused connections", 1)
					pause(ctx, time.Second)
					continue
				}
				for _, p := range all {
					n++
					left, err := a.once(ctx, h, t.ID, p, rng, send)
					if err != nil {
						got.add("refused streams", 1)
						pause(ctx, 100*time.Millisecond)
						continue
					}
					got.add("bad streams", 1)
					if left && slices.Contains(ours, p) {
						mu.Lock()
						bad = append(bad, fmt.Errorf("a bad stream of %s to %s is open after %s", p, t.ID, endTime))
						mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
	return got.m, errors.Join(bad...)
}

// once runs one bad stream and tells whether it was still open at the end.
func (a attack) once(ctx context.Context, h *host.Host, t peer.ID, p protocol.ID, rng *rand.Rand, send func(network.Stream, *rand.Rand)) (left bool, err error) {
	openCtx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	st, err := h.NewStream(openCtx, t, p)
	if err != nil {
		return false, err
	}
	defer st.Reset() // it is gone either way
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	defer stop()
	if err := st.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return false, err
	}
	send(st, rng)
	within := endTime
	if !slices.Contains(ours, p) {
		within = 200 * time.Millisecond // it may wait for more
	}
	ended := end(st, within)
	return !ended && ctx.Err() == nil, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// monsters promise more than anyone can send, or nest deeper than anyone can follow.
var monsters = map[string]func() []byte{
	"length of 2^63":          func() []byte { return binary.AppendUvarint(nil, 1<<63) },
	"16 MiB of zeros":         func() []byte { return make([]byte, 16<<20) },
	"array of a million":      func() []byte { return append([]byte{0x84, 0x9a, 0, 0x0f, 0x42, 0x40}, make([]byte, 1000)...) },
	"array of 2^63":           func() []byte { return []byte{0x84, 0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0} },
	"bytes of 2^40":           func() []byte { return []byte{0x84, 0x81, 0x5b, 0, 0, 1, 0, 0, 0, 0, 0} },
	"a million levels":        func() []byte { return bytes.Repeat([]byte{0x81}, 1_000_000) },
	"a million tags":          func() []byte { return bytes.Repeat([]byte{0xc1}, 1_000_000) },
	"frame of 16 MiB":         func() []byte { return append(binary.AppendUvarint(nil, 16<<20), make([]byte, 16<<20)...) },
	"a hundred thousand CIDs": manyCIDs,
}

// manyCIDs is a greeting with far too long a head.
func manyCIDs() []byte {
	c := must(cid.Decode("bafy2bzacebp3shtrn43k7g3unredz7fxn4gj533d3o43tqn2p2ipxxhrvchve"))
	one := append([]byte{0xd8, 0x2a, 0x58, byte(c.ByteLen() + 1), 0}, c.Bytes()...)
	return append([]byte{0x84, 0x9a, 0, 0x01, 0x86, 0xa0}, bytes.Repeat(one, 100_000)...)
}

func init() {
	kinds["oversize"] = func(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
		var names []string
		for n := range monsters {
			names = append(names, n)
		}
		slices.Sort(names)
		return a.each(ctx, h, func(st network.Stream, rng *rand.Rand) {
			_, _ = st.Write(monsters[names[rng.IntN(len(names))]]()) // it may be refused half way
		})
	}
	kinds["malformed"] = func(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
		seeds := wellFormed()
		return a.each(ctx, h, func(st network.Stream, rng *rand.Rand) {
			_, _ = st.Write(mutate(rng, seeds[rng.IntN(len(seeds))]))
			if rng.IntN(2) == 0 {
				_ = st.CloseWrite()
			}
		})
	}
	kinds["slow-loris"] = slowLoris
	kinds["hammer"] = func(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
		seeds := wellFormed()
		return a.each(ctx, h, func(st network.Stream, rng *rand.Rand) {
			_, _ = st.Write(seeds[rng.IntN(len(seeds))])
			_ = st.CloseWrite()
		})
	}
	// It never greets, and serves content as any IPFS node does. One that speaks nothing that
	// lode speaks is sent away (P-07).
	kinds["guest"] = func(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
		h.SetStreamHandler("/ipfs/bitswap/1.2.0", func(s network.Stream) { _ = s.Reset() })
		defer h.RemoveStreamHandler("/ipfs/bitswap/1.2.0")
		return a.stay(ctx, h)
	}
	kinds["plain-peer"] = plainPeer
	kinds["other-genesis"] = otherGenesis
}

// wellFormed are messages that decode.
func wellFormed() [][]byte {
	c := must(cid.Decode("bafy2bzacebp3shtrn43k7g3unredz7fxn4gj533d3o43tqn2p2ipxxhrvchve"))
	var out [][]byte
	for _, m := range []interface{ MarshalCBOR(io.Writer) error }{
		&hello.Message{HeaviestTipSet: []cid.Cid{c}, HeaviestTipSetHeight: 5, HeaviestTipSetWeight: big.NewInt(7), GenesisHash: c},
		&exchange.Request{Head: []cid.Cid{c}, Length: 10, Options: exchange.Headers | exchange.Messages},
	} {
		var b bytes.Buffer
		if err := m.MarshalCBOR(&b); err != nil {
			panic(err)
		}
		out = append(out, b.Bytes(), append(binary.AppendUvarint(nil, uint64(b.Len())), b.Bytes()...))
	}
	return out
}

// mutate spoils a message: bits, length, or all of it.
func mutate(rng *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	switch rng.IntN(4) {
	case 0:
		for range 1 + rng.IntN(8) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
	case 1:
		b = b[:rng.IntN(len(b))]
	case 2:
		b = append(b, b...)
	case 3:
		b = make([]byte, rng.IntN(4096))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	return b
}

// slowLoris opens streams of all protocols at once and sends a byte a second on each; those
// of ours must be ended all the same, within their limits.
func slowLoris(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
	targets, err := a.targets()
	if err != nil {
		return nil, err
	}
	var got tally
	var wg sync.WaitGroup
	var mu sync.Mutex
	var bad []error
	const limit = 20 * time.Second // ours give ten seconds to ask
	seeds := wellFormed()
	for _, t := range targets {
		all, err := protocolsOf(ctx, h, t)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			for k := range a.Rate {
				wg.Go(func() {
					st, err := h.NewStream(ctx, t.ID, p)
					if err != nil {
						got.add("refused streams", 1)
						return
					}
					defer st.Reset() // it is gone either way
					got.add("slow streams", 1)
					begin, b := time.Now(), seeds[k%len(seeds)]
					for i := 0; ctx.Err() == nil; i++ {
						pause(ctx, time.Second)
						if err := st.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
							return
						}
						if _, err := st.Write(b[i%len(b):][:1]); err != nil {
							got.add("ended by the node", 1)
							return
						}
						if time.Since(begin) > limit && slices.Contains(ours, p) {
							mu.Lock()
							bad = append(bad, fmt.Errorf("a slow stream of %s is open after %s", p, limit))
							mu.Unlock()
							return
						}
					}
				})
			}
		}
	}
	wg.Wait()
	return got.m, errors.Join(bad...)
}

// stay connects to all targets and fails when one of them lets go of us.
func (a attack) stay(ctx context.Context, h *host.Host) (map[string]float64, error) {
	targets, err := a.targets()
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if _, err := protocolsOf(ctx, h, t); err != nil {
			return nil, err
		}
	}
	for ctx.Err() == nil {
		for _, t := range targets {
			if h.Network().Connectedness(t.ID) != network.Connected {
				return nil, fmt.Errorf("%s, which is to be left alone, was dropped by %s", a.Kind, t.ID)
			}
		}
		pause(ctx, 500*time.Millisecond)
	}
	return map[string]float64{"kept " + a.Kind: float64(len(targets))}, nil
}

// plainPeer is a peer of our network that speaks the greeting and nothing else of ours, and
// lists protocols that nobody has heard of.
func plainPeer(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
	genesis, err := cid.Decode(a.Genesis)
	if err != nil {
		return nil, err
	}
	for _, p := range []protocol.ID{"/fil/unheard-of/9.9.9", protocol.ID("/x/" + strings.Repeat("long", 30))} {
		h.SetStreamHandler(p, func(st network.Stream) { _ = st.Reset() })
	}
	h.SetStreamHandler(hello.Protocol, func(st network.Stream) {
		defer st.Close() // the other side sees what came
		now := time.Now().UnixNano()
		var m hello.Message
		if m.UnmarshalCBOR(st) == nil {
			_ = (&hello.Answer{TArrival: now, TSent: now}).MarshalCBOR(st)
		}
	})
	targets, err := a.targets()
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if _, err := protocolsOf(ctx, h, t); err != nil {
			return nil, err
		}
		if err := greet(ctx, h, t.ID, genesis); err != nil {
			return nil, fmt.Errorf("greet %s: %w", t.ID, err)
		}
	}
	return a.stay(ctx, h)
}

func greet(ctx context.Context, h *host.Host, p peer.ID, genesis cid.Cid) error {
	st, err := h.NewStream(ctx, p, hello.Protocol)
	if err != nil {
		return err
	}
	defer st.Close() // the answer is all we want
	m := hello.Message{HeaviestTipSet: []cid.Cid{genesis}, HeaviestTipSetWeight: big.Zero(), GenesisHash: genesis}
	if err := m.MarshalCBOR(st); err != nil {
		return err
	}
	var answer hello.Answer
	return answer.UnmarshalCBOR(st)
}

// otherGenesis greets with another genesis and must be put out, and kept out.
func otherGenesis(ctx context.Context, a attack, h *host.Host) (map[string]float64, error) {
	targets, err := a.targets()
	if err != nil {
		return nil, err
	}
	other := must(cid.Decode("bafy2bzacebp3shtrn43k7g3unredz7fxn4gj533d3o43tqn2p2ipxxhrvchve"))
	begin, last := time.Now(), time.Duration(0)
	for ; ctx.Err() == nil; pause(ctx, 500*time.Millisecond) {
		for _, t := range targets {
			if h.Network().Connectedness(t.ID) == network.Connected {
				last = time.Since(begin)
			}
			if _, err := protocolsOf(ctx, h, t); err == nil {
				_ = greet(ctx, h, t.ID, other) // it is refused, or not even that
			}
		}
	}
	if last > 10*time.Second {
		return nil, fmt.Errorf("a peer of another genesis is still connected after %s", last)
	}
	return map[string]float64{"other genesis out after s": last.Seconds()}, nil
}
