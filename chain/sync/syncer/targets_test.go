package syncer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
)

// key makes a key that names nothing.
func key(t testing.TB, i int) types.TipSetKey {
	t.Helper()
	c, err := types.CborCid(&types.BeaconEntry{Round: uint64(i)})
	if err != nil {
		t.Fatal(err)
	}
	return types.NewTipSetKey(c)
}

func at(seconds int) time.Time { return time.Unix(1000+int64(seconds), 0) }

func offer(tg *targets, now time.Time, p string, k types.TipSetKey, w int64) bool {
	return tg.offer(now, peer.ID(p), true, k, abi.ChainEpoch(w), big.NewInt(w))
}

func mustNext(t *testing.T, tg *targets, now time.Time, want types.TipSetKey) {
	t.Helper()
	g, ok := tg.next(now)
	if !ok || g.key != want {
		t.Fatalf("next is %v %v, want %v", g.key, ok, want)
	}
}

func TestTargetOrder(t *testing.T) {
	tg := newTargets()
	a, b, c := key(t, 1), key(t, 2), key(t, 3)
	if !offer(tg, at(0), "p", a, 10) || offer(tg, at(0), "q", a, 10) {
		t.Error("news is not told from repetition")
	}
	offer(tg, at(0), "r", b, 20)
	mustNext(t, tg, at(0), b)
	tg.failed(at(0), b)
	mustNext(t, tg, at(5), a) // a failure lets the others go first, however heavy it claims to be
	offer(tg, at(0), "s", c, 10)
	mustNext(t, tg, at(0), a) // more peers stand behind it
	tg.done(a)
	mustNext(t, tg, at(0), c)
	tg.done(c)
	if _, ok := tg.next(at(0)); ok {
		t.Error("a failed target is due at once")
	}
	mustNext(t, tg, at(1), b)
	tg.refuse(at(1), b)
	if offer(tg, at(2), "x", b, 20) {
		t.Error("a refused target was taken")
	}
	if !offer(tg, at(2+3600), "x", b, 20) {
		t.Error("a refusal has no end")
	}
}

func TestNewHeadsReplaceOld(t *testing.T) {
	tg := newTargets()
	for i := range 10 {
		offer(tg, at(0), "p", key(t, i), int64(i))
	}
	offer(tg, at(0), "q", key(t, 0), 0)
	if len(tg.byKey) != headsPerPeer+1 {
		t.Errorf("%d targets of one peer's ten heads and another's one", len(tg.byKey))
	}
	mustNext(t, tg, at(0), key(t, 9))
	for i := range 3 * maxPeers {
		offer(tg, at(0), fmt.Sprint(i), key(t, 100+i), int64(i))
	}
	if len(tg.byKey) > maxPeers*headsPerPeer || len(tg.byPeer) > maxPeers || len(tg.order) > maxPeers {
		t.Errorf("%d targets of %d peers", len(tg.byKey), len(tg.byPeer))
	}
	for i := range 2 * maxRefused {
		tg.refuse(at(i), key(t, i))
	}
	if len(tg.refused) > maxRefused {
		t.Errorf("%d refusals are kept", len(tg.refused))
	}
}

// Whatever order heads and failures come in: when nothing more is due, the heaviest valid
// head that a peer still has was synced (C-04).
func TestHeaviestIsSynced(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		tg := newTargets()
		valid := func(i int) bool { return i%3 != 0 }
		now, best, synced := 0, -1, -1
		step := func() bool {
			g, ok := tg.next(at(now))
			if !ok {
				return false
			}
			i := int(g.height)
			switch {
			case rnd.IntN(3) == 0:
				tg.failed(at(now), g.key)
			case valid(i):
				synced = max(synced, i)
				tg.done(g.key)
			default:
				tg.refuse(at(now), g.key)
			}
			return true
		}
		last := map[int][]int{} // what each peer has, newest last
		for range 200 {
			now++
			if rnd.IntN(2) == 0 {
				step()
				continue
			}
			p, i := rnd.IntN(5), rnd.IntN(500)
			tg.offer(at(now), peer.ID(fmt.Sprint(p)), true, key(t, i), abi.ChainEpoch(i), big.NewInt(int64(i)))
			last[p] = append(last[p], i)
		}
		for _, list := range last {
			for _, i := range list[max(0, len(list)-1):] {
				if valid(i) {
					best = max(best, i)
				}
			}
		}
		for len(tg.byKey) > 0 {
			now++
			for step() {
			}
		}
		if synced < best {
			t.Fatalf("seed %d: synced %d, but %d was offered", seed, synced, best)
		}
	}
}
