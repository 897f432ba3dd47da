package mining

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
)

// Foresight knows what can be had before its epoch, and what is worth having. It is safe from
// many goroutines.
type Foresight interface {
	// Known tells whether the entry of an epoch can be had now. While it says so, MiningBase
	// must not wait for that entry.
	Known(epoch abi.ChainEpoch) bool
	// Rounds is how many rounds after the present one are to be proven ahead now. It may be
	// less when the machine has other work, which the proofs made before then leave room for.
	Rounds() int
}

// maxAhead bounds what Foresight may ask for, in rounds.
const maxAhead = 32

// asked is what a winning PoSt answers. It follows from the beacon and the state at the
// look-back, far below the head, so that it seldom differs between a head and the next.
type asked struct {
	sectors    []proof.SectorInfo
	randomness abi.PoStRandomness
}

func (a asked) equal(b asked) bool {
	return bytes.Equal(a.randomness, b.randomness) && slices.Equal(a.sectors, b.sectors)
}

// attempt is a proof made ahead, or under way.
type attempt struct {
	asked asked
	done  chan struct{} // closed when the rest is set
	post  []proof.PoStProof
	err   error
}

// ahead makes winning PoSts before their rounds, one at a time and the nearest first, on a
// goroutine that Run owns. What is made is only taken by the round that asks exactly that, so
// a reorg or another proving set costs time and nothing else.
type ahead struct {
	wake chan struct{} // holds one note that there may be something to prove

	mu sync.Mutex // guards what is below
	// round is the one that the miner works on. Attempts are of it and of at most maxAhead more.
	round    abi.ChainEpoch
	attempts map[abi.ChainEpoch]*attempt
	// urgent is set while the round proves for itself. Nothing is begun meanwhile, since a
	// proof takes every core.
	urgent bool
}

// begin moves on to a round.
func (a *ahead) begin(round abi.ChainEpoch) {
	a.mu.Lock()
	a.round = round
	maps.DeleteFunc(a.attempts, func(at abi.ChainEpoch, _ *attempt) bool { return at < round })
	a.mu.Unlock()
	a.notify()
}

func (a *ahead) notify() {
	select {
	case a.wake <- struct{}{}:
	default: // a note is there already
	}
}

func (a *ahead) setUrgent(on bool) {
	a.mu.Lock()
	a.urgent = on
	a.mu.Unlock()
	if !on {
		a.notify()
	}
}

// find is the attempt that answers what is asked for a round, or nil.
func (a *ahead) find(round abi.ChainEpoch, what asked) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.attempts[round]; t != nil && t.asked.equal(what) {
		return t
	}
	return nil
}

// present is the round that the miner works on.
func (a *ahead) present() abi.ChainEpoch {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.round
}

// claim makes room for an attempt, unless it is there, too late, or to be put off.
func (a *ahead) claim(round abi.ChainEpoch, what asked) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.attempts[round]; a.urgent || round < a.round || t != nil && t.asked.equal(what) {
		return nil
	}
	if a.attempts == nil {
		a.attempts = map[abi.ChainEpoch]*attempt{}
	}
	t := &attempt{asked: what, done: make(chan struct{})}
	a.attempts[round] = t
	return t
}

// lookAhead proves ahead until ctx ends or the function that it returns is called, which
// waits for the proof under way.
func (m *Miner) lookAhead(ctx context.Context) (stop func()) {
	if m.d.Foresight == nil {
		return func() {}
	}
	m.ahead.mu.Lock()
	m.ahead.attempts = nil // what an earlier Run cut short failed
	m.ahead.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.ahead.wake:
				m.proveAhead(ctx)
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// proveAhead makes what is missing for the present round and those after it, but for rounds
// whose time has gone by, which the miner will leave out. When it took a proof's time it begins
// again, on the head and with the round of then.
func (m *Miner) proveAhead(ctx context.Context) {
	first := max(m.ahead.present(), m.epochs.At(m.d.Clock.Now())+1)
	rounds := abi.ChainEpoch(min(m.d.Foresight.Rounds(), maxAhead))
	for round := first; round <= first+rounds && m.d.Foresight.Known(round); round++ {
		w, err := m.draw(ctx, m.d.Chain.Head(), round)
		if err != nil {
			// The round itself draws again, and says what is wrong.
			m.d.Log.Debug("cannot draw ahead", "miner", m.d.Miner, "epoch", round, "err", err)
			return
		}
		if w == nil {
			continue
		}
		t := m.ahead.claim(round, w.asked)
		if t == nil {
			continue
		}
		t.post, t.err = m.d.Prover.WinningPoSt(ctx, m.d.Miner, w.asked.sectors, w.asked.randomness)
		close(t.done)
		if t.err != nil && ctx.Err() == nil {
			m.d.Log.Debug("cannot prove ahead", "miner", m.d.Miner, "epoch", round, "err", t.err)
		}
		m.ahead.notify()
		return
	}
}

// winningPoSt takes the proof that was made ahead, waits for one that is under way, and else
// makes it.
func (m *Miner) winningPoSt(ctx context.Context, round abi.ChainEpoch, what asked) ([]proof.PoStProof, error) {
	if t := m.ahead.find(round, what); t != nil {
		select {
		case <-t.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if t.err == nil {
			m.stats.ahead.Add(1)
			return t.post, nil
		}
	}
	if m.d.Foresight != nil {
		m.stats.unaware.Add(1)
		m.ahead.setUrgent(true)
		defer m.ahead.setUrgent(false)
	}
	return m.d.Prover.WinningPoSt(ctx, m.d.Miner, what.sectors, what.randomness)
}
