package consensus

import (
	"context"
	"encoding/json"

	"github.com/filecoin-project/go-state-types/proof"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/minio/blake2b-simd"

	"github.com/lodenet/lode/proofs"
)

// proofCache remembers statements whose proofs held, because the same proof is checked when a
// message is estimated, selected and executed. Refusals are not remembered.
type proofCache struct {
	proofs.Verifier
	held *lru.Cache[[32]byte, struct{}]
}

func newProofCache(v proofs.Verifier) *proofCache {
	return &proofCache{v, newLRU[[32]byte, struct{}](4096)}
}

// statementKey covers all of a statement and its proof; false when it cannot be encoded.
func statementKey(kind string, statement any) (key [32]byte, ok bool) {
	b, err := json.Marshal(statement)
	if err != nil {
		return key, false
	}
	return blake2b.Sum256(append([]byte(kind), b...)), true
}

func (c *proofCache) once(kind string, statement any, verify func() (bool, error)) (bool, error) {
	key, ok := statementKey(kind, statement)
	if !ok {
		return verify()
	}
	if _, held := c.held.Get(key); held {
		return true, nil
	}
	holds, err := verify()
	if holds && err == nil {
		c.held.Add(key, struct{}{})
	}
	return holds, err
}

// VerifySeal implements proofs.Verifier.
func (c *proofCache) VerifySeal(ctx context.Context, s proof.SealVerifyInfo) (bool, error) {
	return c.once("seal", s, func() (bool, error) { return c.Verifier.VerifySeal(ctx, s) })
}

// VerifySeals implements proofs.Verifier; only those not known yet are handed on.
func (c *proofCache) VerifySeals(ctx context.Context, all []proof.SealVerifyInfo) ([]bool, error) {
	out := make([]bool, len(all))
	var todo []proof.SealVerifyInfo
	var at []int
	for i, s := range all {
		if key, ok := statementKey("seal", s); ok {
			if _, held := c.held.Get(key); held {
				out[i] = true
				continue
			}
		}
		todo, at = append(todo, s), append(at, i)
	}
	if len(todo) == 0 {
		return out, nil
	}
	res, err := c.Verifier.VerifySeals(ctx, todo)
	if err != nil {
		return nil, err
	}
	for i, holds := range res {
		out[at[i]] = holds
		if key, ok := statementKey("seal", todo[i]); ok && holds {
			c.held.Add(key, struct{}{})
		}
	}
	return out, nil
}

// VerifyWindowPoSt implements proofs.Verifier.
func (c *proofCache) VerifyWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo) (bool, error) {
	return c.once("window", s, func() (bool, error) { return c.Verifier.VerifyWindowPoSt(ctx, s) })
}

// VerifyWinningPoSt implements proofs.Verifier.
func (c *proofCache) VerifyWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo) (bool, error) {
	return c.once("winning", s, func() (bool, error) { return c.Verifier.VerifyWinningPoSt(ctx, s) })
}
