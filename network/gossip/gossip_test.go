package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"go.uber.org/goleak"
	"golang.org/x/crypto/blake2b"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const netName = "testnet"

// node is a host with gossip whose validators note what comes.
type node struct {
	*gossip.Gossip
	host *host.Host

	mu       sync.Mutex
	blocks   []string // guarded by mu
	messages []string // guarded by mu
	news     chan struct{}
}

// start runs gossip on the hosts until the test ends. verdict decides about blocks.
func start(t *testing.T, hosts []*host.Host, verdict func(data []byte) gossip.Verdict, opt gossip.Options) []*node {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	nodes := make([]*node, len(hosts))
	for i, h := range hosts {
		n := &node{host: h, news: make(chan struct{}, 1000)}
		note := func(list *[]string, data []byte) {
			n.mu.Lock()
			defer n.mu.Unlock()
			*list = append(*list, string(data))
			n.news <- struct{}{}
		}
		n.Gossip = gossip.New(h, netName, gossip.Validators{
			Block: func(_ context.Context, _ peer.ID, data []byte) gossip.Verdict {
				note(&n.blocks, data)
				return verdict(data)
			},
			Message: func(_ context.Context, _ peer.ID, data []byte) gossip.Verdict {
				note(&n.messages, data)
				return gossip.Accept
			},
		}, opt, hosttest.Quiet())
		nodes[i] = n
		wg.Go(func() {
			if err := n.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		<-n.Ready()
	}
	return nodes
}

// got is what a node has been sent.
func (n *node) got(list *[]string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(*list)
}

// wait waits until a node has got so many messages.
func (n *node) wait(t *testing.T, count int) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	for range count {
		select {
		case <-n.news:
		case <-deadline:
			t.Fatalf("node %s waited in vain", n.host.ID())
		}
	}
}

// follow waits until every node knows that so many peers follow a topic.
func follow(t *testing.T, topic string, peers int, nodes ...*node) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if !slices.ContainsFunc(nodes, func(n *node) bool { return len(n.Peers(topic)) < peers }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all nodes follow %s", topic)
		}
	}
}

func accept([]byte) gossip.Verdict { return gossip.Accept }

// Three to five nodes get a block over real sockets.
func TestLoopback(t *testing.T) {
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprintf("%d nodes", n), func(t *testing.T) {
			hosts := hosttest.Loopback(t, n)
			nodes := start(t, hosts, accept, gossip.Options{})
			hosttest.Listen(t, hosts...)
			hosttest.Mesh(t, hosts...)
			follow(t, gossip.BlocksTopic(netName), n-1, nodes...)
			if err := nodes[0].PublishBlock(t.Context(), []byte("block")); err != nil {
				t.Fatal(err)
			}
			for _, other := range nodes[1:] {
				other.wait(t, 1)
			}
		})
	}
}

// Five nodes get a block at once, not at the next heartbeat, in virtual time.
func TestBlocksDoNotWaitForHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 5, 20*time.Millisecond)
		nodes := start(t, hosts, accept, gossip.Options{})
		hosttest.Listen(t, hosts...)
		hosttest.Mesh(t, hosts...)
		time.Sleep(3 * time.Second) // a few heartbeats build the mesh
		begin := time.Now()
		if err := nodes[0].PublishBlock(t.Context(), []byte("block")); err != nil {
			t.Fatal(err)
		}
		for _, other := range nodes[1:] {
			other.wait(t, 1)
		}
		if took := time.Since(begin); took > 300*time.Millisecond {
			t.Errorf("delivery took %s", took)
		}
	})
}

