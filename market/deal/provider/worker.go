package provider

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/car"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/pieces"
)

const (
	maxRetry = 10 * time.Minute
	// idle is how often a deal that waits for someone else looks at the clock.
	idle = 30 * time.Second
	// lateBy is how many epochs after its start an inactive deal is given up: a reorg may
	// still bring the activation back for a few.
	lateBy = 20
)

// fatal is a step's error that ends the deal; held one that waits for the operator. Any
// other is tried again.
type (
	fatal struct{ error }
	held  struct{ error }
)

func (e fatal) Unwrap() error { return e.error }

// work brings one deal to its end. It returns when the deal has ended or the context has.
func (p *Provider) work(ctx context.Context, id uuid.UUID) {
	for ctx.Err() == nil {
		step, interrupt := context.WithCancel(ctx)
		p.mu.Lock()
		p.wakes[id] = interrupt
		p.mu.Unlock()
		done, err := p.workOnce(step, id)
		if err != nil && step.Err() == nil {
			p.Log.Error("deal worker", "deal", id, "error", err)
			// The database or the chain cannot be read: not the deal's fault.
			_ = clock.Sleep(step, p.Clock, p.cfg.Retry)
		}
		interrupt()
		if done {
			break
		}
	}
	p.mu.Lock()
	delete(p.wakes, id)
	p.mu.Unlock()
}

// workOnce does one action. Errors are of the surroundings; what goes wrong with the deal is
// an event.
func (p *Provider) workOnce(ctx context.Context, id uuid.UUID) (done bool, err error) {
	h, err := p.Chain.Height(ctx)
	if err != nil {
		return false, err
	}
	d, err := p.step(ctx, id, Tick{h})
	if err != nil {
		return false, err
	}
	if d.State == deal.Complete {
		return true, p.dropStaged(d)
	}
	act := d.Next()
	e, err := p.do(ctx, act, d)
	switch {
	case ctx.Err() != nil:
		return false, nil
	case err == nil && e == nil:
		return false, nil
	case err == nil:
		_, err := p.step(ctx, id, e)
		return false, err
	}
	var f fatal
	var hd held
	switch {
	case errors.As(err, &f):
		_, err = p.step(ctx, id, Failed{err.Error()})
		return false, err
	case errors.As(err, &hd):
		_, err = p.step(ctx, id, Held{err.Error()})
		return false, err
	}
	if d, err = p.step(ctx, id, Hindered{err.Error()}); err != nil {
		return false, err
	}
	if act == Fetch && d.Tries >= p.cfg.TransferTries {
		_, err := p.step(ctx, id, Failed{fmt.Sprintf("%d tries brought nothing: %s", d.Tries, d.Error)})
		return false, err
	}
	_ = clock.Sleep(ctx, p.Clock, p.backoff(d.Tries))
	return false, nil
}

// backoff grows by half each time up to maxRetry, with a quarter of jitter.
func (p *Provider) backoff(tries int) time.Duration {
	d := float64(p.cfg.Retry) * math.Pow(1.5, float64(min(tries, 40)-1))
	d = min(d, float64(maxRetry))
	return time.Duration(d * (0.75 + rand.Float64()/2))
}

// do does one action and says what happened; nil is nothing new.
func (p *Provider) do(ctx context.Context, act Action, d *Deal) (Event, error) {
	switch act {
	case Fetch:
		return p.fetch(ctx, d)
	case Publish:
		ring(p.publish) // the publisher writes the row and wakes us
	case AwaitPublish:
		return p.awaitPublish(ctx, d)
	case AddPiece:
		return p.addPiece(ctx, d)
	case Index:
		return p.indexBlocks(ctx, d)
	case Watch:
		return p.watch(ctx, d)
	}
	return nil, clock.Sleep(ctx, p.Clock, idle)
}

func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it rings already
	}
}

