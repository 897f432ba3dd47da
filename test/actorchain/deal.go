package actorchain

import (
	"bytes"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

// Publish publishes a deal of the client with the miner and returns its number and the
// proposal as the chain has it.
func (c *Chain) Publish(piece cid.Cid, size abi.PaddedPieceSize, start abi.ChainEpoch) (abi.DealID, market.DealProposal) {
	c.t.Helper()
	funds := big.Mul(big.NewInt(1000), types.FilecoinPrecision)
	for _, a := range []address.Address{c.Client, c.Miner} {
		from := c.Client
		if a == c.Miner {
			from = c.Worker
		}
		c.must(from, builtin.StorageMarketActorAddr, funds, builtin.MethodsMarket.AddBalance, &a)
	}
	label, err := market.NewLabelFromString(fmt.Sprint("deal at ", c.Height()))
	if err != nil {
		c.t.Fatal(err)
	}
	p := market.DealProposal{
		PieceCID: piece, PieceSize: size, Client: c.Client, Provider: c.Miner, Label: label,
		StartEpoch: start, EndEpoch: start + market.DealMinDuration, StoragePricePerEpoch: big.NewInt(1),
		ProviderCollateral: types.FilecoinPrecision, ClientCollateral: big.Zero(),
	}
	var buf bytes.Buffer
	if err := p.MarshalCBOR(&buf); err != nil {
		c.t.Fatal(err)
	}
	sig, err := sigs.Sign(crypto.SigTypeBLS, sigs.KeyFromSeed([]byte("client")), buf.Bytes())
	if err != nil {
		c.t.Fatal(err)
	}
	receipt := c.must(c.Worker, builtin.StorageMarketActorAddr, big.Zero(), builtin.MethodsMarket.PublishStorageDeals,
		&market.PublishStorageDealsParams{Deals: []market.ClientDealProposal{{Proposal: p, ClientSignature: *sig}}})
	var ret market.PublishStorageDealsReturn
	if err := ret.UnmarshalCBOR(bytes.NewReader(receipt.Return)); err != nil {
		c.t.Fatal(err)
	}
	if p.Client, err = c.Now().LookupID(c.t.Context(), p.Client); err != nil {
		c.t.Fatal(err)
	}
	return ret.IDs[0], p
}

func (c *Chain) must(from, to address.Address, value abi.TokenAmount, method abi.MethodNum, params cbor.Marshaler) types.MessageReceipt {
	c.t.Helper()
	var buf bytes.Buffer
	if err := params.MarshalCBOR(&buf); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	key := fmt.Sprintf("test/%d", len(c.ids))
	c.mu.Unlock()
	r := c.Do(outbox.Intent{Key: key, From: from, To: to, Value: value, Method: method, Params: buf.Bytes()})
	if code := exitcode.ExitCode(r.ExitCode); code != exitcode.Ok {
		c.t.Fatalf("method %d of %s: %s", method, to, code)
	}
	return r
}
