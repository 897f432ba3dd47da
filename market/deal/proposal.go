package deal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Encode is the CBOR of a message or proposal.
func Encode(v cbg.CBORMarshaler) ([]byte, error) {
	var b bytes.Buffer
	if err := v.MarshalCBOR(&b); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b.Bytes(), nil
}

// Decode reads one CBOR object that fills b.
func Decode(b []byte, v cbg.CBORUnmarshaler) error {
	r := bytes.NewReader(b)
	if err := v.UnmarshalCBOR(r); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	if r.Len() > 0 {
		return fmt.Errorf("decode %T: %d bytes too many", v, r.Len())
	}
	return nil
}

// ProposalCID identifies a proposal on chain: blake2b over the proposal with ID addresses.
func ProposalCID(p market.DealProposal, client, provider address.Address) (cid.Cid, error) {
	p.Client, p.Provider = client, provider
	return p.Cid()
}

// SignedCID identifies a signed proposal off chain (sha2-256, spec markets.md A.2).
func SignedCID(p *market.ClientDealProposal) (cid.Cid, error) {
	b, err := Encode(p)
	if err != nil {
		return cid.Undef, err
	}
	return cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.SHA2_256}.Sum(b)
}

// Sign signs a proposal with the key of its client, which is the address given.
func Sign(ctx context.Context, keys Signer, key address.Address, p market.DealProposal) (*market.ClientDealProposal, error) {
	b, err := Encode(&p)
	if err != nil {
		return nil, err
	}
	sig, err := keys.Sign(ctx, key, b)
	if err != nil {
		return nil, fmt.Errorf("sign the proposal with %s: %w", key, err)
	}
	return &market.ClientDealProposal{Proposal: p, ClientSignature: *sig}, nil
}

// VerifyProposal checks the client's signature by its key address.
func VerifyProposal(p *market.ClientDealProposal, key address.Address) error {
	b, err := Encode(&p.Proposal)
	if err != nil {
		return err
	}
	return sigs.Verify(&p.ClientSignature, key, b)
}

// SignAsk signs terms with the miner's worker key.
func SignAsk(ctx context.Context, keys Signer, worker address.Address, a Ask) (*SignedAsk, error) {
	b, err := Encode(&a)
	if err != nil {
		return nil, err
	}
	sig, err := keys.Sign(ctx, worker, b)
	if err != nil {
		return nil, fmt.Errorf("sign the ask with %s: %w", worker, err)
	}
	return &SignedAsk{Ask: &a, Signature: sig}, nil
}

// VerifyAsk checks an ask's signature by the worker's key address.
func VerifyAsk(a *SignedAsk, worker address.Address) error {
	if a == nil || a.Ask == nil {
		return errors.New("there is no ask")
	}
	b, err := Encode(a.Ask)
	if err != nil {
		return err
	}
	return sigs.Verify(a.Signature, worker, b)
}

// ID reads the UUID of a message.
func ID(b []byte) (uuid.UUID, error) {
	id, err := uuid.FromBytes(b)
	if err != nil {
		return id, fmt.Errorf("deal UUID: %w", err)
	}
	return id, nil
}
