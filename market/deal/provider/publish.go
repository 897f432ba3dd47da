package provider

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/deal"
)

// batchDoc is a publish message before it is sent: once it is recorded, it and no other is
// sent for these deals until it has ended.
type batchDoc struct {
	From   address.Address
	Params []byte
	Deals  []uuid.UUID // in the order of the message
}

// runPublisher gathers transferred deals into publish messages (spec markets.md A.7). The
// queue is the rows in state Transferred, so it survives everything.
func (p *Provider) runPublisher(ctx context.Context) {
	tries := 0
	for {
		select {
		case <-p.publish:
		case <-ctx.Done():
			return
		}
		for {
			again, err := p.publishOnce(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				tries++
				p.Log.Warn("publish", "error", err)
				_ = clock.Sleep(ctx, p.Clock, p.backoff(tries))
				continue
			}
			tries = 0
			if !again {
				break
			}
		}
	}
}

// publishOnce records one message, after the wait for more deals; again says that the queue
// may have more.
func (p *Provider) publishOnce(ctx context.Context) (again bool, err error) {
	queue, err := p.queue(ctx)
	if err != nil || len(queue) == 0 {
		return false, err
	}
	if wait := p.untilDue(queue); wait > 0 {
		due, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		select {
		case <-p.publish: // one more deal
		case <-due.Done():
		}
		return true, ctx.Err()
	}
	queue = queue[:min(len(queue), p.cfg.PublishMax)]
	from, err := p.sender(ctx)
	if err != nil {
		return false, err
	}
	// Collateral first: without it each deal would fail its simulation.
	inFlight, err := p.rows.list(ctx, `state=?`, string(deal.Published))
	if err != nil {
		return false, err
	}
	need := collateral(append(inFlight, queue...))
	if err := p.funds.Ensure(ctx, p.cfg.Miner, from, need); err != nil {
		if ctx.Err() == nil {
			p.hinderAll(ctx, queue, err)
		}
		return false, err
	}
	if queue, err = p.simulate(ctx, from, queue, need); err != nil || len(queue) == 0 {
		return len(queue) == 0, err
	}
	return true, p.record(ctx, from, queue)
}

// queue is the deals that wait to be published, oldest first.
func (p *Provider) queue(ctx context.Context) ([]*Deal, error) {
	all, err := p.rows.list(ctx, `state=?`, string(deal.Transferred))
	out := all[:0]
	for _, d := range all {
		if d.Next() == Publish {
			out = append(out, d)
		}
	}
	return out, err
}

// untilDue is how long the queue may still wait for company.
func (p *Provider) untilDue(queue []*Deal) time.Duration {
	if len(queue) >= p.cfg.PublishMax {
		return 0
	}
	first := queue[0].Queued
	for _, d := range queue {
		if d.Queued.Before(first) {
			first = d.Queued
		}
	}
	return first.Add(p.cfg.PublishWait).Sub(p.Clock.Now())
}

func (p *Provider) sender(ctx context.Context) (address.Address, error) {
	if p.cfg.Sender != address.Undef {
		return p.Chain.KeyAddress(ctx, p.cfg.Sender)
	}
	info, err := p.Chain.MinerInfo(ctx, p.cfg.Miner)
	if err != nil {
		return address.Undef, fmt.Errorf("miner %s: %w", p.cfg.Miner, err)
	}
	return p.Chain.KeyAddress(ctx, info.Worker)
}

// simulate tries each deal alone on the head's state, so that one bad deal does not spoil a
// message. Those that would not pass end with the chain's reason, unless a reorg has taken the
// collateral away since it was there: the publisher comes again.
func (p *Provider) simulate(ctx context.Context, from address.Address, ds []*Deal, need abi.TokenAmount) ([]*Deal, error) {
	var good []*Deal
	for _, d := range ds {
		why, err := p.wouldFail(ctx, from, d)
		if err != nil {
			return nil, fmt.Errorf("simulate publishing deal %s: %w", d.UUID, err)
		}
		if why == "" {
			good = append(good, d)
			continue
		}
		short, err := p.funds.Short(ctx, p.cfg.Miner, need)
		if err != nil {
			return nil, err
		}
		if short.Sign() > 0 {
			return nil, fmt.Errorf("simulate publishing deal %s: the collateral is gone from the chain again, %s are missing: %s", d.UUID, deal.FIL(short), why)
		}
		if _, err := p.step(ctx, d.UUID, Failed{"the chain would not take it: " + why}); err != nil {
			return nil, err
		}
		p.wake(d.UUID)
	}
	return good, nil
}

