package retrieval

import (
	"context"
	"fmt"
	"sync"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

const (
	swapAhead    = 16 // blocks that are asked for before the walk comes to them
	swapPatience = time.Minute
	swapName     = "bitswap"
)

// BlockGetter fetches single blocks from whoever has them, such as a session of bitswap.
type BlockGetter interface {
	// GetBlock waits until the context ends.
	GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error)
}

// source gives the verified blocks of one file to its walk.
type source interface {
	// get returns a block's bytes, valid until the next call.
	get(ctx context.Context, c cid.Cid) ([]byte, error)
	// hint tells which blocks come next, in order.
	hint(next []cid.Cid)
	// last is where the last block came from.
	last() string
}

func (s *session) hint([]cid.Cid) {} // a CAR comes in order anyway
func (s *session) last() string   { return s.from }

// swap gets blocks one by one, several at once.
type swap struct {
	from     BlockGetter
	patience time.Duration
	ctx      context.Context // of the one fetch; ends the goroutines
	stop     context.CancelFunc
	wg       sync.WaitGroup
	ahead    map[cid.Cid]chan swapped
}

type swapped struct {
	b   blocks.Block
	err error
}

func newSwap(ctx context.Context, from BlockGetter, patience time.Duration) *swap {
	if patience <= 0 {
		patience = swapPatience
	}
	s := &swap{from: from, patience: patience, ahead: make(map[cid.Cid]chan swapped, swapAhead)}
	s.ctx, s.stop = context.WithCancel(ctx)
	return s
}

// close ends what is under way and waits for it.
func (s *swap) close() {
	s.stop()
	s.wg.Wait()
}

func (s *swap) hint(next []cid.Cid) {
	for _, c := range next {
		if len(s.ahead) >= swapAhead {
			return
		}
		if _, ok := s.ahead[c]; ok || isIdentity(c) {
			continue
		}
		came := make(chan swapped, 1)
		s.ahead[c] = came
		s.wg.Go(func() {
			b, err := s.from.GetBlock(s.ctx, c)
			came <- swapped{b, err}
		})
	}
}

func (s *swap) get(ctx context.Context, c cid.Cid) ([]byte, error) {
	s.hint([]cid.Cid{c})
	came, ok := s.ahead[c]
	if !ok { // all places are taken by blocks that come later
		came = make(chan swapped, 1)
		s.wg.Go(func() {
			b, err := s.from.GetBlock(s.ctx, c)
			came <- swapped{b, err}
		})
	}
	delete(s.ahead, c)
	ctx, cancel := context.WithTimeoutCause(ctx, s.patience, fmt.Errorf("no peer sent it within %s", s.patience))
	defer cancel()
	select {
	case x := <-came:
		if x.err != nil {
			return nil, Missing{c, []string{swapName + ": " + x.err.Error()}}
		}
		data := x.b.RawData()
		if sum, err := c.Prefix().Sum(data); err != nil || !sum.Equals(c) {
			return nil, Missing{c, []string{swapName + ": what came does not hash to it"}}
		}
		return data, nil
	case <-ctx.Done():
		return nil, Missing{c, []string{swapName + ": " + context.Cause(ctx).Error()}}
	}
}

func (s *swap) last() string { return swapName }
