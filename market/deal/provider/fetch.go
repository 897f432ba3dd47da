package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lodenet/lode/market/transfer"
	"github.com/lodenet/lode/proofs/commp"
)

// maxTransfer bounds one try of a transfer; the next goes on where it ended.
const maxTransfer = 24 * time.Hour

// The names of files in the staging folder: a deal's UUID, and these.
const (
	dataSuffix = ".data"
	importing  = ".tmp" // after the other: being imported
)

func (p *Provider) staged(d *Deal) string {
	return filepath.Join(p.cfg.Staging, d.UUID.String()+dataSuffix)
}

// sweepStaging removes the data of deals that have ended, which a kill may have left. No deal
// is taken meanwhile.
func (p *Provider) sweepStaging(live []*Deal) error {
	entries, err := os.ReadDir(p.cfg.Staging)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("staging: %w", err)
	}
	wanted := make(map[uuid.UUID]bool, len(live))
	for _, d := range live {
		wanted[d.UUID] = true
	}
	for _, e := range entries {
		name, ours := strings.CutSuffix(strings.TrimSuffix(e.Name(), importing), dataSuffix)
		if id, err := uuid.Parse(name); !ours || err != nil || wanted[id] {
			continue
		}
		if err := os.Remove(filepath.Join(p.cfg.Staging, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("staging: %w", err)
		}
	}
	return nil
}

func (p *Provider) dropStaged(d *Deal) error {
	if err := os.Remove(p.staged(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fetch brings the data and checks it against the piece CID.
func (p *Provider) fetch(ctx context.Context, d *Deal) (Event, error) {
	select {
	case p.transfers <- struct{}{}:
		defer func() { <-p.transfers }()
	case <-ctx.Done():
		return nil, nil
	}
	if err := os.MkdirAll(p.cfg.Staging, 0o700); err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	resumed := false
	if !d.Offline {
		if st, err := os.Stat(p.staged(d)); err == nil && st.Size() > 0 {
			resumed = true
		}
		if err := p.download(ctx, d); err != nil {
			return nil, err
		}
	}
	n, err := p.verify(ctx, d)
	var wrong fatal
	switch {
	case errors.As(err, &wrong) && d.Offline:
		return nil, held{err}
	case errors.As(err, &wrong) && resumed:
		// A machine that lost power may have kept a file's length and not its bytes: once
		// more from the start before the client is blamed.
		if derr := p.dropStaged(d); derr != nil {
			return nil, derr
		}
		return nil, fmt.Errorf("fetching again from the start: %s", err)
	case err != nil:
		return nil, err
	}
	return Fetched{uint64(n)}, nil
}

func (p *Provider) download(ctx context.Context, d *Deal) error {
	src, err := source(&d.Transfer)
	if err != nil {
		return fatal{err}
	}
	ctx, cancel := context.WithTimeout(ctx, maxTransfer)
	defer cancel()
	last := p.Clock.Now()
	var lost error
	err = p.get.Get(ctx, src, p.staged(d), func(have uint64) {
		if now := p.Clock.Now(); now.Sub(last) >= time.Second {
			last = now
			if _, err := p.step(ctx, d.UUID, Progress{have}); err != nil {
				lost = err
			}
		}
	})
	var bad transfer.Fatal
	if errors.As(err, &bad) {
		return fatal{err}
	}
	return errors.Join(err, lost)
}

// verify computes the commitment of the staged data.
func (p *Provider) verify(ctx context.Context, d *Deal) (int64, error) {
	f, err := os.Open(p.staged(d))
	if err != nil {
		return 0, fmt.Errorf("staging: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("staging: %w", err)
	}
	prop := &d.Signed.Proposal
	if st.Size() > int64(prop.PieceSize.Unpadded()) {
		return 0, fatal{fmt.Errorf("the data has %d bytes, a piece of %d holds %d", st.Size(), prop.PieceSize, prop.PieceSize.Unpadded())}
	}
	w := commp.New()
	if _, err := io.CopyBuffer(w, readerCtx{ctx, f}, make([]byte, 1<<20)); err != nil {
		return 0, fmt.Errorf("staging: %w", err)
	}
	c, size, err := w.Sum()
	if err == nil && size < prop.PieceSize {
		c, err = commp.Extend(c, size, prop.PieceSize)
	}
	if err != nil {
		return 0, fatal{fmt.Errorf("piece commitment of %d bytes: %w", st.Size(), err)}
	}
	if !c.Equals(prop.PieceCID) {
		return 0, fatal{fmt.Errorf("the data is not the piece: its commitment is %s, the proposal says %s", c, prop.PieceCID)}
	}
	return st.Size(), nil
}

type readerCtx struct {
	ctx context.Context
	r   io.Reader
}

func (r readerCtx) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
