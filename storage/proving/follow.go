package proving

import (
	"context"
	"errors"
	"fmt"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/sealing"
)

// follow waits until the chain has what was sent. It returns early when a message failed or a
// reorg changed what has to be proven.
func (w *attempt) follow(ctx context.Context, all []*made, rand draws) error {
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		m   *made
		err error
	}
	ends := make(chan outcome, len(all))
	waiting := 0
	for _, m := range all {
		if !m.sent {
			continue
		}
		waiting++
		go func() {
			_, err := sealing.Await(ctx, w.p.deps.Messages, m.id, 0)
			ends <- outcome{m, err}
		}()
	}
	defer func() {
		cancel()
		for range waiting {
			<-ends
		}
	}()
	heads := make(chan *types.TipSet)
	stopped := make(chan struct{})
	defer func() { cancel(); <-stopped }()
	go func() {
		defer close(stopped)
		head := w.p.deps.Chain.Head()
		for {
			select {
			case heads <- head:
			case <-ctx.Done():
				return
			}
			var err error
			if head, err = w.p.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stopped:
			return errors.New("the chain cannot be followed")
		case head := <-heads:
			if head.Height() >= w.d.Close+lateness {
				return nil
			}
			if head.Height() >= w.d.Last() {
				continue // the state is the next window's; only the messages can tell
			}
			left, err := w.left(ctx, head)
			if err != nil {
				return err
			}
			if !overlap(left, all) {
				return nil
			}
			if again, err := w.draw(ctx, head); err != nil || !again.equal(rand) {
				w.next(all)
				return err
			}
		case o := <-ends:
			waiting--
			switch {
			case errors.Is(o.err, sealing.ErrRefused):
				w.next([]*made{o.m})
				return fmt.Errorf("partition %d: %w", o.m.first(), o.err)
			case o.err != nil:
				return o.err
			}
			for _, part := range o.m.partitions {
				w.open[part.Index] = false
			}
			if waiting == 0 {
				return nil
			}
		}
	}
}

// next gives the messages of a batch new keys.
func (w *attempt) next(all []*made) {
	for _, m := range all {
		w.tries[m.first()]++
	}
}

// overlap tells whether a partition that was sent is left to prove.
func overlap(left []target, sent []*made) bool {
	for _, m := range sent {
		for _, part := range m.partitions {
			for _, t := range left {
				if m.sent && t.index == part.Index {
					return true
				}
			}
		}
	}
	return false
}
