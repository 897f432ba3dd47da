package node

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/libp2p/go-libp2p"

	"github.com/lodenet/lode/api/auth"
	"github.com/lodenet/lode/chain/beacon"
	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/hello"
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/network/bitswap"
	"github.com/lodenet/lode/network/dht"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/heartbeat"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/peers"
	"github.com/lodenet/lode/network/tunnel"
	"github.com/lodenet/lode/node/lifecycle"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/wallet"
)

// Options say what to build a node from. Repo and Log are needed.
type Options struct {
	// Repo is open; the node closes it, also when New fails.
	Repo *repo.Repo
	Log  *slog.Logger
	// Clock is the network's; the zero value is the machine's clock.
	Clock clock.Clock
	// Host replaces the libp2p host that the settings describe, for simulations. The node
	// closes it.
	Host *host.Host
	// Libp2p are further options of the host that the settings describe, applied last.
	Libp2p []libp2p.Option
	// Proving is needed by a provider on a network of succinct proofs.
	Proving Proving
	// Passphrase unlocks the wallet at once.
	Passphrase []byte
	// Version is the program's, for peers and users to see.
	Version string
	// Name tells nodes of one process apart in errors and logs.
	Name string
}

// Node is a whole node. Its fields are set by New and never change.
type Node struct {
	opt     Options
	network types.Network
	config  repo.Config
	log     *slog.Logger
	clk     clock.Clock
	epochs  clock.Epochs
	group   *lifecycle.Group
	// restarts runs again what may fail without taking the node down.
	restarts *lifecycle.Restarter

	beacon    beacon.Local // the only one that there is
	verifier  proofs.Verifier
	prover    proofs.Prover                   // nil where there is no miner to prove for
	runProver func(ctx context.Context) error // nil where the prover needs none
	foresight mining.Foresight                // nil where winning PoSts are made in their rounds

	db     *sql.DB
	store  *store.Store
	engine *consensus.Engine
	chain  chainReader
	keys   *wallet.Wallet

	host       *host.Host
	dispatcher *dispatch.Dispatcher
	gate       *inbound.Gate
	heads      *dispatch.Topic[hello.Head]        // that peers announce
	headsIn    *dispatch.Subscription[hello.Head] // made by the start of the dispatcher
	gossip     *gossip.Gossip
	hello      *hello.Service
	peers      *peers.Manager
	rightClock *rightClock
	exchange   *exchange.Client
	router     dht.Router
	table      *dht.Table          // nil without a DHT
	announcer  *dht.Announcer      // nil without a DHT
	heartbeat  *heartbeat.Reporter // nil unless a collector is named

	exchangeServer *exchange.Server

	chainSwap *bitswap.Exchange
	dataSwap  *bitswap.Exchange
	tunnels   *tunnel.Tunnels
	syncer    *syncer.Syncer

	pool   *mpool.Pool
	outbox *outbox.Outbox
	index  *index.Index

	imports *imports
	files   *dag.Store
	pieces  *pieces.Index
	market  *deal.State
	client  *client.Client
	fetcher *retrieval.Fetcher

	provider *provider // nil on a node without a miner
	gateway  *gateway

	tokens   *auth.Tokens
	rpc      *rpcServer
	shutdown *asked

	session   uuid.UUID     // made anew at each start
	born      time.Time     // of session
	bootstrap int           // how many peers the settings name to start from
	subs      subscriptions // of the api
}

