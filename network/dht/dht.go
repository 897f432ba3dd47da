package dht

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

var (
	// ErrOffline: the node takes no part in any network, so it can look nothing up there.
	ErrOffline = errors.New("this node is offline: it has no DHT; start it without --offline, and with the setting Libp2p.DHT not off")
	// ErrClosed: the table has ended.
	ErrClosed = errors.New("the DHT is not running")
	// ErrAlone: no peer of the network is in the routing table. Connect to one first.
	ErrAlone = errors.New("no peer of the network's DHT is known: connect to one first")
)

// Router finds peers and providers. Its methods end with their context.
type Router interface {
	// FindPeer looks a peer's addresses up.
	FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error)
	// FindProvidersAsync looks for peers that have announced a CID, at most n of them; 0 is
	// no bound. The channel closes when the search is over, also when it found nothing.
	FindProvidersAsync(ctx context.Context, c cid.Cid, n int) <-chan peer.AddrInfo
	// FindProviders is the same with an error for a search that could not be made.
	FindProviders(ctx context.Context, c cid.Cid, n int) ([]peer.AddrInfo, error)
	// Provide announces that this node has the CID.
	Provide(ctx context.Context, c cid.Cid) error
	// Closest are the peers nearest to a key, nearest first.
	Closest(ctx context.Context, key string) ([]peer.ID, error)
	// Size is how many peers are in the routing table.
	Size() int
}

// Mode is which side of the protocol a node is on.
type Mode string

// The modes. Auto is a server unless the node knows that nobody can reach it.
const (
	Auto   Mode = "auto"
	Server Mode = "server"
	Client Mode = "client"
)

var modes = map[Mode]kad.ModeOpt{"": kad.ModeAutoServer, Auto: kad.ModeAutoServer, Server: kad.ModeServer, Client: kad.ModeClient}

// Prefix is the protocol prefix of a network's DHT.
func Prefix(netName string) protocol.ID { return protocol.ID("/fil/kad/" + netName) }

// Protocol is what the peers of a network's DHT speak.
func Protocol(netName string) protocol.ID { return Prefix(netName) + "/kad/1.0.0" }

// Table is one network's DHT. Safe from many goroutines; calls before Run is ready wait for
// it.
type Table struct {
	host   host.Host
	prefix protocol.ID
	mode   kad.ModeOpt
	ready  chan struct{}
	done   chan struct{}

	mu       sync.RWMutex
	kad      *kad.IpfsDHT                       // guarded by mu; set once before ready is closed
	searches map[uint64]context.CancelCauseFunc // guarded by mu: those under way
	next     uint64                             // guarded by mu: number of the next search
	work     sync.WaitGroup                     // the searches; Add under mu and before done is closed
}

var _ Router = (*Table)(nil)

// New prepares the DHT of a network; Run starts it.
func New(h host.Host, netName string, mode Mode) (*Table, error) {
	m, ok := modes[mode]
	if !ok {
		return nil, fmt.Errorf("DHT mode %q is not auto, server or client", mode)
	}
	return &Table{
		host: h, prefix: Prefix(netName), mode: m, ready: make(chan struct{}), done: make(chan struct{}),
		searches: make(map[uint64]context.CancelCauseFunc),
	}, nil
}

// Ready is closed when Run has attached the stream handler.
func (t *Table) Ready() <-chan struct{} { return t.ready }

// Run takes part until the context ends. It can be called once.
func (t *Table) Run(ctx context.Context) error {
	k, err := kad.New(t.host, kad.ProtocolPrefix(t.prefix), kad.Mode(t.mode), kad.DisableValues())
	if err != nil {
		return fmt.Errorf("start the DHT %s: %w", t.prefix, err)
	}
	t.mu.Lock()
	t.kad = k
	t.mu.Unlock()
	close(t.ready)
	<-ctx.Done()
	t.mu.Lock()
	close(t.done)
	// The table's end must end every search, or closing would wait for the callers' patience.
	for _, cancel := range t.searches {
		cancel(ErrClosed)
	}
	t.mu.Unlock()
	t.work.Wait()
	if err := k.Close(); err != nil {
		return fmt.Errorf("close the DHT %s: %w", t.prefix, err)
	}
	return nil
}

