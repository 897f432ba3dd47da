package node

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/blockstore"
	pebbleds "github.com/ipfs/go-ds-pebble"

	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/retrieval"
)

const (
	// importsCache is the block cache of the imports' store, in bytes.
	importsCache = 8 << 20
	// importsBuffer is its write buffer.
	importsBuffer = 4 << 20
)

// imports is the store of the client's DAGs.
type imports struct {
	blockstore.Blockstore
	ds    *pebbleds.Datastore
	guard *store.Guard
}

func openImports(dir string, log *slog.Logger) (*imports, error) {
	guard := store.NewGuard(dir, "stop the node, move this folder away and import the files again; the deals that were made for them stand", log)
	cache := pebble.NewCache(importsCache)
	defer cache.Unref() // the database holds its own reference
	ds, err := pebbleds.NewDatastore(dir,
		pebbleds.WithPebbleOpts(&pebble.Options{
			FS: vfs.Default, Cache: cache, MemTableSize: importsBuffer, // this FS has no goroutine to be left behind
			Logger: store.NewPebbleLog(log, "imports"), EventListener: guard.Events(),
		}),
		// A file counts as imported once its rows are written, so its blocks must be on disk.
		pebbleds.WithPebbleWriteOptions(pebble.Sync))
	if err != nil {
		return nil, fmt.Errorf("store of imports: %w", guard.Explain(err))
	}
	return &imports{blockstore.NewBlockstore(ds, blockstore.NoPrefix()), ds, guard}, nil
}

// buildClient makes the client's side: imports, deals, retrieval.
func (n *Node) buildClient(ctx context.Context) (err error) {
	if n.imports, err = openImports(n.opt.Repo.BlocksDir(), n.log); err != nil {
		return err
	}
	n.group.Own("imports", closing(n.imports.ds.Close))
	if n.files, err = dag.Open(ctx, n.db, n.imports, n.clk); err != nil {
		return err
	}
	if n.pieces, err = pieces.Open(ctx, n.db); err != nil {
		return err
	}
	n.market = deal.NewState(n.chain)
	n.client, err = client.Open(ctx, client.Config{Confidence: n.confidence(), Poll: n.epoch(), MaxPoll: 2 * n.epoch(), Sweep: 10 * n.epoch()},
		client.Deps{DB: n.db, Host: n.host, Chain: n.market, Outbox: n.outbox, Keys: n.keys, Files: n.files, Clock: n.clk, Log: n.log})
	if err != nil {
		return err
	}
	n.fetcher = retrieval.NewFetcher(n.host, n.log, ownDeals{n.client}, retrieval.OnChain{Deals: n.market})
	return nil
}
