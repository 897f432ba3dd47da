package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/types"
)

// includedAt is the height of the tipset that holds the nonce of a row.
const includedAt = `json_extract(result, '$.IncludedHeight')`

// Migrate makes the tables.
func Migrate(ctx context.Context, db *sql.DB) error {
	for _, q := range []string{
		`CREATE TABLE IF NOT EXISTS outbox_intent (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			key TEXT UNIQUE,            -- null: none
			intent TEXT NOT NULL,       -- JSON
			stage TEXT NOT NULL,
			born INTEGER NOT NULL,      -- height of the head when it was recorded
			sender BLOB,                -- key address, from stage signed on
			nonce INTEGER,              -- the bits of a uint64
			pushed INTEGER,             -- height of the head at the last push of a new form
			result TEXT,                -- JSON: where the nonce is on chain
			problem TEXT NOT NULL DEFAULT ''
		)`,
		`CREATE INDEX IF NOT EXISTS outbox_intent_stage ON outbox_intent (stage)`,
		`CREATE INDEX IF NOT EXISTS outbox_intent_included ON outbox_intent (stage, ` + includedAt + `)`,
		`CREATE INDEX IF NOT EXISTS outbox_intent_nonce ON outbox_intent (sender, nonce)`,
		// The signed forms of an intent: the first one, and those with raised fees.
		`CREATE TABLE IF NOT EXISTS outbox_message (
			intent INTEGER NOT NULL,
			form INTEGER NOT NULL,
			message BLOB NOT NULL,      -- signed, CBOR
			PRIMARY KEY (intent, form)
		) WITHOUT ROWID`,
	} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
	}
	return nil
}

// row is an intent as it is stored.
type row struct {
	id      ID
	intent  Intent
	stage   Stage
	born    abi.ChainEpoch
	sender  address.Address
	nonce   uint64
	pushed  abi.ChainEpoch
	result  *Result
	problem string
	forms   []*types.SignedMessage
}

func (r *row) last() *types.SignedMessage { return r.forms[len(r.forms)-1] }

// onChain tells whether a message with the nonce is on chain and may still be reverted.
func (r *row) onChain() bool { return r.stage == StageIncluded || r.stage == StageReplaced }

// givenUp tells whether nothing was signed and nothing will be: the key is free.
func (r *row) givenUp() bool { return r.stage == StageFailed && len(r.forms) == 0 }

const columns = `id, intent, stage, born, sender, nonce, pushed, result, problem`

func scan(s interface{ Scan(...any) error }) (*row, error) {
	var r row
	var intent string
	var sender []byte
	var nonce, pushed sql.NullInt64
	var result sql.NullString
	if err := s.Scan(&r.id, &intent, &r.stage, &r.born, &sender, &nonce, &pushed, &result, &r.problem); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(intent), &r.intent); err != nil {
		return nil, fmt.Errorf("outbox intent %d: %w", r.id, err)
	}
	if result.Valid {
		r.result = new(Result)
		if err := json.Unmarshal([]byte(result.String), r.result); err != nil {
			return nil, fmt.Errorf("result of outbox intent %d: %w", r.id, err)
		}
	}
	r.nonce, r.pushed = uint64(nonce.Int64), abi.ChainEpoch(pushed.Int64)
	var err error
	if r.sender, err = address.NewFromBytes(sender); err != nil {
		return nil, fmt.Errorf("sender of outbox intent %d: %w", r.id, err)
	}
	return &r, nil
}