func (p *Provider) addPiece(ctx context.Context, d *Deal) (Event, error) {
	f, err := os.Open(p.staged(d))
	if err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	defer f.Close()
	prop := d.Signed.Proposal
	if prop.Client, err = p.Chain.LookupID(ctx, prop.Client); err == nil {
		prop.Provider, err = p.Chain.LookupID(ctx, prop.Provider)
	}
	if err != nil {
		return nil, err
	}
	place, err := p.Sealer.AddPiece(ctx, Piece{
		CID: prop.PieceCID, Size: prop.PieceSize, DealID: d.DealID, PublishMessage: d.Message,
		Proposal: prop, KeepUnsealed: !d.RemoveUnsealed,
	}, f)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return Placed{place}, nil
}

// indexBlocks records where the piece and its blocks are, and lets the staged data go.
func (p *Provider) indexBlocks(ctx context.Context, d *Deal) (Event, error) {
	err := p.Index.Add(ctx, pieces.Location{
		CID: d.Signed.Proposal.PieceCID, Size: d.Place.Size,
		Sector: d.Place.Sector, Offset: d.Place.Offset, Deal: d.DealID,
	})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p.staged(d))
	if errors.Is(err, os.ErrNotExist) {
		// It goes last of all, so the blocks are indexed.
		return BlocksIndexed{d.Blocks}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	defer f.Close()
	n, err := p.Index.AddBlocks(ctx, d.DealID, readerCtx{ctx, f})
	// Data that is not a CAR is stored and served as a piece, only not by block.
	if err != nil && !errors.Is(err, car.ErrFormat) && !errors.Is(err, car.ErrHash) {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return BlocksIndexed{n}, nil
}

// watch asks sealing and the chain how far the sector is.
func (p *Provider) watch(ctx context.Context, d *Deal) (Event, error) {
	if err := p.dropStaged(d); err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	// The height first: a deal that was activated by a later head is not late.
	h, err := p.Chain.Height(ctx)
	if err != nil {
		return nil, err
	}
	id, state, err := deal.Locate(ctx, p.Chain, d.DealID, d.Signed.Proposal)
	if err == nil && id != d.DealID {
		return Renumbered{id}, nil // the sector finds that out by itself
	}
	switch {
	case errors.Is(err, view.ErrNotFound) && h > d.Start:
		return nil, fatal{fmt.Errorf("deal %d is no longer on chain: its sector was not active by the start epoch %d", d.DealID, d.Start)}
	case err != nil:
		return nil, fmt.Errorf("deal %d: %w", d.DealID, err)
	case active(state):
		return Activated{}, nil
	case h > d.Start+lateBy:
		return nil, fatal{fmt.Errorf("sector %d was not active by the start epoch %d", d.Place.Sector, d.Start)}
	}
	s, err := p.Sealer.SectorStatus(ctx, d.Place.Sector)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", d.Place.Sector, err)
	}
	if s.Failed {
		return nil, fatal{fmt.Errorf("sector %d is %s: %s", d.Place.Sector, s.State, s.Error)}
	}
	if s.State != d.Sector || d.Error != "" {
		return Sealing{s.State}, nil
	}
	return nil, clock.Sleep(ctx, p.Clock, p.cfg.Poll)
}

// forgetEvery is how often the index is compared with the sectors that there are.
const forgetEvery = time.Hour

// forget keeps the index free of sectors that are gone, so that nothing is offered that cannot
// be served.
func (p *Provider) forget(ctx context.Context) {
	for {
		if err := p.forgetGone(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("index of pieces not compared with the sectors", "error", err)
		}
		if clock.Sleep(ctx, p.Clock, forgetEvery) != nil {
			return
		}
	}
}

func (p *Provider) forgetGone(ctx context.Context) error {
	sectors, err := p.Index.Sectors(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range sectors {
		s, err := p.Sealer.SectorStatus(ctx, n)
		if err == nil && s.Gone {
			err = p.Index.Forget(ctx, n)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sector %d: %w", n, err))
		}
	}
	return errors.Join(errs...)
}

func active(s *market.DealState) bool { return s != nil && s.SectorStartEpoch > 0 }

// collateral sums what deals lock of the provider's escrow when they are published.
func collateral(ds []*Deal) abi.TokenAmount {
	sum := abi.NewTokenAmount(0)
	for _, d := range ds {
		sum.Int.Add(sum.Int, d.Signed.Proposal.ProviderCollateral.Int)
	}
	return sum
}