// In a line A–B–C a message reaches C through B alone, and only once B accepted it.
func TestVerdictsDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 20*time.Millisecond)
		nodes := start(t, hosts, func(data []byte) gossip.Verdict {
			switch string(data) {
			case "good":
				return gossip.Accept
			case "bad":
				return gossip.Reject
			default:
				return gossip.Ignore
			}
		}, gossip.Options{})
		hosttest.Listen(t, hosts...)
		hosttest.Connect(t, hosts[0], hosts[1])
		hosttest.Connect(t, hosts[1], hosts[2])
		time.Sleep(3 * time.Second) // a few heartbeats build the mesh
		for _, data := range []string{"so-so", "bad", "good", "good"} {
			if err := nodes[0].PublishBlock(t.Context(), []byte(data)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if want := []string{"so-so", "bad", "good"}; !slices.Equal(nodes[1].got(&nodes[1].blocks), want) {
			t.Errorf("the neighbour saw %q, want %q: each once", nodes[1].got(&nodes[1].blocks), want)
		}
		if want := []string{"good"}; !slices.Equal(nodes[2].got(&nodes[2].blocks), want) {
			t.Errorf("the far node saw %q, want %q", nodes[2].got(&nodes[2].blocks), want)
		}
		if got := nodes[0].got(&nodes[0].blocks); len(got) != 0 {
			t.Errorf("own blocks were validated: %q", got)
		}
		if got, want := nodes[1].Stats(), (gossip.Stats{Accepted: 1, Ignored: 1, Rejected: 1}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

// A node that is far behind does not take messages yet.
func TestMessagesComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
		synced := make(chan struct{})
		a := start(t, hosts[:1], accept, gossip.Options{})[0]
		b := start(t, hosts[1:], accept, gossip.Options{Messages: synced})[0]
		hosttest.Listen(t, hosts...)
		hosttest.Mesh(t, hosts...)
		time.Sleep(3 * time.Second)
		if p := a.Peers(gossip.MessagesTopic(netName)); len(p) != 0 {
			t.Errorf("%v follow the messages too early", p)
		}
		if p := a.Peers(gossip.BlocksTopic(netName)); len(p) != 1 {
			t.Errorf("%v follow the blocks", p)
		}
		// It can publish all the same.
		if err := b.PublishMessage(t.Context(), []byte("from b")); err != nil {
			t.Fatal(err)
		}
		close(synced)
		time.Sleep(3 * time.Second)
		if err := a.PublishMessage(t.Context(), []byte("from a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if x, y := a.got(&a.messages), b.got(&b.messages); !slices.Equal(x, []string{"from b"}) || !slices.Equal(y, []string{"from a"}) {
			t.Errorf("messages: %q and %q", x, y)
		}
	})
}

// A peer whose score the node puts below the gray list is not heard by that node.
func TestScoreOfTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 20*time.Millisecond)
		neutral := start(t, hosts[:2], accept, gossip.Options{})
		a, b := neutral[0], neutral[1]
		strict := start(t, hosts[2:], accept, gossip.Options{Score: func(p peer.ID) float64 {
			if p == hosts[0].ID() {
				return -3000
			}
			return 0
		}})[0]
		hosttest.Listen(t, hosts...)
		hosttest.Connect(t, hosts[0], hosts[1])
		hosttest.Connect(t, hosts[0], hosts[2])
		time.Sleep(3 * time.Second)
		if err := a.PublishBlock(t.Context(), []byte("block")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := strict.got(&strict.blocks); len(got) != 0 {
			t.Errorf("heard %q of a graylisted peer", got)
		}
		if got := b.got(&b.blocks); !slices.Equal(got, []string{"block"}) {
			t.Errorf("another node heard %q", got)
		}
	})
}

// Topics that are not the network's are not tracked, and who names too many names none.
func TestP12SubscriptionsAreLimited(t *testing.T) {
	for others, want := range map[int]int{1: 1, 98: 1, 101: 0} {
		synctest.Test(t, func(t *testing.T) {
			hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
			a := start(t, hosts[:1], accept, gossip.Options{})[0]
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ps, err := pubsub.NewGossipSub(ctx, hosts[1], pubsub.WithLogger(hosttest.Quiet()))
			if err != nil {
				t.Fatal(err)
			}
			names := []string{gossip.BlocksTopic(netName)}
			for i := range others {
				names = append(names, fmt.Sprint("/other/", i))
			}
			for _, name := range names {
				topic, err := ps.Join(name)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := topic.Relay(); err != nil {
					t.Fatal(err)
				}
			}
			hosttest.Listen(t, hosts...)
			hosttest.Mesh(t, hosts...)
			time.Sleep(3 * time.Second)
			if n := len(a.Peers(gossip.BlocksTopic(netName))); n != want {
				t.Errorf("with %d other topics %d peers follow the blocks, want %d", others, n, want)
			}
			if n := len(a.Peers("/other/0")); n != 0 {
				t.Errorf("%d peers are known to follow another topic", n)
			}
		})
	}
}

func TestNotRunning(t *testing.T) {
	h := hosttest.Loopback(t, 1)[0]
	g := gossip.New(h, netName, gossip.Validators{}, gossip.Options{}, hosttest.Quiet())
	if err := g.PublishBlock(t.Context(), nil); !errors.Is(err, gossip.ErrNotRunning) {
		t.Errorf("published before Run: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	<-g.Ready()
	if err := g.PublishBlock(t.Context(), []byte("alone")); err != nil {
		t.Errorf("a node without peers publishes: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := g.PublishMessage(t.Context(), nil); !errors.Is(err, gossip.ErrNotRunning) {
		t.Errorf("published after Run: %v", err)
	}
	for _, p := range h.Mux().Protocols() {
		if p == "/meshsub/1.1.0" || p == "/floodsub/1.0.0" {
			t.Errorf("handler of %s is left", p)
		}
	}
}

func TestMessageID(t *testing.T) {
	want := blake2b.Sum256([]byte("data"))
	if got := gossip.MessageID([]byte("data")); got != string(want[:]) {
		t.Errorf("got %x", got)
	}
}