// one reads the row that fits a condition; ErrUnknown.
func (o *Outbox) one(ctx context.Context, where string, args ...any) (*row, error) {
	r, err := scan(o.db.QueryRowContext(ctx, `SELECT `+columns+` FROM outbox_intent WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return r, o.loadForms(ctx, r)
}

// open are the rows of which nothing is on chain.
const open = `stage IN ('new', 'signed', 'sent')`

// many reads rows. Those that are on chain, most of them, come without their forms, which are
// not needed unless they are reverted.
func (o *Outbox) many(ctx context.Context, where string, args ...any) ([]*row, error) {
	out, err := o.scanAll(ctx, `SELECT `+columns+` FROM outbox_intent WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	byID := make(map[ID]*row)
	for _, r := range out {
		if !r.onChain() {
			byID[r.id] = r
		}
	}
	if len(byID) == 0 {
		return out, nil
	}
	return out, o.loadAllForms(ctx, byID)
}

func (o *Outbox) scanAll(ctx context.Context, query string, args ...any) (out []*row, err error) {
	rows, err := o.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func (o *Outbox) loadForms(ctx context.Context, r *row) error {
	return o.readForms(ctx, map[ID]*row{r.id: r}, `intent = ?`, r.id)
}

// loadAllForms reads those of all open rows at once.
func (o *Outbox) loadAllForms(ctx context.Context, byID map[ID]*row) error {
	return o.readForms(ctx, byID, `intent IN (SELECT id FROM outbox_intent WHERE `+open+`)`)
}

func (o *Outbox) readForms(ctx context.Context, byID map[ID]*row, where string, args ...any) (err error) {
	rows, err := o.db.QueryContext(ctx, `SELECT intent, message FROM outbox_message WHERE `+where+` ORDER BY intent, form`, args...)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for _, r := range byID {
		r.forms = nil
	}
	for rows.Next() {
		var id ID
		var raw []byte
		if err := rows.Scan(&id, &raw); err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		r := byID[id]
		if r == nil {
			continue // opened meanwhile
		}
		m, err := types.DecodeSignedMessage(raw)
		if err != nil {
			return fmt.Errorf("message of outbox intent %d: %w", id, err)
		}
		r.forms = append(r.forms, m)
	}
	return rows.Err()
}

// insert records an intent.
func (o *Outbox) insert(ctx context.Context, in Intent, born abi.ChainEpoch) (*row, error) {
	doc, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("outbox intent: %w", err)
	}
	var key any
	if in.Key != "" {
		key = in.Key
	}
	res, err := o.db.ExecContext(ctx, `INSERT INTO outbox_intent (key, intent, stage, born) VALUES (?, ?, ?, ?)`, key, string(doc), StageNew, int64(born))
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return &row{id: ID(id), intent: in, stage: StageNew, born: born}, nil
}

// renew records an intent in the row of one that was given up.
func (o *Outbox) renew(ctx context.Context, r *row, in Intent, born abi.ChainEpoch) (*row, error) {
	doc, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("outbox intent: %w", err)
	}
	if _, err := o.db.ExecContext(ctx, `UPDATE outbox_intent SET intent = ?, stage = ?, born = ?, problem = '' WHERE id = ?`, string(doc), StageNew, int64(born), r.id); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return &row{id: r.id, intent: in, stage: StageNew, born: born}, nil
}

// remove takes an intent back of which nothing has left this node.
func (o *Outbox) remove(ctx context.Context, id ID) error {
	return o.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM outbox_message WHERE intent = ?`, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM outbox_intent WHERE id = ?`, id)
		return err
	})
}

// addForm stores a signed message of an intent, before anyone else sees it. Nonce and bytes
// get there together or not at all.
func (o *Outbox) addForm(ctx context.Context, r *row, m *types.SignedMessage, height abi.ChainEpoch) error {
	raw, err := m.Serialize()
	if err != nil {
		return err
	}
	err = o.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO outbox_message (intent, form, message) VALUES (?, ?, ?)`, r.id, len(r.forms), raw); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE outbox_intent SET stage = ?, sender = ?, nonce = ?, pushed = ?, problem = '' WHERE id = ?`,
			StageSigned, m.Message.From.Bytes(), int64(m.Message.Nonce), int64(height), r.id)
		return err
	})
	if err != nil {
		return err
	}
	r.forms = append(r.forms, m)
	r.stage, r.sender, r.nonce, r.pushed, r.problem = StageSigned, m.Message.From, m.Message.Nonce, height, ""
	return nil
}

// set stores stage, result and problem, if they differ from what is stored.
func (o *Outbox) set(ctx context.Context, r *row, stage Stage, result *Result, problem string) error {
	if r.stage == stage && r.problem == problem && r.result == result {
		return nil
	}
	var doc any
	if result != nil {
		b, err := json.Marshal(result)
		if err != nil {
			return fmt.Errorf("result of outbox intent %d: %w", r.id, err)
		}
		doc = string(b)
	}
	if _, err := o.db.ExecContext(ctx, `UPDATE outbox_intent SET stage = ?, result = ?, problem = ? WHERE id = ?`, stage, doc, problem, r.id); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	r.stage, r.result, r.problem = stage, result, problem
	return nil
}

// NextNonce is the nonce after the last one that was given to an intent of a sender, by key
// address; 0 when none was.
func (o *Outbox) NextNonce(ctx context.Context, a address.Address) (uint64, error) {
	var last sql.NullInt64
	err := o.db.QueryRowContext(ctx, `SELECT MAX(nonce) FROM outbox_intent WHERE sender = ?`, a.Bytes()).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("outbox: %w", err)
	}
	if !last.Valid {
		return 0, nil
	}
	return uint64(last.Int64) + 1, nil
}

func (o *Outbox) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := do(tx); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}