// New builds every part of a node. Nothing runs and nothing listens until Start. When it
// fails, all that was taken is released.
func New(ctx context.Context, opt Options) (_ *Node, err error) {
	n := &Node{
		opt: opt, log: opt.Log, clk: opt.Clock,
		network: opt.Repo.Network(), config: opt.Repo.Config(),
		shutdown: newAsked(),
	}
	if n.clk == nil {
		n.clk = clock.System{}
	}
	if n.opt.Name == "" {
		n.opt.Name = "node"
	}
	n.epochs = clock.Epochs{Genesis: n.network.GenesisTime, Seconds: n.network.EpochSeconds}
	if n.session, err = uuid.NewRandom(); err != nil {
		return nil, errors.Join(err, opt.Repo.Close())
	}
	n.born = n.clk.Now()
	n.group = lifecycle.NewGroup(n.opt.Name, n.log)
	n.restarts = lifecycle.NewRestarter(n.clk, n.log)
	n.group.Own("repo", closing(opt.Repo.Close))
	defer func() {
		if err != nil {
			err = errors.Join(err, n.group.Stop(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []struct {
		name  string
		build func(context.Context) error
	}{
		{"chain", n.buildChain},
		{"network", n.buildNetwork},
		{"tunnels", n.buildTunnels},
		{"messages", n.buildMessages},
		{"sync", n.buildSync},
		{"client", n.buildClient},
		{"provider", n.buildProvider},
		{"gateway", n.buildGateway},
		{"rpc", n.buildRPC},
	} {
		if err := step.build(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	n.addParts()
	return n, nil
}

// buildChain opens what is on disk and checks that it belongs to the network.
func (n *Node) buildChain(ctx context.Context) (err error) {
	if err := vm.SetNetwork(n.network); err != nil {
		return err
	}
	if err := n.buildProofs(); err != nil {
		return err
	}
	if n.db, err = n.opt.Repo.DB(ctx); err != nil {
		return err
	}
	n.group.Own("database", func(ctx context.Context) error { return repo.CloseDB(ctx, n.db) })
	if n.store, err = store.Open(n.opt.Repo.ChainDir(), store.Options{Log: n.log}); err != nil {
		return err
	}
	n.group.Own("chain store", closing(n.store.Close))
	if err := n.loadGenesis(ctx); err != nil {
		return err
	}
	if n.keys, err = wallet.Open(n.opt.Repo.KeystoreDir(), wallet.Options{Passphrase: n.opt.Passphrase}); err != nil {
		return err
	}
	n.engine = consensus.New(n.store, n.beacon, n.verifier, n.network, n.clk, n.log)
	atGenesis, err := n.network.Circulating()
	n.chain = chainReader{n.store, n.engine, atGenesis}
	return err
}

// loadGenesis imports the genesis into a new store, and checks an old one.
func (n *Node) loadGenesis(ctx context.Context) error {
	if n.store.Genesis() == nil {
		car, err := n.opt.Repo.GenesisCAR()
		if err != nil {
			return err
		}
		defer car.Close()
		roots, err := n.store.ImportCAR(ctx, car)
		if err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
		if len(roots) != 1 {
			return fmt.Errorf("genesis: the CAR has %d roots, want 1", len(roots))
		}
		header, err := n.store.Header(ctx, roots[0])
		if err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
		if err := n.store.SetGenesis(ctx, header); err != nil {
			return err
		}
	}
	if got := n.store.Genesis().Cids()[0].String(); got != n.network.Genesis {
		return fmt.Errorf("%w: the chain store has %s, network.toml names %s; was the repo of another network copied here?", store.ErrGenesisMismatch, got, n.network.Genesis)
	}
	return nil
}

// Start starts all parts in order; see lifecycle.Group.Start.
func (n *Node) Start(ctx context.Context) error {
	n.warnProofs()
	return n.group.Start(ctx)
}

// Stop stops all parts in reverse and waits for every goroutine; see lifecycle.Group.Stop.
func (n *Node) Stop(ctx context.Context) error { return n.group.Stop(ctx) }

// Parts are the names of the node's parts, in the order in which they start.
func (n *Node) Parts() []string { return n.group.Parts() }

// Done is closed when the node is down; Err then says why.
func (n *Node) Done() <-chan struct{} { return n.group.Done() }

// Err is why the node is down: nil while it is up and after a clean Stop.
func (n *Node) Err() error { return n.group.Err() }

func closing(f func() error) func(context.Context) error {
	return func(context.Context) error { return f() }
}
