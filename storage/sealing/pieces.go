package sealing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/storage/piece"
	"github.com/lodenet/lode/storage/sector"
)

// ErrTooBig: the piece is larger than the network's sectors.
var ErrTooBig = errors.New("piece is larger than a sector")

// Piece is data to be sealed for a deal.
type Piece struct {
	CID  cid.Cid
	Size abi.PaddedPieceSize
	Deal DealInfo
}

// DealInfo names a published deal.
type DealInfo struct {
	DealID         abi.DealID
	PublishMessage cid.Cid
	Proposal       market.DealProposal // as published, with ID addresses
	KeepUnsealed   bool
}

// Placement is where a piece lies, in padded bytes.
type Placement struct {
	Sector       abi.SectorNumber
	Offset, Size abi.PaddedPieceSize
}

// AddPiece puts a piece of a published deal in a sector; r gives its unpadded bytes, which
// may be fewer than the piece's size: the rest is zeros. It returns when the bytes are on
// disk and checked against the CID (piece.ErrMismatch). Called again for the same deal it
// returns the same placement without reading r, so a caller that was interrupted repeats it.
// Pieces are written one at a time; ErrBusy asks to come again later.
func (s *Sealing) AddPiece(ctx context.Context, p Piece, r io.Reader) (Placement, error) {
	if err := p.Size.Validate(); err != nil {
		return Placement{}, fmt.Errorf("deal %d: %w", p.Deal.DealID, err)
	}
	if p.Size > s.size {
		return Placement{}, fmt.Errorf("deal %d: %w: %d of %d bytes", p.Deal.DealID, ErrTooBig, p.Size, s.size)
	}
	if err := s.ready(ctx); err != nil {
		return Placement{}, err
	}
	if err := lock(ctx, s.placing); err != nil {
		return Placement{}, err
	}
	defer unlock(s.placing)

	sec, at, err := s.place(ctx, p)
	if err != nil {
		return Placement{}, fmt.Errorf("deal %d: %w", p.Deal.DealID, err)
	}
	where := Placement{sec.Number, at.Offset, at.Size}
	if at.Stored {
		return where, nil
	}
	if err := s.write(ctx, sec.Number, at, r); err != nil {
		if ctx.Err() != nil || s.point("add-failed") != nil {
			// The place is kept: the caller comes again, or monitor gives it up.
			return Placement{}, fmt.Errorf("deal %d: %w", p.Deal.DealID, err)
		}
		derr := s.event(ctx, sec.Number, sector.Dropped{Deal: p.Deal.DealID, Err: err.Error()})
		return Placement{}, fmt.Errorf("deal %d: %w", p.Deal.DealID, errors.Join(err, derr))
	}
	if err := s.point("added"); err != nil {
		return Placement{}, err
	}
	if err := s.event(ctx, sec.Number, sector.Stored{Deal: p.Deal.DealID}); err != nil {
		return Placement{}, err
	}
	s.mu.Lock()
	delete(s.reserved, p.Deal.DealID)
	s.mu.Unlock()
	s.log.Info("piece added", "sector", sec.Number, "deal", p.Deal.DealID, "offset", at.Offset, "size", at.Size)
	return where, nil
}