// wouldFail tells why the chain would refuse a deal; empty when it would take it.
func (p *Provider) wouldFail(ctx context.Context, from address.Address, d *Deal) (string, error) {
	params, err := deal.Encode(&market.PublishStorageDealsParams{Deals: []market.ClientDealProposal{d.Signed}})
	if err != nil {
		return "", err
	}
	code, why, err := p.Chain.Call(ctx, publishMessage(from, params))
	if err != nil || code == 0 {
		return "", err
	}
	if why == "" {
		why = "exit code " + code.String()
	}
	return why, nil
}

func publishMessage(from address.Address, params []byte) *types.Message {
	return &types.Message{
		To: builtin.StorageMarketActorAddr, From: from, Value: big.Zero(),
		GasLimit: types.BlockGasLimit, GasFeeCap: big.Zero(), GasPremium: big.Zero(),
		Method: builtin.MethodsMarket.PublishStorageDeals, Params: params,
	}
}

// record writes the message and its deals' new state in one transaction. Sending is the
// workers' part, and can be repeated.
func (p *Provider) record(ctx context.Context, from address.Address, ds []*Deal) error {
	b := batchDoc{From: from}
	var params market.PublishStorageDealsParams
	for _, d := range ds {
		params.Deals = append(params.Deals, d.Signed)
		b.Deals = append(b.Deals, d.UUID)
	}
	var err error
	if b.Params, err = deal.Encode(&params); err != nil {
		return err
	}
	enc, err := json.Marshal(b)
	if err != nil {
		return err
	}
	key := "market/publish/" + uuid.NewString()
	if err := p.recordRows(ctx, key, enc, b.Deals); err != nil {
		return fmt.Errorf("record publish message: %w", err)
	}
	for _, id := range b.Deals {
		p.wake(id)
	}
	return nil
}

