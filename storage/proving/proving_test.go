package proving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/storage/sector"
	"github.com/lodenet/lode/test/actorchain"
)

const kib2 = 2 << 10

func TestEveryDeadlineIsProven(t *testing.T) {
	inTime(t, 5, func(t *testing.T, r *rig) {
		period := int(r.chain.Net.Policy.ProvingPeriod)
		r.tick(2*period + 100)
		if got := r.power(); got != 5*kib2 {
			t.Errorf("power is %d, want %d", got, 5*kib2)
		}
		c := r.p.Counters()
		if c.OnTime < 4 || c.Late != 0 || c.Missed != 0 || c.Skipped != 0 {
			t.Errorf("counters: %+v", c)
		}
		if got := uint64(len(r.chain.Sent("windowpost/"))); got != c.OnTime {
			t.Errorf("%d messages for %d windows", got, c.OnTime)
		}
		if n := len(r.chain.Sent("")); uint64(n) != c.OnTime {
			t.Errorf("%d messages in all", n)
		}
	})
}

func TestDeadlinesForPeople(t *testing.T) {
	inTime(t, 3, func(t *testing.T, r *rig) {
		d := r.open(0)
		if d.Live == 0 || d.Partitions == 0 || d.Faulty != 0 {
			t.Errorf("%+v", d)
		}
		if d.Challenge > r.chain.Height() {
			r.to(d.Challenge)
			if s := r.deadline(d.Index).Status; s != Idle {
				t.Errorf("before the challenge: %s", s)
			}
			if in := r.deadline(d.Index).OpensIn; in != time.Duration(d.Open-d.Challenge)*4*time.Second {
				t.Errorf("opens in %s", in)
			}
			r.tick(1)
			if s := r.deadline(d.Index).Status; s != Ready {
				t.Errorf("after the challenge: %s", s)
			}
			if n := len(r.chain.Sent("windowpost/")); n != 0 {
				t.Errorf("%d messages before the open", n)
			}
		}
		r.to(d.Open)
		if s := r.deadline(d.Index); s.Status != Submitted || !s.Current {
			t.Errorf("at the open: %+v", s)
		}
		r.tick(2)
		if s := r.deadline(d.Index); s.Status != Proven || s.Proven == 0 {
			t.Errorf("after the message: %+v", s)
		}
		r.to(d.Close + 1)
		if s := r.deadline(d.Index); s.Status != Idle || s.LastStatus != Proven {
			t.Errorf("after the close: %+v", s)
		}
	})
}

// A replica disappears: its window is proven without it, it counts as faulty, and when it is
// back it is declared recovered and its power returns.
func TestFaultAndRecovery(t *testing.T) {
	inTime(t, 2, func(t *testing.T, r *rig) {
		stop := r.seal() // the sectors' records follow the chain
		defer stop()
		d := r.open(0)
		other := r.open(1)
		r.to(d.Open - 60) // too late to declare it
		back := r.hide("0")
		r.to(d.Close + 1)
		if d.Index != other.Index {
			t.Error("the sectors are in two deadlines: the test is not what it was")
		} else {
			if got := r.power(); got != kib2 {
				t.Errorf("power is %d, want %d", got, kib2)
			}
			if c := r.p.Counters(); c.Skipped != 1 || c.Missed != 0 {
				t.Errorf("counters: %+v", c)
			}
		}
		info, err := r.s.Sector(t.Context(), 0)
		if err != nil || info.State != sector.Faulty {
			t.Errorf("sector is %s, %v", info.State, err)
		}
		back()
		next := d.Open + r.chain.Net.Policy.ProvingPeriod
		r.to(next - 10)
		if n := len(r.chain.Sent("recover/")); n != 1 {
			t.Errorf("%d recoveries declared", n)
		}
		r.to(next + 22)
		info, err = r.s.Sector(t.Context(), 0)
		if err != nil || info.State != sector.Proving || info.Expiration == 0 {
			t.Errorf("sector is %s until %d, %v", info.State, info.Expiration, err)
		}
		if got := r.power(); got != 2*kib2 {
			t.Errorf("power after recovery is %d, want %d", got, 2*kib2)
		}
	})
}