// place finds the piece's place, or makes one. The caller holds placing.
func (s *Sealing) place(ctx context.Context, p Piece) (sector.Sector, sector.Piece, error) {
	id := p.Deal.DealID
	sec, err := s.store.OfDeal(ctx, id)
	if err == nil && !sec.State.Gone() {
		at, _ := sec.Piece(id)
		if at.CID != p.CID || at.Size != p.Size {
			return sec, at, fmt.Errorf("sector %d holds piece %s of %d bytes for it, not %s of %d", sec.Number, at.CID, at.Size, p.CID, p.Size)
		}
		return sec, at, nil
	}
	if err != nil && !errors.Is(err, sector.ErrNotFound) {
		return sec, sector.Piece{}, err
	}
	var proposal bytes.Buffer
	if err := p.Deal.Proposal.MarshalCBOR(&proposal); err != nil {
		return sec, sector.Piece{}, fmt.Errorf("proposal: %w", err)
	}
	at := sector.Piece{CID: p.CID, Size: p.Size, Deal: &sector.Deal{
		ID: id, PublishMessage: p.Deal.PublishMessage, Proposal: proposal.Bytes(),
		Start: p.Deal.Proposal.StartEpoch, End: p.Deal.Proposal.EndEpoch, KeepUnsealed: p.Deal.KeepUnsealed,
	}}
	if err := s.point("place"); err != nil {
		return sec, at, err
	}
	waiting, err := s.store.List(ctx, sector.WaitDeals)
	if err != nil {
		return sec, at, err
	}
	for _, w := range waiting {
		offset, ok := w.Place(p.Size)
		if !ok || w.SealProof != s.proof || uint64(len(w.Deals())) >= maxDeals(s.size) {
			continue
		}
		at.Offset = offset
		sec, err := s.store.Apply(ctx, w.Number, 0, s.enqueue, sector.Reserved{Piece: at})
		if errors.Is(err, sector.ErrUnexpected) {
			continue // its timer was faster
		}
		return sec, at, err
	}
	at.Offset = 0
	sec, err = s.create(ctx, sector.Reserved{Piece: at})
	return sec, at, err
}

// maxDeals is how many deals the chain lets a sector have (spec markets.md C.1).
func maxDeals(size abi.PaddedPieceSize) uint64 { return max(256, uint64(size)>>27) }

// write puts a piece's bytes in the unsealed file, padded, and checks them.
func (s *Sealing) write(ctx context.Context, n abi.SectorNumber, p sector.Piece, r io.Reader) error {
	if err := s.files.make(n); err != nil {
		return err
	}
	path := s.files.path(n, porep.Unsealed)
	if err := s.files.check("create", path); err != nil {
		return err
	}
	raw, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	f := &file{raw, s.files}
	check := piece.NewCheck(piece.Padded(&ctxReader{ctx, r}, p.Size))
	_, err = io.CopyBuffer(io.NewOffsetWriter(f, int64(p.Offset)), fr32.NewPadReader(check, p.Size), make([]byte, 1<<20))
	if err == nil {
		// The reader stops at the piece's end; what comes after shows here.
		if _, err = io.Copy(io.Discard, check); err == nil {
			err = check.Verify(p.CID, p.Size)
		}
	}
	if err == nil {
		if err = s.files.check("sync", path); err == nil {
			err = f.Sync()
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("sector %d: piece %s: %w", n, p.CID, explain(err))
	}
	return syncDir(dirOf(path))
}

// ctxReader stops reading when the context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// reserveTimeout is how long a place is kept for bytes that do not come.
const reserveTimeout = 30 * time.Minute

// giveUp drops places whose bytes did not come.
func (s *Sealing) giveUp(ctx context.Context) error {
	open, err := s.store.List(ctx, sector.AddPiece)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		return nil
	}
	select {
	case s.placing <- struct{}{}:
		defer unlock(s.placing)
	default:
		return nil // a piece is being written
	}
	now := s.deps.Clock.Now()
	for _, sec := range open {
		for _, p := range sec.Pieces {
			if p.Stored || s.waited(p.Deal.ID, now) < reserveTimeout {
				continue
			}
			err := s.event(ctx, sec.Number, sector.Dropped{Deal: p.Deal.ID, Err: "the bytes of the piece did not come"})
			if err != nil && !errors.Is(err, sector.ErrUnexpected) {
				return err
			}
		}
	}
	return nil
}

// waited is how long a place has been seen without its bytes, since this process started.
func (s *Sealing) waited(id abi.DealID, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.reserved[id]
	if !ok {
		since = now
		s.reserved[id] = now
	}
	if now.Sub(since) >= reserveTimeout {
		delete(s.reserved, id)
	}
	return now.Sub(since)
}
