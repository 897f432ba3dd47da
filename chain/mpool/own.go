package mpool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/types"
)

// finality is how many epochs a message is kept after it was on chain: no reorg is deeper
// (spec chain.md e.11).
const finality abi.ChainEpoch = 900

// Migrate makes the table of our own messages.
func Migrate(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS mpool_own (
		sender BLOB NOT NULL,    -- key address
		nonce INTEGER NOT NULL,  -- the bits of a uint64
		cid BLOB NOT NULL,
		message BLOB NOT NULL,   -- signed, CBOR
		mined INTEGER,           -- height at which the nonce was seen on chain
		PRIMARY KEY (sender, nonce)
	)`)
	if err != nil {
		return fmt.Errorf("message pool: %w", err)
	}
	return nil
}

// load brings our own messages back from before a restart: once, when the pool is first
// used. Which of them are on chain is found out anew, since a head change may have been
// missed.
func (p *Pool) load(ctx context.Context) error {
	p.mu.Lock()
	loaded := p.loaded
	p.mu.Unlock()
	if loaded {
		return nil
	}
	select {
	case <-p.loading:
		defer func() { p.loading <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	loaded = p.loaded
	p.mu.Unlock()
	if loaded {
		return nil
	}
	own, err := p.rows(ctx, `SELECT message FROM mpool_own ORDER BY sender, nonce`)
	if err != nil {
		return err
	}
	if _, err := p.db.ExecContext(ctx, `UPDATE mpool_own SET mined = NULL`); err != nil {
		return fmt.Errorf("own messages: %w", err)
	}
	head := p.head()
	for _, m := range own {
		acc, err := p.account(ctx, head, m.Message.From)
		if err != nil {
			return err
		}
		if m.Message.Nonce < acc.nonce {
			if err := p.markMined(ctx, m.Message.From, acc.nonce, head.Height()); err != nil {
				return err
			}
			continue
		}
		p.mu.Lock()
		p.local[m.Message.From] = struct{}{}
		p.keep(m)
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loaded = true
	return nil
}

// rows reads messages; one that does not decode any more is left out.
func (p *Pool) rows(ctx context.Context, query string, args ...any) (out []*types.SignedMessage, err error) {
	rows, err := p.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("own messages: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("own messages: %w", err)
		}
		m, err := types.DecodeSignedMessage(raw)
		if err != nil {
			p.log.Error("own message in the database is broken", "err", err)
			continue
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// remember stores a message of our own, in place of one with its nonce.
func (p *Pool) remember(ctx context.Context, m *types.SignedMessage) error {
	raw, err := m.Serialize()
	if err != nil {
		return err
	}
	_, err = p.db.ExecContext(ctx, `INSERT OR REPLACE INTO mpool_own (sender, nonce, cid, message) VALUES (?, ?, ?, ?)`,
		m.Message.From.Bytes(), int64(m.Message.Nonce), m.Cid().Bytes(), raw)
	if err != nil {
		return fmt.Errorf("keep message %s: %w", m.Cid(), err)
	}
	return nil
}

func (p *Pool) forget(ctx context.Context, m *types.SignedMessage) error {
	if _, err := p.db.ExecContext(ctx, `DELETE FROM mpool_own WHERE cid = ?`, m.Cid().Bytes()); err != nil {
		return fmt.Errorf("drop message %s: %w", m.Cid(), err)
	}
	return nil
}

// markMined notes that all nonces of a sender below next are on chain.
func (p *Pool) markMined(ctx context.Context, from address.Address, next uint64, h abi.ChainEpoch) error {
	_, err := p.db.ExecContext(ctx, `UPDATE mpool_own SET mined = ? WHERE mined IS NULL AND sender = ? AND nonce < ?`, int64(h), from.Bytes(), int64(next))
	if err != nil {
		return fmt.Errorf("own messages: %w", err)
	}
	return nil
}

// unmark notes that what was mined at a height and above was reverted, and returns it.
func (p *Pool) unmark(ctx context.Context, h abi.ChainEpoch) ([]*types.SignedMessage, error) {
	back, err := p.rows(ctx, `SELECT message FROM mpool_own WHERE mined >= ?`, int64(h))
	if err != nil || len(back) == 0 {
		return nil, err
	}
	if _, err := p.db.ExecContext(ctx, `UPDATE mpool_own SET mined = NULL WHERE mined >= ?`, int64(h)); err != nil {
		return nil, fmt.Errorf("own messages: %w", err)
	}
	return back, nil
}

// forgetFinal drops what is final.
func (p *Pool) forgetFinal(ctx context.Context, head abi.ChainEpoch) error {
	if _, err := p.db.ExecContext(ctx, `DELETE FROM mpool_own WHERE mined < ?`, int64(head-finality)); err != nil {
		return fmt.Errorf("own messages: %w", err)
	}
	return nil
}

// signed finds the signature of a BLS message that a block holds without it.
func (p *Pool) signed(m *types.Message) (*types.SignedMessage, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sig, ok := p.signatures.Get(m.Cid())
	if !ok {
		return nil, false
	}
	return &types.SignedMessage{Message: *m, Signature: sig}, true
}