// A replica is found broken long before its window: the fault is declared before the cutoff.
func TestFaultIsDeclared(t *testing.T) {
	inTime(t, 3, func(t *testing.T, r *rig) {
		d := r.open(2)
		for d.Open-r.chain.Height() < 200 {
			r.to(d.Close)
			d = r.open(2)
		}
		path := r.replica("2")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			if i%32 != 31 {
				b[i] ^= 1
			}
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		r.to(d.Open - 60)
		if n := len(r.chain.Sent("faults/")); n != 1 {
			t.Errorf("%d faults declared", n)
		}
		if got := r.deadline(d.Index); got.Faulty != 1 {
			t.Errorf("deadline: %+v", got)
		}
		r.to(d.Close + 1)
		if c := r.p.Counters(); c.Missed != 0 || c.Skipped != 0 {
			t.Errorf("counters: %+v", c)
		}
	})
}

func TestNothingReadable(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		d := r.open(0)
		r.to(d.Open - 60) // too late to declare it
		defer r.hide("0")()
		r.to(d.Close + 1)
		r.counters(Counters{Missed: 1})
		r.tick(1)
		if n := len(r.chain.Sent("windowpost/")); n != 0 {
			t.Errorf("%d messages that prove nothing", n)
		}
		if s := r.deadline(d.Index).LastStatus; s != Missed {
			t.Errorf("status %s", s)
		}
	})
}

func TestMessageThatDoesNotLand(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		d := r.open(0)
		r.chain.Hold(func(outbox.Intent) bool { return true })
		r.to(d.Close + lateness + 1)
		r.counters(Counters{Late: 1})
		if n := len(r.chain.Sent("windowpost/")); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestRefusedMessageIsSentAgain(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		d := r.open(0)
		r.chain.Spoil(func(in outbox.Intent) bool { return strings.HasSuffix(in.Key, "/0") })
		r.to(d.Close + 1)
		r.counters(Counters{OnTime: 1})
		if n := len(r.chain.Sent("windowpost/")); n != 2 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestReorgUnderTheChallenge(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		d := r.open(0)
		r.to(d.Open + 3)
		r.chain.Reorg(int(r.chain.Height() - d.Challenge + 2))
		r.to(d.Close + 1)
		r.counters(Counters{OnTime: 1})
		if n := len(r.chain.Sent("windowpost/")); n != 2 {
			t.Errorf("%d messages, want one for each chain", n)
		}
		if got := r.power(); got != kib2 {
			t.Errorf("power is %d", got)
		}
	})
}

func TestRestartInTheWindow(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		d := r.open(0)
		r.chain.Hold(func(outbox.Intent) bool { return true })
		r.to(d.Open + 2)
		for range 3 {
			r.stop()
			r.start(slog.New(slog.DiscardHandler))
			r.tick(2)
		}
		r.chain.Hold(nil)
		r.tick(3)
		if n := len(r.chain.Sent("windowpost/")); n != 1 {
			t.Errorf("%d messages over restarts", n)
		}
		r.stop()
		r.start(slog.New(slog.DiscardHandler))
		r.to(d.Close + 1)
		if n := len(r.chain.Sent("windowpost/")); n != 1 {
			t.Errorf("%d messages after it was proven", n)
		}
	})
}

// The provider's role is switched off and on again, or goes down and comes back, while a
// window is worked on: the same Proving runs again and takes the window up.
func TestRunAgainInTheWindow(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		d := r.open(0)
		r.to(d.Challenge + 1)
		if s := r.deadline(d.Index).Status; s != Ready {
			t.Fatalf("status %s, the test is not what it was", s)
		}
		r.stop()
		r.run()
		r.to(d.Close + 1)
		r.counters(Counters{OnTime: 1})
		if n := len(r.chain.Sent("windowpost/")); n != 1 {
			t.Errorf("%d messages", n)
		}
		r.stop()
		r.run()
		r.tick(1)
		r.counters(Counters{OnTime: 1})
	})
}

