package netfault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// watcher follows the heads of all nodes: when each block came to each, and whether a miner
// signed two for one epoch.
type watcher struct {
	epochs clock.Epochs
	wg     sync.WaitGroup

	mu     sync.Mutex
	ends   map[int]context.CancelFunc
	first  map[cid.Cid]time.Time       // when the first node had it
	seen   map[cid.Cid]map[int]bool    // who had it
	took   []time.Duration             // from the first to another, of fresh blocks
	blocks map[string]map[cid.Cid]bool // by miner and epoch
	tops   map[int]abi.ChainEpoch      // highest head of a node
	revert map[int]int                 // most tipsets given up at once
	errs   []error                     // of nodes that could not be followed
}

func newWatcher(e clock.Epochs) *watcher {
	return &watcher{
		epochs: e, ends: map[int]context.CancelFunc{}, first: map[cid.Cid]time.Time{}, seen: map[cid.Cid]map[int]bool{},
		blocks: map[string]map[cid.Cid]bool{}, tops: map[int]abi.ChainEpoch{}, revert: map[int]int{},
	}
}

// follow watches a node until unfollow, or until it goes away.
func (w *watcher) follow(i int, n api.Node) {
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	w.ends[i] = cancel
	w.mu.Unlock()
	w.wg.Go(func() {
		changes, err := n.ChainNotify(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return // it was not followed any more
			}
			w.note(fmt.Errorf("follow node %d: %w", i, err))
			return
		}
		for c := range changes {
			w.changed(i, c)
		}
	})
}

func (w *watcher) unfollow(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if end, ok := w.ends[i]; ok {
		end()
		delete(w.ends, i)
	}
}

func (w *watcher) wait() { w.wg.Wait() }

func (w *watcher) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

// blind says which nodes could not be followed, so that nothing is known of their blocks.
func (w *watcher) blind() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.errs...)
}

func (w *watcher) changed(i int, changes []*api.HeadChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	reverted := 0
	for _, c := range changes {
		if c.Type == api.HeadRevert {
			reverted++
			continue
		}
		w.tops[i] = max(w.tops[i], c.Val.Height())
		w.has(now, i, c.Val)
	}
	w.revert[i] = max(w.revert[i], reverted)
}

// has needs mu.
func (w *watcher) has(now time.Time, i int, ts *types.TipSet) {
	for _, b := range ts.Blocks() {
		c := b.Cid()
		who := fmt.Sprint(b.Miner, " at epoch ", b.Height)
		if w.blocks[who] == nil {
			w.blocks[who] = map[cid.Cid]bool{}
		}
		w.blocks[who][c] = true
		if w.seen[c] == nil {
			w.seen[c], w.first[c] = map[int]bool{}, now
		}
		if w.seen[c][i] {
			continue
		}
		w.seen[c][i] = true
		// A block that comes when its epoch is long over was synced, not announced.
		if len(w.seen[c]) > 1 && now.Sub(w.epochs.Start(b.Height)) < 3*time.Duration(w.epochs.Seconds)*time.Second {
			w.took = append(w.took, now.Sub(w.first[c]))
		}
	}
}

// spread is how long blocks took from the first node to another since the last call.
func (w *watcher) spread() (p50, p95 time.Duration, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.took
	w.took = nil
	if len(t) == 0 {
		return 0, 0, 0
	}
	slices.Sort(t)
	return t[len(t)/2], t[len(t)*95/100], len(t)
}

// twice are miners that signed more than one block of an epoch.
func (w *watcher) twice() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for who, set := range w.blocks {
		if len(set) > 1 {
			out = append(out, who)
		}
	}
	return out
}

func (w *watcher) deepest() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := 0
	for _, n := range w.revert {
		most = max(most, n)
	}
	return most
}
