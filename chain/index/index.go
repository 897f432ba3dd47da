package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/types"
)

// Chain is what the index reads. Safe from many goroutines.
type Chain interface {
	types.Blocks
	Head() *types.TipSet
	// HeadChanged waits until the head is not the named tipset, and returns it.
	HeadChanged(ctx context.Context, than types.TipSetKey) (*types.TipSet, error)
	// TipSetAt is the tipset at or before a height on the chain of from.
	TipSetAt(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	// TipSetAfter is the first tipset at or after a height on the chain of from.
	TipSetAfter(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
	Receipts(ctx context.Context, root cid.Cid) ([]types.MessageReceipt, error)
	Message(ctx context.Context, c cid.Cid) (types.ChainMsg, error)
}

// Index finds messages. It has no state outside the database; safe from many goroutines.
type Index struct {
	db    *sql.DB
	chain Chain
	log   *slog.Logger
}

// New makes an index over a chain and a database that Migrate has seen. Run fills it.
func New(db *sql.DB, chain Chain, log *slog.Logger) *Index {
	return &Index{db: db, chain: chain, log: log}
}

// Migrate makes the tables.
func Migrate(ctx context.Context, db *sql.DB) error {
	for _, q := range []string{
		// The part of one chain that the index covers, without gaps.
		`CREATE TABLE IF NOT EXISTS index_tipset (
			height INTEGER PRIMARY KEY,
			key BLOB NOT NULL
		)`,
		`CREATE TABLE IF NOT EXISTS index_message (
			cid BLOB PRIMARY KEY,
			height INTEGER NOT NULL,
			position INTEGER NOT NULL, -- of the receipt
			sender BLOB NOT NULL,      -- as the message has it
			nonce INTEGER NOT NULL     -- the bits of a uint64
		) WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS index_message_sender ON index_message (sender, nonce)`,
		`CREATE INDEX IF NOT EXISTS index_message_height ON index_message (height)`,
	} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("message index: %w", err)
		}
	}
	return nil
}

// Drop empties the table; Run fills it again while it is used.
func (x *Index) Drop(ctx context.Context) error {
	return x.inTx(ctx, func(tx *sql.Tx) error { return cut(ctx, tx, -1) })
}

// Run follows the head until ctx ends.
func (x *Index) Run(ctx context.Context) error {
	var at types.TipSetKey
	for {
		head, err := x.chain.HeadChanged(ctx, at)
		if err == nil {
			err = x.sync(ctx, head)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		at = head.Key()
	}
}

// batch is how many tipsets are written in one transaction, and held in memory meanwhile.
const batch = 64

type row struct {
	cid      cid.Cid
	position int
	msg      *types.Message
}

type tipsetRows struct {
	ts   *types.TipSet
	rows []row
}

// sync makes the table cover the chain up to head. What it does in between is right at every
// moment, so it can stop anywhere.
func (x *Index) sync(ctx context.Context, head *types.TipSet) error {
	for {
		if err := x.extend(ctx, head); !errors.Is(err, errDropped) {
			return err
		}
	}
}

// extend covers what is not covered yet, on top of what is. It is errDropped when that went
// away meanwhile: what is covered has no gaps.
func (x *Index) extend(ctx context.Context, head *types.TipSet) error {
	next, err := x.rewind(ctx, head)
	if err != nil {
		return err
	}
	top := next - 1 // the highest tipset covered
	for next <= head.Height() {
		var work []tipsetRows
		for len(work) < batch && next <= head.Height() {
			ts, err := x.chain.TipSetAfter(ctx, next, head)
			if err != nil {
				return fmt.Errorf("message index: tipset after %d: %w", next, err)
			}
			rows, err := x.rowsOf(ctx, ts)
			if err != nil {
				return err
			}
			work = append(work, tipsetRows{ts, rows})
			next = ts.Height() + 1
		}
		if err := x.inTx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, top, work) }); err != nil {
			return err
		}
		top = next - 1
		if now := x.chain.Head(); !now.Equals(head) {
			return nil // it may have left this chain; Run comes again at once
		}
	}
	return nil
}

// rewind drops what is not on the chain of head, and tells the first height that is not
// covered.
func (x *Index) rewind(ctx context.Context, head *types.TipSet) (abi.ChainEpoch, error) {
	for {
		h, key, err := x.top(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if on, err := x.on(ctx, h, key, head); err != nil {
			return 0, err
		} else if on {
			return h + 1, nil
		}
		if err := x.inTx(ctx, func(tx *sql.Tx) error { return cut(ctx, tx, h-1) }); err != nil {
			return 0, err
		}
	}
}

// on tells whether the tipset of a key and height is on the chain of from.
func (x *Index) on(ctx context.Context, h abi.ChainEpoch, key types.TipSetKey, from *types.TipSet) (bool, error) {
	if h > from.Height() {
		return false, nil
	}
	ts, err := x.chain.TipSetAt(ctx, h, from)
	if err != nil {
		return false, fmt.Errorf("message index: tipset at %d: %w", h, err)
	}
	return ts.Key() == key, nil
}

func (x *Index) rowsOf(ctx context.Context, ts *types.TipSet) ([]row, error) {
	msgs, err := Executed(ctx, x.chain, ts)
	if ipld.IsNotFound(err) {
		// The chain came as a snapshot without its old messages: nobody can be told of them.
		x.log.Debug("messages of tipset are not here", "tipset", ts.Key(), "height", ts.Height())
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(msgs))
	for i, m := range msgs {
		rows[i] = row{m.Cid(), i, m.VMMessage()}
	}
	return rows, nil
}
