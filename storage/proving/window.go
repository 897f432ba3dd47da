package proving

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/go-state-types/proof"
	proof0 "github.com/filecoin-project/specs-actors/actors/runtime/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/sealing"
)

// window is one occurrence of a deadline, as far as it has come.
type window struct {
	info   dline.Info
	status Status
	err    string
}

func (p *Proving) mark(d *dline.Info, s Status, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.windows[d.Open]
	if w == nil {
		return
	}
	w.status, w.err = s, ""
	if err != nil {
		w.err = err.Error()
	}
}

// window proves one occurrence of a deadline and watches it until it closes: a reorg may take
// a proof back. It can be started again after a crash: what is on chain is not proven again,
// and what was sent is found under its key. One that ends before the close is forgotten, so
// that the next Run takes it up.
func (p *Proving) window(ctx context.Context, d *dline.Info) {
	w := &attempt{p: p, d: d, tries: map[uint64]int{}, open: map[uint64]bool{}}
	over := false
	defer func() {
		if !over {
			p.forget(d)
		}
	}()
	for {
		head := p.deps.Chain.Head()
		// A message sent on top of the last epoch would land after the close; and the state
		// after it is that of the next window already.
		if head.Height() >= d.Last() {
			break
		}
		left, err := w.left(ctx, head)
		switch {
		case err == nil && len(left) > 0:
			err = w.prove(ctx, head, left)
		case err == nil && len(w.open) > 0:
			p.mark(d, Proven, nil)
		case err == nil:
			p.mark(d, Idle, nil)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.mark(d, Failed, err)
			p.log.Warn("window PoSt not on chain yet, it is tried again until the deadline closes", "deadline", d.Index, "closes", d.Close, "err", err)
		}
		if err != nil || len(left) == 0 {
			if _, err := p.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
				return
			}
		}
	}
	over = true
	w.finish()
}

// attempt is the work on one window.
type attempt struct {
	p       *Proving
	d       *dline.Info
	sent    bool
	skipped int
	tries   map[uint64]int  // messages that failed, by first partition
	open    map[uint64]bool // partitions seen with something to prove; true until proven
}

// left lists the partitions that have to be proven yet.
func (w *attempt) left(ctx context.Context, head *types.TipSet) ([]target, error) {
	v, err := w.p.deps.Chain.View(ctx, head)
	if err != nil {
		return nil, err
	}
	proven := bitfield.New()
	if head.Height() >= w.d.Open {
		dl, err := v.Deadline(ctx, w.p.deps.Miner, w.d.Index)
		if err != nil {
			return nil, err
		}
		proven = dl.PartitionsPoSted
	}
	parts, err := v.Partitions(ctx, w.p.deps.Miner, w.d.Index)
	if err != nil {
		return nil, err
	}
	left, err := targets(parts, proven)
	if err != nil {
		return nil, err
	}
	for index := range w.open {
		w.open[index] = false
	}
	for _, t := range left {
		w.open[t.index] = true
	}
	return left, nil
}

// prove makes the proofs of all batches, sends them once the deadline is open, and returns
// when each is on chain, has failed, or has to be made anew.
func (w *attempt) prove(ctx context.Context, head *types.TipSet, left []target) error {
	p, d := w.p, w.d
	p.mark(d, Computing, nil)
	rand, err := w.draw(ctx, head)
	if err != nil {
		return err
	}
	limit, err := p.partitionsMax(ctx, head)
	if err != nil {
		return err
	}
	if p.opt.MaxPartitions > 0 {
		limit = min(limit, p.opt.MaxPartitions)
	}
	var made []*made
	var errs []error
	for _, batch := range batches(left, limit) {
		m, err := w.make(ctx, head, batch, rand)
		if err != nil {
			errs = append(errs, fmt.Errorf("partition %d: %w", batch[0].index, err))
			continue
		}
		made = append(made, m)
	}
	if len(made) == 0 {
		return errors.Join(errs...)
	}
	p.mark(d, Ready, errors.Join(errs...))
	// Proving takes its time: what is sent must fit the head of now.
	for head = p.deps.Chain.Head(); head.Height() < d.Open+p.opt.SubmitDelay; {
		if head, err = p.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
			return err
		}
	}
	if head.Height() >= d.Last() {
		return nil // a message would land after the close
	}
	if again, err := w.draw(ctx, head); err != nil || !again.equal(rand) {
		return err // the loop makes them anew
	}
	for _, m := range made {
		if err := w.send(ctx, head, m, rand); err != nil {
			errs = append(errs, err)
		}
	}
	p.mark(d, Submitted, errors.Join(errs...))
	return errors.Join(errors.Join(errs...), w.follow(ctx, made, rand))
}

// draws are the two draws of a window.
type draws struct{ challenge, commit []byte }

func (r draws) equal(o draws) bool {
	return bytes.Equal(r.challenge, o.challenge) && bytes.Equal(r.commit, o.commit)
}

