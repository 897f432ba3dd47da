package netfault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/chain/store"
)

// Bounds that hold in every scenario.
const (
	settleTime = 90 * time.Second // after the last fault, until all is well again
	stopTime   = 15 * time.Second // of one node, when asked
)

// settle waits until all is well, and checks what can be asked of running nodes.
func (r *run) settle() {
	r.t.Helper()
	r.pay()
	begin := time.Now()
	_, err := r.poll(settleTime, func(ctx context.Context) error {
		r.pay()
		if len(r.owed) > 0 {
			return fmt.Errorf("%d transfers are refused still", len(r.owed))
		}
		if err := r.oneHead(ctx); err != nil {
			return err
		}
		return r.received(ctx)
	})
	if err != nil {
		r.t.Errorf("the network is not well again: %v", err)
	}
	r.figure("well after", time.Since(begin).Seconds(), " s")
	for i := range r.s.Nodes {
		if r.up[i] {
			r.measure(i)
		}
	}
	if err := r.watch.blind(); err != nil {
		r.t.Error(err)
	}
	if twice := r.watch.twice(); len(twice) > 0 {
		r.t.Errorf("two blocks were signed by %v", twice)
	}
	if _, p95, n := r.watch.spread(); n > 0 {
		r.figure("spread p95", p95.Seconds()*1000, " ms")
	}
	r.figure("deepest reorg", float64(r.watch.deepest()), "")
	if r.sent > 0 {
		r.figure("transfers", float64(r.sent), "")
	}
}

// received is nil when each transfer is on chain, exactly once, in every node's eyes.
func (r *run) received(ctx context.Context) error {
	for i := range r.s.Nodes {
		if !r.up[i] {
			continue
		}
		got, err := r.w.api(i).WalletBalance(ctx, sink)
		if err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
		if !got.Equals(big.NewInt(int64(r.sent))) {
			return fmt.Errorf("of %d transfers node %d knows %s", r.sent, i, got)
		}
	}
	return nil
}

// checkRemains looks at what the nodes left behind: their logs and their chains.
func (r *run) checkRemains() {
	r.t.Helper()
	for i := range r.s.Nodes {
		r.checkLog(i)
		r.checkStore(i)
	}
	for _, d := range r.stops {
		if d > stopTime {
			r.t.Errorf("a stop took %s, at most %s is allowed", d, stopTime)
		}
	}
	if len(r.stops) > 0 {
		r.figure("slowest stop", slices.Max(r.stops).Seconds(), " s")
	}
	if r.peak.RSS > 0 {
		r.figure("RSS", float64(r.peak.RSS), " MiB")
		r.figure("files", float64(r.peak.FDs), "")
		r.figure("CPU", r.peak.CPU.Seconds(), " s")
	}
	if r.peak.RSS > r.s.MaxRSS || r.peak.FDs > r.s.MaxFDs {
		r.t.Errorf("a process took %d MiB and %d files, caps are %d and %d", r.peak.RSS, r.peak.FDs, r.s.MaxRSS, r.s.MaxFDs)
	}
	passed, lost := r.fabric.count()
	r.figure("packets", float64(passed), "")
	r.figure("lost", float64(lost), "")
}

// harmless are reasons to drop a peer that hold nothing against it.
var harmless = []string{"requested", "hello-timeout", "hello", "too-many-peers", "dead"}

// checkLog finds panics, errors, and honest peers that were punished.
func (r *run) checkLog(i int) {
	r.t.Helper()
	b, err := r.w.log(i)
	if err != nil {
		r.t.Errorf("log of node %d: %v", i, err)
		return
	}
	for line := range bytes.Lines(b) {
		for _, bad := range []string{"panic:", "DATA RACE", "fatal error:", "goroutine 1 ["} {
			if bytes.Contains(line, []byte(bad)) {
				r.t.Errorf("node %d says %s", i, line)
			}
		}
		var entry struct{ Level, Msg, Peer, Reason string }
		if json.Unmarshal(line, &entry) != nil {
			continue // not ours: a library, or the end of a process
		}
		if entry.Level == "ERROR" {
			r.t.Errorf("node %d says %s", i, line)
		}
		if entry.Msg != "peer dropped" || slices.Contains(harmless, entry.Reason) {
			continue
		}
		for j, id := range r.ids {
			if id.String() == entry.Peer {
				r.t.Errorf("node %d dropped honest node %d: %s", i, j, entry.Reason)
			}
		}
	}
}

// checkStore reads a stopped node's store: whatever is there hashes to its CID, the chain is
// there from the head to the genesis, and no block of an honest node is called bad.
func (r *run) checkStore(i int) {
	r.t.Helper()
	ctx := r.t.Context()
	s, err := store.Open(filepath.Join(r.w.repo(i), "chain"), store.Options{})
	if err != nil {
		r.t.Errorf("open the chain of node %d: %v", i, err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	if bad, err := s.BadBlocks(ctx, 10); err != nil || len(bad) > 0 {
		r.t.Errorf("node %d calls honest blocks bad: %+v, %v", i, bad, err)
	}
	keys, err := s.AllKeysChan(ctx)
	if err != nil {
		r.t.Errorf("node %d: %v", i, err)
		return
	}
	n := 0
	for c := range keys {
		n++
		b, err := s.Get(ctx, c)
		if err != nil {
			r.t.Errorf("node %d: %v", i, err)
			continue
		}
		if got, err := c.Prefix().Sum(b.RawData()); err != nil || !got.Equals(c) {
			r.t.Errorf("node %d: block %s hashes to %s, %v", i, c, got, err)
		}
	}
	for ts := s.Head(); ts.Height() > 0; {
		if _, err := s.TipSetMessages(ctx, ts); err != nil {
			r.t.Errorf("node %d: %s: %v", i, ts, err)
		}
		if ts, err = s.TipSet(ctx, ts.Parents()); err != nil {
			r.t.Errorf("node %d: %v", i, err)
			return
		}
	}
	if n == 0 {
		r.t.Errorf("the store of node %d is empty", i)
	}
}
