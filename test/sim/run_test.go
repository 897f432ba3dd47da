package sim_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// latency is half of what a node's line adds to a packet when nothing else is said.
const latency = 25 * time.Millisecond

// run is a world that a plan is carried out on.
type run struct {
	*world
	schedule schedule
	// owed are transfers that a node has not taken yet, because it was down or refused.
	owed []event
	// sent is what must be on chain once each, by serial number.
	sent map[int64]event
	// pledged counts the sectors that each node was told to make.
	pledged     []int
	owedPledges []int
	// rough are the times at which a node was down, cut off, or coming back from it.
	rough [][]span
}

// span is a time since epoch 0.
type span struct{ from, to time.Duration }

// seed is LODE_SIM_SEED, or what the caller has.
func seed(t *testing.T, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv("LODE_SIM_SEED")
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("LODE_SIM_SEED: %v", err)
	}
	return n
}

// simulate lives a plan through and checks what came of it.
func simulate(t *testing.T, s schedule, seed uint64) {
	t.Logf("LODE_SIM_SEED=%d LODE_SIM_EPOCHS=%d runs this again", seed, s.epochs)
	w := create(t, s.nodes, s.miners, s.sectors)
	s.epoch = w.epoch()
	r := &run{
		world: w, schedule: s, sent: make(map[int64]event), pledged: make([]int, s.nodes),
		owedPledges: make([]int, s.nodes), rough: make([][]span, s.nodes),
	}
	plan := s.plan(seed)
	synctest.Test(t, func(t *testing.T) {
		r.t, r.wires = t, newWires()
		defer r.wires.net.Close()
		defer func() {
			for i := range r.nodes {
				r.stop(i)
			}
		}()
		for i := range r.nodes {
			r.wires.slow(i, latency)
			r.start(i)
		}
		for _, e := range plan {
			r.until(e.at)
			t.Log(e)
			r.do(e)
			if t.Failed() {
				return
			}
		}
		r.until(time.Duration(s.epochs)*s.epoch + s.epoch/2)
		r.pay()
		r.settled()
	})
	if !t.Failed() {
		r.t = t
		r.checkChains()
	}
}

// do carries out one event.
func (r *run) do(e event) {
	r.t.Helper()
	switch e.what {
	case send:
		r.owed = append(r.owed, e)
	case pledge:
		r.owedPledges[e.node]++
	case stop:
		r.stop(e.node)
		r.down(e.node)
	case kill:
		r.kill(e.node)
		r.down(e.node)
	case start:
		r.start(e.node)
		r.back(e.node)
	case split:
		r.wires.split(e.islands)
		for i := range r.nodes {
			r.down(i)
		}
	case heal:
		r.wires.split(make([]int, len(r.nodes)))
		for i := range r.nodes {
			r.back(i)
		}
	case slow:
		r.wires.slow(e.node, e.latency)
	}
	r.pay()
}

func (r *run) now() time.Duration { return time.Since(r.epochs().Start(0)) }

// down notes that from now on nobody can ask a node to be on time.
func (r *run) down(i int) { r.rough[i] = append(r.rough[i], span{r.now(), 1 << 62}) }

// back ends that, ten epochs from now.
func (r *run) back(i int) {
	for j := range r.rough[i] {
		if s := &r.rough[i][j]; s.to == 1<<62 {
			s.to = r.now() + 10*r.schedule.epoch
		}
	}
}

// pay hands owed transfers and pledges to the nodes that are up. A transfer that was handed
// over before goes under the same name, so that it is made once.
func (r *run) pay() {
	r.t.Helper()
	var left []event
	for _, e := range r.owed {
		if r.nodes[e.node] == nil {
			left = append(left, e)
			continue
		}
		m := &types.Message{From: r.account(e.node), To: r.account(e.to), Value: amount(e.serial)}
		_, err := r.api(e.node).MpoolPushMessage(r.t.Context(), m, &api.MessageSendSpec{MsgUuid: fmt.Sprint(e.serial)})
		if err != nil {
			r.t.Logf("%v: %v", e, err)
			left = append(left, e)
			continue
		}
		r.sent[e.serial] = e
	}
	r.owed = left
	for i, n := range r.owedPledges {
		for ; n > 0 && r.nodes[i] != nil; n-- {
			if _, err := r.api(i).PledgeSector(r.t.Context()); err != nil {
				r.t.Errorf("pledge at node %d: %v", i, err)
			}
			r.pledged[i]++
			r.owedPledges[i]--
		}
	}
}

func (r *run) account(i int) address.Address { return r.birth.Members[i].Keys[0].Address }

// amount is what transfer number serial moves, which no other does, in attoFIL.
func amount(serial int64) abi.TokenAmount { return big.Add(big.NewInt(1e15), big.NewInt(serial)) }

// settled checks that all nodes are up and agree, now that nothing is done to them.
func (r *run) settled() {
	r.t.Helper()
	now := r.epochs().At(time.Now())
	for i := range r.nodes {
		if r.nodes[i] == nil {
			r.t.Errorf("node %d is down at the end", i)
			return
		}
		head := r.head(i)
		if !head.Equals(r.head(0)) || head.Height() < now-5 {
			r.t.Errorf("it is epoch %d; node %d is at %s, node 0 at %s", now, i, head, r.head(0))
		}
		peers, err := r.api(i).NetPeers(r.t.Context())
		if err != nil || len(peers) != len(r.nodes)-1 {
			r.t.Errorf("node %d has %d peers of %d, %v", i, len(peers), len(r.nodes)-1, err)
		}
		left, err := r.api(i).MpoolPending(r.t.Context(), types.TipSetKey{})
		if err != nil {
			r.t.Error(err)
		}
		for _, m := range left {
			r.t.Errorf("message %s of %s with nonce %d still waits on node %d", m.Cid(), m.Message.From, m.Message.Nonce, i)
		}
	}
	for _, e := range r.owed {
		r.t.Errorf("%v was refused to the end", e)
	}
	for i, n := range r.pledged {
		if n == 0 {
			continue
		}
		states, err := r.api(i).SectorsSummary(r.t.Context())
		if err != nil {
			r.t.Error(err)
		}
		r.t.Logf("node %d has sectors %v, %d of them pledged here", i, states, n)
		if states["Proving"] != n+r.schedule.sectors {
			r.t.Errorf("node %d pledged %d sectors and has %v", i, n, states)
		}
	}
}
