package deal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
)

// FeeReserve is what a wallet should keep for gas beside an amount it sends: 0.01 FIL.
var FeeReserve = big.Div(types.FilecoinPrecision, big.NewInt(100))

// Unfunded: a wallet has too little for what is to be locked in the market.
type Unfunded struct {
	Wallet     address.Address
	Need, Have abi.TokenAmount // attoFIL, gas reserve included
}

func (e Unfunded) Error() string {
	return fmt.Sprintf("wallet %s has %s, and %s are needed (gas included): send it at least %s, for example with: lode send %s %s",
		e.Wallet, FIL(e.Have), FIL(e.Need), FIL(big.Sub(e.Need, e.Have)), e.Wallet, amountOnly(big.Sub(e.Need, e.Have)))
}

func amountOnly(v abi.TokenAmount) string {
	s := FIL(v)
	if n := len(s) - len(" FIL"); n > 0 && s[n:] == " FIL" {
		return s[:n]
	}
	return s
}

// Funds moves money into the market's escrow, each amount once also over a kill. It owns the
// table deal_funds. Callers serialise the calls for one address.
type Funds struct {
	db         *sql.DB
	chain      Chain
	outbox     Outbox
	confidence abi.ChainEpoch
}

// OpenFunds makes the table.
func OpenFunds(ctx context.Context, db *sql.DB, chain Chain, out Outbox, confidence abi.ChainEpoch) (*Funds, error) {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS deal_funds (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, intent BLOB NOT NULL, done INTEGER NOT NULL DEFAULT 0)`)
	if err != nil {
		return nil, fmt.Errorf("escrow table: %w", err)
	}
	return &Funds{db, chain, out, confidence}, nil
}

// Ensure returns when owner has at least need available in the market, adding what is short
// from payer's wallet. An addition that an earlier run began is waited for first.
func (f *Funds) Ensure(ctx context.Context, owner, payer address.Address, need abi.TokenAmount) error {
	for {
		id, intent, err := f.pending(ctx, owner)
		if err != nil {
			return err
		}
		if intent == nil {
			if intent, err = f.plan(ctx, owner, payer, need); err != nil || intent == nil {
				return err
			}
			if id, err = f.record(ctx, owner, intent); err != nil {
				return err
			}
		}
		if err := f.send(ctx, id, intent); err != nil {
			return fmt.Errorf("add %s to the market balance of %s: %w", FIL(intent.Value), owner, err)
		}
	}
}

// plan is the addition that is needed now; nil when there is enough.
func (f *Funds) plan(ctx context.Context, owner, payer address.Address, need abi.TokenAmount) (*outbox.Intent, error) {
	short, err := f.Short(ctx, owner, need)
	if err != nil || short.Sign() <= 0 {
		return nil, err
	}
	have, err := f.chain.Balance(ctx, payer)
	if err != nil {
		return nil, fmt.Errorf("balance of %s: %w", payer, err)
	}
	if want := big.Add(short, FeeReserve); have.LessThan(want) {
		return nil, Unfunded{payer, want, have}
	}
	params, err := Encode(&owner)
	if err != nil {
		return nil, err
	}
	return &outbox.Intent{From: payer, To: builtin.StorageMarketActorAddr, Value: short, Method: builtin.MethodsMarket.AddBalance, Params: params}, nil
}

// Short is what owner lacks of an available amount; 0 or less when it has enough.
func (f *Funds) Short(ctx context.Context, owner address.Address, need abi.TokenAmount) (abi.TokenAmount, error) {
	escrow, locked, err := f.chain.MarketBalance(ctx, owner)
	if err != nil {
		return big.Zero(), fmt.Errorf("market balance of %s: %w", owner, err)
	}
	return big.Sub(need, big.Sub(escrow, locked)), nil
}

func (f *Funds) pending(ctx context.Context, owner address.Address) (int64, *outbox.Intent, error) {
	var id int64
	var b []byte
	err := f.db.QueryRowContext(ctx, `SELECT id, intent FROM deal_funds WHERE owner=? AND done=0 ORDER BY id LIMIT 1`, owner.String()).Scan(&id, &b)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("escrow of %s: %w", owner, err)
	}
	var in outbox.Intent
	if err := json.Unmarshal(b, &in); err != nil {
		return 0, nil, fmt.Errorf("escrow of %s: %w", owner, err)
	}
	return id, &in, nil
}

func (f *Funds) record(ctx context.Context, owner address.Address, in *outbox.Intent) (int64, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	res, err := f.db.ExecContext(ctx, `INSERT INTO deal_funds (owner, intent) VALUES (?,?)`, owner.String(), b)
	if err != nil {
		return 0, fmt.Errorf("escrow of %s: %w", owner, err)
	}
	return res.LastInsertId()
}

// send sends a recorded addition and waits for it. Whatever is final ends the record.
func (f *Funds) send(ctx context.Context, id int64, in *outbox.Intent) error {
	in.Key = fmt.Sprintf("market/escrow/%d", id)
	sent, err := f.outbox.Send(ctx, *in)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, outbox.ErrUncertain) {
			return err // it may have been sent
		}
		return errors.Join(err, f.end(ctx, id))
	}
	res, err := f.outbox.Wait(ctx, sent, f.confidence)
	switch {
	case errors.Is(err, outbox.ErrReplaced):
		return errors.Join(err, f.end(ctx, id))
	case err != nil:
		return err
	}
	if err := f.end(ctx, id); err != nil {
		return err
	}
	if code := res.Receipt.ExitCode; code != 0 {
		return fmt.Errorf("message %s failed with %s", res.Message, exitcode.ExitCode(code))
	}
	return nil
}

func (f *Funds) end(ctx context.Context, id int64) error {
	_, err := f.db.ExecContext(ctx, `UPDATE deal_funds SET done=1 WHERE id=?`, id)
	return err
}
