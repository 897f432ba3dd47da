package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/peers"
)

// rightClock lets what signs by the clock run only while this machine's clock agrees with
// those of most peers: with another clock blocks are early or late for everybody else, and
// what was signed for an epoch cannot be signed again (spec network.md P-14). Following the
// chain goes on meanwhile. Fewer peers than it takes to tell whose clock is wrong forbid
// nothing.
type rightClock struct {
	offset func() time.Duration // how far the peers' clocks are behind
	clk    clock.Clock
	log    *slog.Logger
	wrong  atomic.Bool // something waits for the clock to be set right
}

// clockLook is how often the offset is looked at.
const clockLook = time.Second

// while gives a part that runs run for as long as the clock is right, again and again. An
// end of run itself ends the part.
func (r *rightClock) while(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		defer r.wrong.Store(false)
		for {
			if off := r.offset(); off.Abs() > peers.OffsetLimit {
				r.wrong.Store(true)
				r.log.Warn("no blocks are made: this machine's clock differs from that of most peers; set it right", "ahead", off)
			}
			if !r.await(ctx, true) {
				return nil
			}
			if r.wrong.Swap(false) {
				r.log.Info("this machine's clock agrees with most peers again, blocks are made")
			}
			ended, err := r.stint(ctx, run)
			if ended {
				return err
			}
		}
	}
}

// stint runs run until the clock is wrong; ended says that run ended for another reason.
func (r *rightClock) stint(ctx context.Context, run func(context.Context) error) (ended bool, err error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan bool, 1)
	go func() {
		wrong := r.await(inner, false)
		cancel()
		watched <- wrong
	}()
	err = run(inner)
	cancel()
	wrong := <-watched
	return err != nil || !wrong || ctx.Err() != nil, err
}

// await waits until the clock is right, or wrong; false means that the context ended first.
func (r *rightClock) await(ctx context.Context, right bool) bool {
	for (r.offset().Abs() <= peers.OffsetLimit) != right {
		if clock.Sleep(ctx, r.clk, clockLook) != nil {
			return false
		}
	}
	return ctx.Err() == nil
}
