package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/hello"
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/bitswap"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
)

// node is the whole network side of a node, over a test chain.
type node struct {
	t      *testing.T
	id     int
	host   *host.Host
	chain  *chaintest.Chain
	engine *chaintest.Engine
	peers  *peers.Manager
	gossip *gossip.Gossip
	gate   *inbound.Gate
	*syncer.Syncer
	stop func()
}

// startNode runs a node on a host that need not listen yet. The chain outlives the node.
func startNode(t *testing.T, id int, h *host.Host, chain *chaintest.Chain, bootstrap ...peer.AddrInfo) *node {
	t.Helper()
	clk, log := clock.System{}, hosttest.Quiet()
	n := &node{t: t, id: id, host: h, chain: chain, engine: &chaintest.Engine{Chain: chain.Store}}
	greet := hello.New(h, chain, chaintest.Weigh, func(h hello.Head) { n.Offer(h.Peer, h.Key, h.Height, h.Weight) }, 0, clk, log)
	n.peers = peers.New(h, peers.NewBans(clk), greet, peers.Options{Bootstrap: bootstrap}, clk, log)
	disp := dispatch.New()
	server := exchange.NewServer(h, chain, disp, func(peer.ID, peers.Fault, error) {}, log)
	answers, err := exchange.NewDesk(disp)
	if err != nil {
		t.Fatal(err)
	}
	client := exchange.NewClient(h, n.peers, exchange.ClientOptions{Answers: answers}, clk, log)
	swap := bitswap.New(h, chain, bitswap.Options{Prefix: bitswap.ChainPrefix}, log)
	n.gate = inbound.New(inbound.Checks{
		Block: func(ctx context.Context, m *types.BlockMsg) (gossip.Verdict, error) {
			root, err := exchange.MessageRoot(ctx, m.BlsMessages, m.SecpkMessages)
			if err != nil || root != m.Header.Messages {
				return gossip.Reject, errors.New("messages do not match")
			}
			return gossip.Accept, nil
		},
		Message: func(context.Context, *types.SignedMessage) (gossip.Verdict, error) { return gossip.Accept, nil },
	}, disp, clk, log)
	n.Syncer = syncer.New(chain, n.engine, client, n.peers, syncer.Options{
		Epochs: chaintest.Epochs(), Classify: classify, Swap: swap, Incoming: n.gate.Blocks, Dispatcher: disp,
	}, clk, log)
	n.gossip = gossip.New(h, "test", n.gate.Validators(), gossip.Options{Messages: n.Synced()}, log)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	run := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				t.Errorf("node %d: %s: %v", id, name, err)
			}
		})
	}
	run("gossip", n.gossip.Run)
	run("hello", greet.Run)
	run("exchange", server.Run)
	run("bitswap", swap.Run)
	run("messages", n.gate.Run)
	run("syncer", n.Syncer.Run)
	run("peers", n.peers.Run)
	for _, ready := range []<-chan struct{}{n.gossip.Ready(), greet.Ready(), server.Ready(), swap.Ready(), n.peers.Ready()} {
		<-ready
	}
	if err := h.Listen(); err != nil {
		t.Fatal(err)
	}
	n.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); disp.Close() })
	t.Cleanup(n.stop)
	return n
}

// mine makes a block on the head at the present epoch and publishes it.
func (n *node) mine() {
	n.t.Helper()
	h := chaintest.Epochs().At(time.Now())
	on := n.chain.Head()
	if on.Height() >= h {
		// Somebody's block of this epoch is here already: mine beside it.
		var err error
		if on, err = n.chain.TipSet(n.t.Context(), on.Parents()); err != nil || on.Height() >= h {
			n.t.Errorf("node %d has nothing to mine on: %v", n.id, err)
			return
		}
	}
	b := n.chain.Block(on, h, uint64(n.id), fmt.Sprint(n.id, " ", h))
	if err := n.InBlock(n.t.Context(), b, ""); err != nil {
		n.t.Errorf("node %d: own block: %v", n.id, err)
		return
	}
	bls, secp := store.MessageLists(b)
	data, err := (&types.BlockMsg{Header: b.Header, BlsMessages: bls, SecpkMessages: secp}).Serialize()
	if err != nil {
		n.t.Error(err)
		return
	}
	n.gate.Published(b.Cid())
	if err := n.gossip.PublishBlock(n.t.Context(), data); err != nil {
		n.t.Errorf("node %d: publish: %v", n.id, err)
	}
}

// epochs lets time pass; in each epoch all given nodes mine at the same moment.
func epochs(count int, nodes ...*node) {
	for range count {
		now := time.Now()
		time.Sleep(chaintest.Epochs().Start(chaintest.Epochs().At(now) + 1).Sub(now))
		for _, n := range nodes {
			n.mine()
		}
	}
	time.Sleep(2 * time.Second)
}