func (p *Provider) recordRows(ctx context.Context, key string, enc []byte, ids []uuid.UUID) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	var fresh []*Deal
	var lines [][]string
	for _, id := range ids {
		d, err := p.rows.get(ctx, id)
		if err != nil {
			return err
		}
		lines = append(lines, p.turn(d, Batched{key}))
		if d.Batch != key {
			return fmt.Errorf("deal %s is %s now: gathering again", id, d.State) // cancelled meanwhile
		}
		fresh = append(fresh, d)
	}
	err := p.rows.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO deal_provider_batch VALUES (?,?)`, key, enc); err != nil {
			return err
		}
		for i, d := range fresh {
			if err := put(ctx, tx, d, lines[i]...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for i, d := range fresh {
			p.report(ctx, d, lines[i])
		}
	}
	return err
}

func (p *Provider) hinderAll(ctx context.Context, ds []*Deal, why error) {
	for _, d := range ds {
		if _, err := p.step(ctx, d.UUID, Hindered{"publish: " + why.Error()}); err != nil {
			p.Log.Error("deal", "deal", d.UUID, "error", err)
		}
	}
}

// awaitPublish sends the recorded message, if it was not sent yet, and finds the deal in
// what came of it.
func (p *Provider) awaitPublish(ctx context.Context, d *Deal) (Event, error) {
	var enc []byte
	if err := p.DB.QueryRowContext(ctx, `SELECT doc FROM deal_provider_batch WHERE key=?`, d.Batch).Scan(&enc); err != nil {
		return nil, held{fmt.Errorf("publish message %s: %w", d.Batch, err)}
	}
	var b batchDoc
	if err := json.Unmarshal(enc, &b); err != nil {
		return nil, held{fmt.Errorf("publish message %s: %w", d.Batch, err)}
	}
	p.sending.Lock()
	id, err := p.Outbox.Send(ctx, outbox.Intent{
		Key: d.Batch, From: b.From, To: builtin.StorageMarketActorAddr, Value: big.Zero(),
		Method: builtin.MethodsMarket.PublishStorageDeals, Params: b.Params,
	})
	p.sending.Unlock()
	if err != nil {
		return nil, p.unsent(ctx, d, err)
	}
	res, err := p.Outbox.Wait(ctx, id, p.cfg.Confidence)
	if errors.Is(err, outbox.ErrReplaced) {
		return Left{err.Error()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if code := exitcode.ExitCode(res.Receipt.ExitCode); code != 0 {
		return p.left(ctx, b.From, d, res.Message, fmt.Sprintf("failed with %s", code))
	}
	return p.findDeal(ctx, d, &b, res)
}

// unsent says what follows when the publish message could not be sent. It is tried again while
// the chain may still take the deal; another deal of the message may have more time.
func (p *Provider) unsent(ctx context.Context, d *Deal, err error) error {
	err = fmt.Errorf("publish: %w", err)
	if ctx.Err() != nil || errors.Is(err, outbox.ErrUncertain) {
		return err
	}
	h, herr := p.Chain.Height(ctx)
	if herr != nil || h <= d.Start {
		return err
	}
	return fatal{fmt.Errorf("start epoch %d passed at height %d before the deal was published: %w", d.Start, h, err)}
}

// findDeal reads the deal's id from the return value: ids are in the order of the message,
// of the valid deals only.
func (p *Provider) findDeal(ctx context.Context, d *Deal, b *batchDoc, res *outbox.Result) (Event, error) {
	var ret market.PublishStorageDealsReturn
	if err := ret.UnmarshalCBOR(bytes.NewReader(res.Receipt.Return)); err != nil {
		return nil, held{fmt.Errorf("publish message %s: its return value: %w", res.Message, err)}
	}
	nth := 0 // among the valid
	for i, id := range b.Deals {
		valid, err := ret.ValidDeals.IsSet(uint64(i))
		if err != nil {
			return nil, held{fmt.Errorf("publish message %s: its return value: %w", res.Message, err)}
		}
		switch {
		case id == d.UUID && !valid:
			return p.left(ctx, b.From, d, res.Message, "left it out")
		case id == d.UUID:
			if nth >= len(ret.IDs) {
				return nil, held{fmt.Errorf("publish message %s: %d ids for deal number %d", res.Message, len(ret.IDs), nth)}
			}
			return p.confirm(ctx, d, Landed{ret.IDs[nth], res.Message})
		case valid:
			nth++
		}
	}
	return nil, held{fmt.Errorf("publish message %s does not have the deal", res.Message)}
}

// confirm compares the deal on chain with ours.
func (p *Provider) confirm(ctx context.Context, d *Deal, e Landed) (Event, error) {
	got, _, err := p.Chain.Deal(ctx, e.ID)
	if errors.Is(err, view.ErrNotFound) {
		return nil, fmt.Errorf("deal %d of message %s is not in the head's state yet", e.ID, e.Message)
	}
	if err != nil {
		return nil, err
	}
	have, err := got.Cid()
	if err != nil {
		return nil, err
	}
	want, err := deal.ProposalCID(d.Signed.Proposal, got.Client, got.Provider)
	if err != nil {
		return nil, err
	}
	if !have.Equals(want) {
		return nil, held{fmt.Errorf("deal %d of message %s is another proposal (%s, not %s)", e.ID, e.Message, have, want)}
	}
	return e, nil
}

// left says why a message did not publish a deal; what the chain refuses for good ends it. A
// reorg may have brought the deal on chain since the message's result was read, and that is why
// the chain would refuse it.
func (p *Provider) left(ctx context.Context, from address.Address, d *Deal, msg cid.Cid, what string) (Event, error) {
	what = fmt.Sprintf("publish message %s %s", msg, what)
	why, err := p.wouldFail(ctx, from, d)
	if err != nil {
		return nil, err
	}
	if why == "" {
		return Left{what}, nil
	}
	switch id, _, err := deal.Find(ctx, p.Chain, d.Signed.Proposal); {
	case err == nil:
		return Landed{id, msg}, nil
	case !errors.Is(err, view.ErrNotFound):
		return nil, err
	}
	return nil, fatal{fmt.Errorf("%s: %s", what, why)}
}
