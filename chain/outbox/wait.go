package outbox

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
)

// ByKey finds an intent by its key. ErrUnknown: there is none, or it was given up unsigned, so
// that the key is free.
func (o *Outbox) ByKey(ctx context.Context, key string) (ID, error) {
	if key == "" {
		return 0, ErrUnknown
	}
	r, err := o.one(ctx, `key = ?`, key)
	if err != nil {
		return 0, err
	}
	if r.givenUp() {
		return 0, ErrUnknown
	}
	return r.id, nil
}

// Status tells how far an intent has come; ErrUnknown.
func (o *Outbox) Status(ctx context.Context, id ID) (*Status, error) {
	r, err := o.one(ctx, `id = ?`, id)
	if err != nil {
		return nil, err
	}
	return r.status(), nil
}

// Active lists the intents that are not final yet, oldest first.
func (o *Outbox) Active(ctx context.Context) ([]*Status, error) {
	rows, err := o.many(ctx, active)
	if err != nil {
		return nil, err
	}
	out := make([]*Status, len(rows))
	for i, r := range rows {
		if err := o.loadForms(ctx, r); err != nil {
			return nil, err
		}
		out[i] = r.status()
	}
	return out, nil
}

func (r *row) status() *Status {
	s := &Status{ID: r.id, Intent: r.intent, Stage: r.stage, From: r.sender, Nonce: r.nonce, Signed: r.forms, Problem: r.problem}
	if r.stage == StageIncluded || r.stage == StageDone {
		s.Result = r.result
	}
	return s
}

// Wait returns when the intent's message is on chain with confidence epochs on top of the
// tipset that includes it. It can be called again after a restart, and needs Run. Errors:
// ErrUnknown; ErrReplaced when another message with its nonce is as deep; ErrNotSent.
func (o *Outbox) Wait(ctx context.Context, id ID, confidence abi.ChainEpoch) (*Result, error) {
	for {
		head, changed := o.now()
		r, err := o.one(ctx, `id = ?`, id)
		if err != nil {
			return nil, err
		}
		deep := r.result != nil && head != nil && head.Height()-r.result.IncludedHeight >= confidence
		switch {
		case r.stage == StageDone, r.stage == StageIncluded && deep:
			return r.result, nil
		case r.givenUp():
			return nil, fmt.Errorf("%w: %s", ErrNotSent, r.problem)
		case r.stage == StageFailed, r.stage == StageReplaced && deep:
			return nil, fmt.Errorf("%w: %s", ErrReplaced, r.problem)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
