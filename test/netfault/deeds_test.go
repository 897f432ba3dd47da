package netfault_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// deeds are what a step can do or expect.
var deeds map[string]func(*run, step)

// A variable's own initialiser would refer to itself through the scenarios' checks.
func init() {
	deeds = map[string]func(*run, step){
		"split": func(r *run, st step) {
			r.fabric.change(func() {
				for i, n := range st.Islands {
					r.fabric.isle[i] = n
				}
			})
		},
		"heal":    func(r *run, _ step) { r.fabric.heal() },
		"cut":     func(r *run, st step) { r.fabric.change(func() { r.fabric.cut[[2]int{st.From, st.To}] = true }) },
		"mend":    func(r *run, st step) { r.fabric.change(func() { delete(r.fabric.cut, [2]int{st.From, st.To}) }) },
		"isolate": func(r *run, st step) { r.isolate(st.Nodes, true) },
		"rejoin":  func(r *run, st step) { r.isolate(st.Nodes, false) },
		"link":    func(r *run, st step) { r.fabric.setLink(st.Nodes, r.s.Nodes, st.Link) },
		"flap":    nil, // written out by the plan
		"swizzle": nil,

		"send": func(r *run, st step) {
			r.sent++
			r.owed = append(r.owed, transfer{st.From, st.N})
			r.pay()
		},
		"start": func(r *run, st step) {
			for _, i := range st.Nodes {
				r.begin(i)
			}
		},
		"stop": func(r *run, st step) {
			for _, i := range st.Nodes {
				r.down(i)
			}
		},
		"kill": func(r *run, st step) {
			for _, i := range st.Nodes {
				r.watch.unfollow(i)
				if err := r.w.kill(i); err != nil {
					r.t.Errorf("kill node %d: %v", i, err)
				}
				r.up[i] = false
			}
		},
		"freeze": func(r *run, st step) { r.freeze(st.Nodes, true) },
		"thaw":   func(r *run, st step) { r.freeze(st.Nodes, false) },
		"attack": (*run).attack,
		"calm":   func(r *run, _ step) { r.endAttacks() },

		"tunnel": func(r *run, st step) {
			if err := r.w.tunnel(st.From, st.To); err != nil {
				r.t.Fatal(err)
			}
		},
		"carries": (*run).expectCarried,
		"odd-start": func(r *run, st step) {
			if err := r.w.oddStart(st.Attack); err != nil {
				r.t.Errorf("%s: %v", st.Attack, err)
			}
		},

		"one-head": (*run).expectOneHead,
		"forked":   (*run).expectForked,
		"apart":    (*run).expectApart,
		"peers":    (*run).expectPeers,
		"grows":    (*run).expectGrowth,
		"synced":   (*run).expectSynced,
		"spread":   (*run).expectSpread,
	}
}

func (r *run) isolate(nodes []int, on bool) {
	r.fabric.change(func() {
		for _, n := range nodes {
			r.fabric.off[n] = on
		}
	})
}

func (r *run) freeze(nodes []int, on bool) {
	for _, i := range nodes {
		do := r.w.freeze
		if !on {
			do = r.w.thaw
		}
		if err := do(i); err != nil {
			r.t.Errorf("freeze node %d, %v: %v", i, on, err)
		}
		r.frozen[i] = on
	}
}

// expectOneHead wants all nodes on one chain near the present.
func (r *run) expectOneHead(st step) {
	took, err := r.poll(st.Within.Duration, r.oneHead)
	if err != nil {
		r.t.Errorf("no single head %s: %v", st, err)
	}
	r.figure("one head after", took.Seconds(), " s")
}

// expectForked wants that the islands went their own ways: otherwise nothing was cut.
func (r *run) expectForked(st step) {
	_, err := r.poll(st.Within.Duration, func(ctx context.Context) error {
		a, err := r.w.api(st.From).ChainHead(ctx)
		if err != nil {
			return err
		}
		b, err := r.w.api(st.To).ChainHead(ctx)
		if err != nil {
			return err
		}
		if a.Equals(b) || a.Parents() == b.Parents() || a.Key() == b.Parents() || a.Parents() == b.Key() {
			return fmt.Errorf("nodes %d and %d are both near %s", st.From, st.To, a)
		}
		return nil
	})
	if err != nil {
		r.t.Errorf("no fork: %v", err)
	}
}

