package mining

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

// ErrSlashable: publishing the block would be a consensus fault, for which the miner would
// be fined (spec chain.md d.11). The block must be dropped.
var ErrSlashable = errors.New("block would be a consensus fault")

// SlashFilter remembers in SQLite which blocks were signed here, so that no second one is
// that makes a fault. A row is written before the block leaves and holds the whole block: if
// we are killed in between, Last gives it back to be published. Without that, a network's
// only miner could never mine on that parent again.
type SlashFilter struct {
	db *sql.DB
}

// OpenSlashFilter makes the table.
func OpenSlashFilter(ctx context.Context, db *sql.DB) (*SlashFilter, error) {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS mining_block (
 miner TEXT NOT NULL, height INTEGER NOT NULL, parents BLOB NOT NULL, block TEXT NOT NULL, body BLOB NOT NULL,
 PRIMARY KEY (miner, height), UNIQUE (miner, parents))`)
	if err != nil {
		return nil, fmt.Errorf("slash filter: %w", err)
	}
	return &SlashFilter{db}, nil
}

// Claim records a block on its parent tipset, or refuses with ErrSlashable. The same block
// may be claimed again.
func (f *SlashFilter) Claim(ctx context.Context, b *types.FullBlock, parent *types.TipSet) error {
	h := b.Header
	miner, block := h.Miner.String(), h.Cid().String()
	if own, found, err := f.at(ctx, h.Miner, parent); err != nil {
		return err
	} else if found && own.parents == parent.Parents() && !slices.Contains(parent.Cids(), own.block) {
		return fmt.Errorf("%w: %s leaves out its own block %s of height %d", ErrSlashable, block, own.block, parent.Height())
	}
	body, err := encodeBody(b)
	if err != nil {
		return fmt.Errorf("slash filter: %w", err)
	}
	_, err = f.db.ExecContext(ctx, `INSERT INTO mining_block (miner, height, parents, block, body) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING`,
		miner, int64(h.Height), parent.Key().Bytes(), block, body)
	if err != nil {
		return fmt.Errorf("slash filter: %w", err)
	}
	var got string
	err = f.db.QueryRowContext(ctx, `SELECT block FROM mining_block WHERE miner=? AND height=?`, miner, int64(h.Height)).Scan(&got)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w: another block on the same parents was signed at another height", ErrSlashable)
	case err != nil:
		return fmt.Errorf("slash filter: %w", err)
	case got != block:
		return fmt.Errorf("%w: block %s was signed at height %d before", ErrSlashable, got, h.Height)
	}
	// A fault can be reported for one finality only; nothing older can become a parent again.
	if _, err := f.db.ExecContext(ctx, `DELETE FROM mining_block WHERE miner=? AND height<?`, miner, int64(h.Height-2*finality)); err != nil {
		return fmt.Errorf("slash filter: %w", err)
	}
	return nil
}

// finality is the number of epochs after which a fault can no longer be reported (spec
// chain.md d.11).
const finality = 900

// Last is the newest block that was claimed for a miner, or nil.
func (f *SlashFilter) Last(ctx context.Context, miner address.Address) (*types.FullBlock, error) {
	var body []byte
	err := f.db.QueryRowContext(ctx, `SELECT body FROM mining_block WHERE miner=? ORDER BY height DESC LIMIT 1`, miner.String()).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("slash filter: %w", err)
	}
	b, err := decodeBody(body)
	if err != nil {
		return nil, fmt.Errorf("slash filter: last block of %s: %w", miner, err)
	}
	return b, nil
}

// body is how a block is kept in its row.
type body struct {
	Header     []byte
	Bls, Secpk [][]byte
}

func encodeBody(b *types.FullBlock) ([]byte, error) {
	var out body
	var err error
	if out.Header, err = b.Header.Serialize(); err != nil {
		return nil, err
	}
	for _, m := range b.BlsMessages {
		raw, err := m.Serialize()
		if err != nil {
			return nil, err
		}
		out.Bls = append(out.Bls, raw)
	}
	for _, m := range b.SecpkMessages {
		raw, err := m.Serialize()
		if err != nil {
			return nil, err
		}
		out.Secpk = append(out.Secpk, raw)
	}
	return json.Marshal(out)
}

func decodeBody(raw []byte) (*types.FullBlock, error) {
	var in body
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	h, err := types.DecodeBlockHeader(in.Header)
	if err != nil {
		return nil, err
	}
	out := &types.FullBlock{Header: h}
	for _, b := range in.Bls {
		m, err := types.DecodeMessage(b)
		if err != nil {
			return nil, err
		}
		out.BlsMessages = append(out.BlsMessages, m)
	}
	for _, b := range in.Secpk {
		m, err := types.DecodeSignedMessage(b)
		if err != nil {
			return nil, err
		}
		out.SecpkMessages = append(out.SecpkMessages, m)
	}
	return out, nil
}

type signed struct {
	block   cid.Cid
	parents types.TipSetKey
}

// at is the block that a miner signed at the height of a tipset.
func (f *SlashFilter) at(ctx context.Context, miner address.Address, ts *types.TipSet) (signed, bool, error) {
	var block string
	var parents []byte
	err := f.db.QueryRowContext(ctx, `SELECT block, parents FROM mining_block WHERE miner=? AND height=?`, miner.String(), int64(ts.Height())).Scan(&block, &parents)
	if errors.Is(err, sql.ErrNoRows) {
		return signed{}, false, nil
	}
	var s signed
	if err == nil {
		s.block, err = cid.Decode(block)
	}
	if err == nil {
		s.parents, err = types.TipSetKeyFromBytes(parents)
	}
	if err != nil {
		return signed{}, false, fmt.Errorf("slash filter: %w", err)
	}
	return s, true, nil
}
