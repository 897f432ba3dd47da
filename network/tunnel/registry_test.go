package tunnel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"
)

// TestT05RegistryModel: the registry and a slow model of it get the same random events and
// always agree on what is there, on what is refused, and on who is tagged.
func TestT05RegistryModel(t *testing.T) {
	for seed := range uint64(200) {
		modelRun(t, rand.New(rand.NewPCG(seed, 1)), 300)
	}
}

// FuzzRegistry is the same with events of the fuzzer's.
func FuzzRegistry(f *testing.F) {
	f.Add(uint64(1), uint16(50))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		modelRun(t, rand.New(rand.NewPCG(seed, 2)), int(n%500))
	})
}

func modelRun(t *testing.T, rng *rand.Rand, events int) {
	tagged := map[peer.ID]bool{}
	limits := Limits{Listeners: 3, Streams: 6, PerPeer: 3}
	r := newRegistry(limits, func(p peer.ID, on bool) {
		require.NotEqual(t, tagged[p], on, "a tag was set or taken twice")
		tagged[p] = on
	})
	var offers []*offer // the model: plain lists
	var open []*link
	refused := map[Reason]uint64{}
	for range events {
		name := protocol.ID(fmt.Sprintf("/x/%d", rng.IntN(4)))
		switch rng.IntN(5) {
		case 0:
			o, err := newOffer(Offer{Protocol: name, Target: "127.0.0.1:1", Allow: []peer.ID{"a", "b"}}, false)
			require.NoError(t, err)
			dup := false
			for _, old := range offers {
				dup = dup || old.spec.Protocol == name
			}
			err = r.roomForOffer(name)
			switch {
			case dup:
				require.ErrorIs(t, err, ErrRegistered)
			case len(offers) == limits.Listeners:
				require.ErrorIs(t, err, ErrTooMany)
			default:
				require.NoError(t, err)
				r.offers[name] = o
				offers = append(offers, o)
			}
		case 1, 2:
			l := &link{kind: KindListen, peer: peer.ID([]string{"a", "b", "stranger"}[rng.IntN(3)])}
			l.ctx, l.cancel = context.WithCancelCause(t.Context())
			want := Reason("")
			of, offered := 0, false
			for _, o := range open {
				if o.peer == l.peer {
					of++
				}
			}
			for _, o := range offers {
				offered = offered || o.spec.Protocol == name
			}
			switch {
			case !offered:
				want = ReasonUnknown
			case l.peer == "stranger":
				want = ReasonDenied
			case len(open) == limits.Streams:
				want = ReasonTotal
			case of == limits.PerPeer:
				want = ReasonPerPeer
			}
			require.Equal(t, want, r.admitInbound(l, name))
			if want == "" {
				open = append(open, l)
				if rng.IntN(2) == 0 {
					require.NoError(t, r.carrying(l, 1))
				}
			} else {
				refused[want]++
				l.cancel(nil)
			}
		case 3:
			if len(open) > 0 {
				i := rng.IntN(len(open))
				r.end(open[i], ReasonEOF)
				open[i].cancel(nil)
				open = append(open[:i:i], open[i+1:]...)
				refused[ReasonEOF]++
			}
		case 4:
			if len(offers) > 0 {
				i, drop := rng.IntN(len(offers)), rng.IntN(2) == 0
				o := offers[i]
				offers = append(offers[:i:i], offers[i+1:]...)
				alive := map[*link]bool{}
				for _, l := range open {
					alive[l] = l.ctx.Err() == nil && (l.offer != o || l.set && !drop)
				}
				r.remove([]*offer{o}, nil, drop)
				for _, l := range open {
					require.Equal(t, alive[l], l.ctx.Err() == nil)
				}
			}
		}
		require.Len(t, r.streams, len(open))
		require.Len(t, r.offers, len(offers))
		for _, l := range open {
			require.Equal(t, l, r.streams[l.id])
			require.True(t, tagged[l.peer])
		}
	}
	for _, l := range open {
		r.end(l, ReasonEOF)
		l.cancel(nil)
		refused[ReasonEOF]++
	}
	require.Empty(t, r.streams)
	require.Empty(t, r.perPeer)
	for p, on := range tagged {
		require.False(t, on, p)
	}
	for why, n := range refused {
		require.Equal(t, n, r.stats.Ends[why], why)
	}
}