// expectApart wants that neither of two nodes takes the other for a peer any more.
func (r *run) expectApart(st step) {
	took, err := r.poll(st.Within.Duration, func(ctx context.Context) error {
		for _, p := range [][2]int{{st.From, st.To}, {st.To, st.From}} {
			peers, err := r.peersOf(ctx, p[0])
			if err != nil {
				return err
			}
			if slices.Contains(peers, p[1]) {
				return fmt.Errorf("node %d takes node %d for a peer", p[0], p[1])
			}
		}
		return nil
	})
	if err != nil {
		r.t.Errorf("a dead session lives: %v", err)
	}
	r.figure("session ended after", took.Seconds(), " s")
}

// peersOf are the nodes of the scenario that node i is connected to.
func (r *run) peersOf(ctx context.Context, i int) ([]int, error) {
	infos, err := r.w.api(i).NetPeers(ctx)
	if err != nil {
		return nil, fmt.Errorf("node %d: %w", i, err)
	}
	var out []int
	for _, p := range infos {
		if n := slices.Index(r.ids, p.ID); n >= 0 {
			out = append(out, n)
		}
	}
	return out, nil
}

// expectPeers wants every node to have at least N of the scenario's nodes as peers.
func (r *run) expectPeers(st step) {
	took, err := r.poll(st.Within.Duration, func(ctx context.Context) error {
		for i := range r.s.Nodes {
			if !r.up[i] || r.frozen[i] {
				continue
			}
			peers, err := r.peersOf(ctx, i)
			if err != nil {
				return err
			}
			if len(peers) < st.N {
				return fmt.Errorf("node %d has peers %v, at least %d are wanted", i, peers, st.N)
			}
		}
		return nil
	})
	if err != nil {
		r.t.Errorf("peers are lost: %v", err)
	}
	r.figure("peers again after", took.Seconds(), " s")
}

// expectGrowth wants the named nodes' heads to rise by N epochs.
func (r *run) expectGrowth(st step) {
	was := map[int]abi.ChainEpoch{}
	_, err := r.poll(st.Within.Duration, func(ctx context.Context) error {
		var errs []error
		for _, i := range st.Nodes {
			head, err := r.w.api(i).ChainHead(ctx)
			if err != nil {
				return err
			}
			if _, ok := was[i]; !ok {
				was[i] = head.Height()
			}
			if head.Height() < was[i]+abi.ChainEpoch(st.N) {
				errs = append(errs, fmt.Errorf("node %d rose from %d to %d only", i, was[i], head.Height()))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		r.t.Errorf("the chain stands still: %v", err)
	}
}

// expectSynced wants the named nodes to be near the present, and tells how quick they were.
func (r *run) expectSynced(st step) {
	for _, i := range st.Nodes {
		took, err := r.poll(st.Within.Duration, func(ctx context.Context) error {
			head, err := r.w.api(i).ChainHead(ctx)
			if err != nil {
				return err
			}
			if now := r.epochs.At(time.Now()); head.Height() < now-3 {
				return fmt.Errorf("it is epoch %d, node %d is at %d", now, i, head.Height())
			}
			return nil
		})
		if err != nil {
			r.t.Errorf("not synced: %v", err)
		}
		r.figure(fmt.Sprintf("node %d synced after", i), took.Seconds(), " s")
	}
}

// expectSpread bounds how long a block took from the first node to the others, for all but
// a twentieth, since the previous look.
func (r *run) expectSpread(st step) {
	p50, p95, n := r.watch.spread()
	r.figure("blocks spread in", p95.Seconds()*1000, " ms")
	if n < 3 || p95 > st.Max.Duration {
		r.t.Errorf("of %d blocks half reached a node within %s, 95 %% within %s, at most %s is allowed", n, p50, p95, st.Max)
	}
}

// expectCarried wants a transfer through the tunnel that begins from now on to come through.
func (r *run) expectCarried(st step) {
	now := time.Now()
	took, err := r.poll(st.Within.Duration, func(context.Context) error { return r.w.carries(now) })
	if err != nil {
		r.t.Errorf("the tunnel carries nothing: %v", err)
	}
	r.figure("tunnel carries after", took.Seconds(), " s")
}

// endLoad ends the transfers and notes how they went.
func (r *run) endLoad() {
	figures, err := r.w.endLoad()
	if err != nil {
		r.t.Errorf("tunnel: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		r.figure(name, figures[name], "")
	}
}
