package bitswap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"
)

// ChainPrefix is the protocol prefix for blocks of the chain.
const ChainPrefix protocol.ID = "/chain"

// Protocol is the newest version that is spoken, without a prefix.
const Protocol protocol.ID = "/ipfs/bitswap/1.2.0"

// Limits of the serving side: memory and work that all peers, or one peer, may cause.
const (
	storeWorkers    = 8       // reading from the block store
	taskWorkers     = 4       // building answers
	bytesPerPeer    = 1 << 20 // answers under way to one peer
	wantsPerPeer    = 1024    // remembered of one peer
	maxCIDSize      = 128
	defaultProtocol = protocol.ID("")
)

// Options vary an Exchange.
type Options struct {
	Prefix protocol.ID // ChainPrefix, or empty for content
	// Serve says whether a peer may have a block; nil serves everything in the store.
	Serve func(p peer.ID, c cid.Cid) bool
	// Finder looks for peers that announced a block when no connected peer has it; nil asks
	// the connected ones alone.
	Finder routing.ContentDiscovery
}

// ErrClosed: the exchange has ended and fetches nothing more.
var ErrClosed = errors.New("bitswap is not running")

// Exchange is one bitswap. Safe from many goroutines. It can be handed to boxo's block
// service; calls before Run is ready wait for it.
type Exchange struct {
	host  host.Host
	store blockstore.Blockstore
	opt   Options
	log   *slog.Logger
	ready chan struct{}
	done  chan struct{}

	mu sync.RWMutex
	bs *bitswap.Bitswap // guarded by mu; set once before ready is closed
}

var _ exchange.SessionExchange = (*Exchange)(nil)

// New prepares an exchange over a block store; Run starts it.
func New(h host.Host, store blockstore.Blockstore, opt Options, log *slog.Logger) *Exchange {
	return &Exchange{
		host: h, store: store, opt: opt, log: log,
		ready: make(chan struct{}), done: make(chan struct{}),
	}
}

// Ready is closed when Run has attached the stream handlers.
func (e *Exchange) Ready() <-chan struct{} { return e.ready }

// Run serves and fetches until the context ends. It can be called once.
func (e *Exchange) Run(ctx context.Context) error {
	events := network.NewConnectEventManager()
	netOpts := []bsnet.NetOpt{bsnet.WithConnectEventManager(events)}
	if e.opt.Prefix != defaultProtocol {
		netOpts = append(netOpts, bsnet.Prefix(e.opt.Prefix))
	}
	opts := []bitswap.Option{
		bitswap.EngineBlockstoreWorkerCount(storeWorkers),
		bitswap.EngineTaskWorkerCount(taskWorkers),
		bitswap.TaskWorkerCount(taskWorkers),
		bitswap.MaxOutstandingBytesPerPeer(bytesPerPeer),
		bitswap.MaxQueuedWantlistEntriesPerPeer(wantsPerPeer),
		bitswap.MaxCidSize(maxCIDSize),
		bitswap.WithoutDuplicatedBlockStats(),
	}
	if e.opt.Serve != nil {
		opts = append(opts, bitswap.WithPeerBlockRequestFilter(e.opt.Serve))
	}
	net := bsnet.NewFromIpfsHost(e.host, netOpts...)
	bs := bitswap.New(ctx, net, e.opt.Finder, e.store, opts...)
	for _, p := range e.host.Network().Peers() {
		events.Connected(p) // those who came before the notifications were on
	}
	e.mu.Lock()
	e.bs = bs
	e.mu.Unlock()
	close(e.ready)
	<-ctx.Done()
	close(e.done)
	if err := bs.Close(); err != nil {
		return fmt.Errorf("close bitswap %s: %w", e.opt.Prefix, err)
	}
	return nil
}

// running waits for Run.
func (e *Exchange) running(ctx context.Context) (*bitswap.Bitswap, error) {
	select {
	case <-e.done:
		return nil, ErrClosed
	default:
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.bs, nil
}

// GetBlock fetches a block from any peer that has it. It waits until the context ends, so
// give it a deadline. The block is not stored.
func (e *Exchange) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	bs, err := e.running(ctx)
	if err != nil {
		return nil, err
	}
	b, err := bs.GetBlock(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("fetch block %s: %w", c, err)
	}
	return b, nil
}

// GetBlocks fetches several blocks; the channel closes when all came or the context ended.
func (e *Exchange) GetBlocks(ctx context.Context, cids []cid.Cid) (<-chan blocks.Block, error) {
	bs, err := e.running(ctx)
	if err != nil {
		return nil, err
	}
	return bs.GetBlocks(ctx, cids)
}

// NewSession makes a fetcher for related blocks, which remembers who had the earlier ones.
// It lives as long as the context.
func (e *Exchange) NewSession(ctx context.Context) exchange.Fetcher {
	bs, err := e.running(ctx)
	if err != nil {
		return failed{err}
	}
	return bs.NewSession(ctx)
}

// NotifyNewBlocks tells peers that wait for these blocks that the store has them now.
func (e *Exchange) NotifyNewBlocks(ctx context.Context, blks ...blocks.Block) error {
	bs, err := e.running(ctx)
	if err != nil {
		return err
	}
	return bs.NotifyNewBlocks(ctx, blks...)
}

// Close does nothing: Run's owner ends the exchange. It is there for boxo's block service.
func (e *Exchange) Close() error { return nil }

// Stats are boxo's counters; zero before Run.
func (e *Exchange) Stats() (bitswap.Stat, error) {
	e.mu.RLock()
	bs := e.bs
	e.mu.RUnlock()
	if bs == nil {
		return bitswap.Stat{}, nil
	}
	st, err := bs.Stat()
	if err != nil {
		return bitswap.Stat{}, err
	}
	return *st, nil
}

// failed is the session of an exchange that does not run.
type failed struct{ err error }

func (f failed) GetBlock(context.Context, cid.Cid) (blocks.Block, error) { return nil, f.err }
func (f failed) GetBlocks(context.Context, []cid.Cid) (<-chan blocks.Block, error) {
	return nil, f.err
}