func TestWinningPoSt(t *testing.T) {
	inTime(t, 4, func(t *testing.T, r *rig) {
		active, err := r.chain.Now().ActiveSectors(t.Context(), r.chain.Miner)
		if err != nil || len(active) != 4 {
			t.Fatalf("%d sectors, %v", len(active), err)
		}
		var infos []proof.SectorInfo
		for _, s := range active {
			infos = append(infos, sectorInfo(s))
		}
		challenged := map[abi.SectorNumber]bool{}
		for i := range byte(24) {
			rand := make([]byte, 32)
			rand[0], rand[31] = i, 0xff // the top bits are the proofs' business
			proofs, err := r.p.WinningPoSt(t.Context(), r.chain.Miner, infos, rand)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, si := range infos {
				ok, err := insecure.New().VerifyWinningPoSt(t.Context(), proof.WinningPoStVerifyInfo{
					Randomness: rand, Proofs: proofs, ChallengedSectors: []proof.SectorInfo{si}, Prover: 1000,
				})
				if err == nil && ok {
					found, challenged[si.SectorNumber] = true, true
				}
			}
			if !found {
				t.Errorf("draw %d: the proof is of no sector", i)
			}
		}
		if len(challenged) < 2 {
			t.Errorf("only %d sectors were ever challenged", len(challenged))
		}
		if _, err := r.p.WinningPoSt(t.Context(), r.chain.Worker, infos, make([]byte, 32)); err == nil {
			t.Error("proved for another miner")
		}
		if _, err := r.p.WinningPoSt(t.Context(), r.chain.Miner, nil, make([]byte, 32)); err == nil {
			t.Error("proved with no sectors")
		}
		synctest.Wait()
	})
}

// slow is a prover during whose work, once, the chain goes on.
type slow struct {
	*insecure.System
	meanwhile func()
}

func (s *slow) ProveWindowPoSt(ctx context.Context, i proof.WindowPoStVerifyInfo, w []proofs.PoStWitness) ([]proof.PoStProof, error) {
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
	return s.System.ProveWindowPoSt(ctx, i, w)
}

// keeping is a chain that knows the states and draws of a branch that was left, as the store
// does.
type keeping struct {
	*actorchain.Chain
	views, draws *sync.Map
}

func (k keeping) View(ctx context.Context, ts *types.TipSet) (*view.View, error) {
	return first(k.views, ts.Key(), func() (*view.View, error) { return k.Chain.View(ctx, ts) })
}

func (k keeping) TicketRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return first(k.draws, fmt.Sprint(ts.Key(), tag, epoch), func() ([]byte, error) { return k.Chain.TicketRandomness(ctx, ts, tag, epoch, entropy) })
}

// first is what get gave when the name was asked for first.
func first[K comparable, V any](known *sync.Map, name K, get func() (V, error)) (V, error) {
	if v, ok := known.Load(name); ok {
		return v.(V), nil
	}
	v, err := get()
	if err == nil {
		known.Store(name, v)
	}
	return v, err
}

// A proof that is begun when its deadline is open already must fit the chain as it is when the
// proof is done: its message costs gas.
func TestChainGoesOnWhileProving(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(r *rig, d Deadline)
		messages  int
		want      Counters
	}{
		{"another challenge", func(r *rig, d Deadline) { r.chain.Reorg(int(r.chain.Height() - d.Challenge + 2)) }, 1, Counters{OnTime: 1}},
		{"the close", func(r *rig, d Deadline) {
			for r.chain.Height() < d.Close {
				r.chain.Tick()
			}
		}, 0, Counters{Missed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTime(t, 1, func(t *testing.T, r *rig) {
				d := r.open(0)
				r.stop()
				r.to(d.Open + 1)
				r.p.deps.Chain = keeping{r.chain, &sync.Map{}, &sync.Map{}}
				r.p.deps.Prover = &slow{insecure.New(), func() { c.meanwhile(r, d) }}
				r.run()
				synctest.Wait()
				r.to(d.Close + 1)
				if n := len(r.chain.Sent("windowpost/")); n != c.messages {
					t.Errorf("%d messages, want %d", n, c.messages)
				}
				r.counters(c.want)
			})
		})
	}
}

// broken is a chain whose head cannot be followed.
type broken struct{ *actorchain.Chain }

var errBroken = errors.New("the head cannot be followed")

func (broken) HeadChanged(context.Context, types.TipSetKey) (*types.TipSet, error) {
	return nil, errBroken
}

// A look at the deadlines is under way when Run ends: it goes by the head that it began with.
func TestRunEndsWhileItLooks(t *testing.T) {
	inTime(t, 1, func(t *testing.T, r *rig) {
		r.stop()
		r.p.deps.Chain = broken{r.chain}
		if err := r.p.Run(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	})
}