func sameHead(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes[1:] {
		if a, b := nodes[0].chain.Head(), n.chain.Head(); !a.Equals(b) {
			t.Errorf("node %d is at %s, node %d at %s; %+v", nodes[0].id, a, n.id, b, n.Status())
		}
	}
}

// Nodes that mine together, one that joins late, and one that was away: all end at one head.
func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 4, 50*time.Millisecond)
		first := startNode(t, 0, hosts[0], chaintest.New(t))
		boot := hosttest.Info(hosts[0])
		second := startNode(t, 1, hosts[1], chaintest.New(t), boot)
		away := startNode(t, 2, hosts[2], chaintest.New(t), boot)
		time.Sleep(5 * time.Second)

		epochs(20, first, second, away)
		sameHead(t, first, second, away)
		if n := len(first.chain.Head().Blocks()); n != 3 {
			t.Errorf("the head has %d blocks of three miners", n)
		}

		away.stop()
		epochs(40, first, second)
		sameHead(t, first, second)

		// One comes back and a new one joins, which knows the second node alone.
		back := startNode(t, 2, hosts[2], away.chain, boot)
		late := startNode(t, 3, hosts[3], chaintest.New(t), hosttest.Info(hosts[1]))
		time.Sleep(3 * time.Second)
		epochs(5, first, second)
		sameHead(t, first, second, back, late)
		if now := chaintest.Epochs().At(time.Now()); late.chain.Head().Height() < now-1 {
			t.Errorf("the head is at %d, it is epoch %d", late.chain.Head().Height(), now)
		}
		for _, n := range []*node{first, second, back, late} {
			bad, err := n.chain.BadBlocks(t.Context(), 10)
			if err != nil || len(bad) != 0 {
				t.Errorf("node %d has bad blocks %v, %v", n.id, bad, err)
			}
			if l := n.peers.Bans().List(); len(l) != 0 {
				t.Errorf("node %d has banned honest peers: %v", n.id, l)
			}
			select {
			case <-n.Synced():
			default:
				t.Errorf("node %d does not think it is synced", n.id)
			}
		}
		// All of the late one's chain was validated, oldest first.
		if n := len(late.engine.Judged()); n < 20*3+45*2 {
			t.Errorf("%d blocks judged", n)
		}
	})
}

// A partition: both sides go on; when it heals the heavier side's chain wins everywhere.
func TestPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 50*time.Millisecond)
		one := startNode(t, 0, hosts[0], chaintest.New(t))
		boot := hosttest.Info(hosts[0])
		two := startNode(t, 1, hosts[1], chaintest.New(t), boot)
		alone := startNode(t, 2, hosts[2], chaintest.New(t), boot)
		time.Sleep(5 * time.Second)
		epochs(5, one, two, alone)
		sameHead(t, one, two, alone)

		for _, n := range []*node{one, two} {
			n.peers.Bans().Ban(hosts[2].ID(), time.Minute, peers.ReasonRequested)
			n.peers.Disconnect(hosts[2].ID())
		}
		epochs(10, one, two, alone)
		sameHead(t, one, two)
		if alone.chain.Head().Equals(one.chain.Head()) {
			t.Fatal("the partition does not separate")
		}
		time.Sleep(time.Minute)
		epochs(10, one, two, alone)
		sameHead(t, one, two, alone)
	})
}

// The same over real sockets: a late joiner catches up, and blocks arrive.
func TestLoopback(t *testing.T) {
	hosts := hosttest.Loopback(t, 3)
	chain := chaintest.New(t)
	now := chaintest.Epochs().At(time.Now())
	head := chain.Genesis()
	for i := range 50 {
		head = chain.Add(chain.Block(head, now-100+abi.ChainEpoch(i), 1, fmt.Sprint("old ", i)))
	}
	a := startNode(t, 0, hosts[0], chain)
	boot := hosttest.Info(hosts[0])
	b := startNode(t, 1, hosts[1], chaintest.New(t), boot)
	c := startNode(t, 2, hosts[2], chaintest.New(t), boot)
	wait(t, "catching up", func() bool { return b.chain.Head().Equals(head) && c.chain.Head().Equals(head) })
	wait(t, "gossip", func() bool { return len(a.gossip.Peers(gossip.BlocksTopic("test"))) == 2 })
	a.mine()
	wait(t, "a new block", func() bool {
		return b.chain.Head().Equals(a.chain.Head()) && c.chain.Head().Equals(a.chain.Head())
	})
}

// wait polls for something that happens in other goroutines, over real sockets. The limit only
// names what never came; a busy machine does not reach it.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 5 minutes", what)
		}
	}
}
