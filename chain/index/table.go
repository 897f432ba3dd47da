package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/types"
)

func (x *Index) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("message index: %w", err)
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := do(tx); err != nil {
		return fmt.Errorf("message index: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("message index: %w", err)
	}
	return nil
}

// put adds tipsets with their messages on top of what is covered up to the height top.
func put(ctx context.Context, tx *sql.Tx, top abi.ChainEpoch, work []tipsetRows) error {
	var now int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(height), -1) FROM index_tipset`).Scan(&now); err != nil {
		return err
	}
	if abi.ChainEpoch(now) != top {
		return errDropped
	}
	for _, w := range work {
		if _, err := tx.ExecContext(ctx, `INSERT INTO index_tipset (height, key) VALUES (?, ?)`, w.ts.Height(), w.ts.Key().Bytes()); err != nil {
			return err
		}
		for _, r := range w.rows {
			if _, err := tx.ExecContext(ctx,
				`INSERT OR REPLACE INTO index_message (cid, height, position, sender, nonce) VALUES (?, ?, ?, ?, ?)`,
				r.cid.Bytes(), w.ts.Height(), r.position, r.msg.From.Bytes(), int64(r.msg.Nonce)); err != nil {
				return err
			}
		}
	}
	return nil
}

// errDropped: the table was emptied while more was being made for it.
var errDropped = errors.New("what the message index covers has changed")

// cut drops what is above a height.
func cut(ctx context.Context, tx *sql.Tx, h abi.ChainEpoch) error {
	for _, table := range []string{"index_message", "index_tipset"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE height > ?`, h); err != nil {
			return err
		}
	}
	return nil
}

// top is the highest tipset covered; sql.ErrNoRows when there is none.
func (x *Index) top(ctx context.Context) (abi.ChainEpoch, types.TipSetKey, error) {
	return x.scanTipSet(x.db.QueryRowContext(ctx, `SELECT height, key FROM index_tipset ORDER BY height DESC LIMIT 1`))
}

// covered tells whether the table covers a tipset, and with it the chain below.
func (x *Index) covered(ctx context.Context, ts *types.TipSet) (bool, error) {
	var n int
	err := x.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM index_tipset WHERE height = ? AND key = ?`, ts.Height(), ts.Key().Bytes()).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("message index: %w", err)
	}
	return n > 0, nil
}

func (x *Index) scanTipSet(r *sql.Row) (abi.ChainEpoch, types.TipSetKey, error) {
	var h int64
	var raw []byte
	if err := r.Scan(&h, &raw); err != nil {
		return 0, types.TipSetKey{}, fmt.Errorf("message index: %w", err)
	}
	key, err := types.TipSetKeyFromBytes(raw)
	if err != nil {
		return 0, types.TipSetKey{}, fmt.Errorf("message index at height %d: %w", h, err)
	}
	return abi.ChainEpoch(h), key, nil
}