func (w *attempt) draw(ctx context.Context, head *types.TipSet) (draws, error) {
	entropy, err := sealing.Entropy(w.p.deps.Miner)
	if err != nil {
		return draws{}, err
	}
	chain, at := w.p.deps.Chain, w.d.Challenge
	challenge, err := chain.BeaconRandomness(ctx, head, crypto.DomainSeparationTag_WindowedPoStChallengeSeed, at, entropy)
	if err != nil {
		return draws{}, fmt.Errorf("challenge of epoch %d: %w", at, err)
	}
	commit, err := chain.TicketRandomness(ctx, head, crypto.DomainSeparationTag_PoStChainCommit, at, nil)
	if err != nil {
		return draws{}, fmt.Errorf("chain commitment of epoch %d: %w", at, err)
	}
	return draws{challenge, commit}, nil
}

// made is a proof that is ready to be sent.
type made struct {
	statement
	proofs []proof.PoStProof
	id     outbox.ID
	sent   bool
}

func (m *made) first() uint64 { return m.partitions[0].Index }

// make proves a batch, leaving out what cannot be read, and checks the proof.
func (w *attempt) make(ctx context.Context, head *types.TipSet, batch []target, rand draws) (*made, error) {
	p := w.p
	infos, err := p.infos(ctx, head, batch)
	if err != nil {
		return nil, err
	}
	lookup := func(n uint64) (proof.SectorInfo, error) {
		si, ok := infos[n]
		if !ok {
			return si, fmt.Errorf("sector %d is in a partition but not on chain", n)
		}
		return si, nil
	}
	skip, err := p.checkAll(ctx, batch, infos)
	if err != nil {
		return nil, err
	}
	for {
		st, err := state(batch, skip, lookup)
		if err != nil {
			return nil, err
		}
		proofs, bad, err := p.proveWindow(ctx, st, rand.challenge)
		if err != nil && len(bad) == 0 {
			return nil, err
		}
		if err == nil {
			w.skipped += len(skip)
			return &made{statement: st, proofs: proofs}, nil
		}
		// Each round leaves out at least one more, so this ends.
		for n := range bad {
			skip[n] = true
		}
	}
}

// send hands a proof to the outbox, once a deadline, batch and try.
func (w *attempt) send(ctx context.Context, head *types.TipSet, m *made, rand draws) error {
	p, d := w.p, w.d
	v, err := p.deps.Chain.View(ctx, head)
	if err != nil {
		return err
	}
	from, err := sealing.Worker(ctx, v, p.deps.Miner)
	if err != nil {
		return err
	}
	proofs := make([]proof0.PoStProof, len(m.proofs))
	for i, one := range m.proofs {
		proofs[i] = proof0.PoStProof(one)
	}
	params := miner.SubmitWindowedPoStParams{
		Deadline: d.Index, Partitions: m.partitions, Proofs: proofs,
		ChainCommitEpoch: d.Challenge, ChainCommitRand: rand.commit,
	}
	var buf bytes.Buffer
	if err := params.MarshalCBOR(&buf); err != nil {
		return err
	}
	m.id, err = sealing.SendOnce(ctx, p.deps.Messages, outbox.Intent{
		Key:  fmt.Sprintf("windowpost/t0%d/%d/%d/%d", p.id, d.Open, m.first(), w.tries[m.first()]),
		From: from, To: p.deps.Miner, Value: big.Zero(),
		Method: builtin.MethodsMiner.SubmitWindowedPoSt, Params: buf.Bytes(), MaxFee: p.opt.MaxFee,
	})
	if err != nil {
		return err
	}
	m.sent, w.sent = true, true
	p.log.Info("window PoSt sent", "deadline", d.Index, "partitions", len(m.partitions), "sectors", len(m.sectors), "closes", d.Close)
	return nil
}

// lateness is how many epochs after the close a message is waited for that may have been
// included just before it.
const lateness = 3

// finish counts the window when it is over.
func (w *attempt) finish() {
	p, d := w.p, w.d
	missing := 0
	for _, open := range w.open {
		if open {
			missing++
		}
	}
	status := Idle
	var count Counters
	switch {
	case missing > 0 && w.sent:
		status, count.Late = Late, 1
		p.log.Warn("window PoSt came too late: look at its message, or raise the fee bound", "deadline", d.Index, "closed", d.Close)
	case missing > 0:
		status, count.Missed = Missed, 1
		p.log.Warn("window PoSt missed: its sectors are faulty now and recover by themselves once they can be read", "deadline", d.Index, "closed", d.Close)
	case len(w.open) > 0:
		status, count.OnTime = Proven, 1
		p.log.Info("window PoSt on chain", "deadline", d.Index, "closes", d.Close)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counters.OnTime += count.OnTime
	p.counters.Late += count.Late
	p.counters.Missed += count.Missed
	p.counters.Skipped += uint64(w.skipped)
	if win := p.windows[d.Open]; win != nil {
		win.status = status
	}
}

// partitionsMax is how many partitions the chain takes in one message.
func (p *Proving) partitionsMax(ctx context.Context, head *types.TipSet) (int, error) {
	v, err := p.deps.Chain.View(ctx, head)
	if err != nil {
		return 0, err
	}
	info, err := v.MinerInfo(ctx, p.deps.Miner)
	if err != nil {
		return 0, err
	}
	return int(min(miner.AddressedSectorsMax/max(1, info.WindowPoStPartitionSectors), miner.AddressedPartitionsMax)), nil
}
