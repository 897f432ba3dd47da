package retrieval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/types"
)

// swarm gives blocks after a while, as peers do; of those it has not it says nothing.
type swarm struct {
	from  types.Blocks
	delay time.Duration

	mu        sync.Mutex
	now, most int
}

func (s *swarm) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	b, err := s.from.Get(ctx, c)
	if ipld.IsNotFound(err) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	t := time.NewTimer(s.delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return b, err
}

// A file comes over bitswap, several blocks at once and never more than the bound.
func TestFetchOverBitswap(t *testing.T) {
	store := &types.MemBlocks{}
	data := content(3<<20, 7)
	imp := file(t, store, data)
	synctest.Test(t, func(t *testing.T) {
		from := &swarm{from: store, delay: 100 * time.Millisecond}
		var got bytes.Buffer
		start := time.Now()
		p, err := NewFetcher(nil, quiet).Write(t.Context(), Request{Root: imp.Root, Blocks: from}, &got)
		if err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Fatalf("%d bytes of %d, %v", got.Len(), len(data), err)
		}
		if p.From != "bitswap" || p.Bytes != uint64(len(data)) || p.Total != p.Bytes {
			t.Errorf("progress %+v", p)
		}
		if alone := time.Duration(p.Blocks) * from.delay; time.Since(start) > alone*2/3 {
			t.Errorf("%d blocks took %s, one after the other it is %s", p.Blocks, time.Since(start), alone)
		}
		if from.most > swapAhead+1 {
			t.Errorf("%d blocks were asked for at once", from.most)
		}
	})
}

func TestFetchOverBitswapFails(t *testing.T) {
	store := &types.MemBlocks{}
	imp := file(t, store, content(3<<20, 8))
	leaf := leaves(t, store, imp.Root)[5]
	for name, from := range map[string]types.Blocks{
		"nobody has a block": failing{Blocks: store, lost: leaf.Equals},
		"a block is a lie":   failing{Blocks: store, changed: leaf.Equals},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := NewFetcher(nil, quiet).Write(t.Context(), Request{
					Root: imp.Root, Blocks: &swarm{from: from}, Patience: 10 * time.Second,
				}, &bytes.Buffer{})
				var miss Missing
				if !errors.As(err, &miss) || miss.Block != leaf || time.Since(start) > 20*time.Second {
					t.Errorf("after %s: %v", time.Since(start), err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := fmt.Errorf("enough")
		time.AfterFunc(time.Second, func() { cancel(stop) })
		_, err := NewFetcher(nil, quiet).Write(ctx, Request{Root: imp.Root, Blocks: &swarm{from: &types.MemBlocks{}}}, &bytes.Buffer{})
		if err == nil {
			t.Error("a fetch that was given up succeeded")
		}
	})
}