// running waits for Run. The context that it returns ends with the table as well.
func (t *Table) running(ctx context.Context) (*kad.IpfsDHT, context.Context, func(), error) {
	select {
	case <-t.ready:
	case <-t.done:
		return nil, nil, nil, ErrClosed
	case <-ctx.Done():
		return nil, nil, nil, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.done:
		return nil, nil, nil, ErrClosed
	default:
	}
	ctx, cancel := context.WithCancelCause(ctx)
	id := t.next
	t.next++
	t.searches[id] = cancel
	t.work.Add(1)
	return t.kad, ctx, func() {
		defer t.work.Done()
		t.mu.Lock()
		delete(t.searches, id)
		t.mu.Unlock()
		cancel(nil)
	}, nil
}

// FindPeer implements Router. Addresses of connected peers are known without a search.
func (t *Table) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	k, ctx, done, err := t.running(ctx)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, err)
	}
	defer done()
	if id == t.host.ID() {
		return peer.AddrInfo{ID: id, Addrs: t.host.Addrs()}, nil
	}
	info, err := k.FindPeer(ctx, id)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, t.alone(k, err))
	}
	return info, nil
}

// alone says why a search could not even begin.
func (t *Table) alone(k *kad.IpfsDHT, err error) error {
	if k.RoutingTable().Size() == 0 {
		return ErrAlone
	}
	return err
}

// FindProvidersAsync implements Router.
func (t *Table) FindProvidersAsync(ctx context.Context, c cid.Cid, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	k, ctx, done, err := t.running(ctx)
	if err != nil {
		close(out)
		return out
	}
	found := k.FindProvidersAsync(ctx, c, n)
	// The goroutine ends with the search, which ends with the caller's context or the table, and
	// is waited for by Run.
	go func() {
		defer done()
		defer close(out)
		for info := range found {
			select {
			case out <- info:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// FindProviders implements Router.
func (t *Table) FindProviders(ctx context.Context, c cid.Cid, n int) ([]peer.AddrInfo, error) {
	k, ctx, done, err := t.running(ctx)
	if err != nil {
		return nil, fmt.Errorf("find providers of %s: %w", c, err)
	}
	defer done()
	var out []peer.AddrInfo
	for info := range k.FindProvidersAsync(ctx, c, n) {
		out = append(out, info)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("find providers of %s: %w", c, context.Cause(ctx))
	case k.RoutingTable().Size() == 0:
		return nil, fmt.Errorf("find providers of %s: %w", c, ErrAlone)
	}
	return nil, nil
}

// Provide implements Router.
func (t *Table) Provide(ctx context.Context, c cid.Cid) error {
	k, ctx, done, err := t.running(ctx)
	if err != nil {
		return fmt.Errorf("announce %s: %w", c, err)
	}
	defer done()
	if k.RoutingTable().Size() == 0 {
		return fmt.Errorf("announce %s: %w", c, ErrAlone)
	}
	if err := k.Provide(ctx, c, true); err != nil {
		return fmt.Errorf("announce %s: %w", c, err)
	}
	return nil
}

// Closest implements Router.
func (t *Table) Closest(ctx context.Context, key string) ([]peer.ID, error) {
	k, ctx, done, err := t.running(ctx)
	if err != nil {
		return nil, fmt.Errorf("query the DHT: %w", err)
	}
	defer done()
	ids, err := k.GetClosestPeers(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("query the DHT: %w", t.alone(k, err))
	}
	return ids, nil
}

// Size implements Router.
func (t *Table) Size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.kad == nil {
		return 0
	}
	return t.kad.RoutingTable().Size()
}
