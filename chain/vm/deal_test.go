package vm

import (
	"bytes"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/proofs/commp"
)

// A deal signed by its client is published, sealed with the data's commitment, and paid.
func TestDeal(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	m := n.miner()
	n.tick()
	n.must(n.bob, builtin.StorageMarketActorAddr, fil(1000), builtin.MethodsMarket.AddBalance, &n.bob)
	n.must(n.alice, builtin.StorageMarketActorAddr, fil(1000), builtin.MethodsMarket.AddBalance, &m)
	label, err := market.NewLabelFromString("a file")
	require.NoError(t, err)
	deal := market.DealProposal{
		PieceCID: commp.ZeroPiece(1024), PieceSize: 1024, Client: n.bob, Provider: m, Label: label,
		StartEpoch: n.epoch + 1000, EndEpoch: n.epoch + 1000 + market.DealMinDuration,
		StoragePricePerEpoch: big.NewInt(1_000_000_000), ProviderCollateral: fil(1), ClientCollateral: big.Zero(),
	}
	publish := func(key []byte) *Result {
		sig, err := sigs.Sign(crypto.SigTypeSecp256k1, key, params(t, &deal))
		require.NoError(t, err)
		return n.send(n.alice, builtin.StorageMarketActorAddr, big.Zero(), builtin.MethodsMarket.PublishStorageDeals, &market.PublishStorageDealsParams{
			Deals: []market.ClientDealProposal{{Proposal: deal, ClientSignature: *sig}},
		})
	}
	r := publish(bytes.Repeat([]byte{8}, 32))
	require.Equal(t, exitcode.ErrIllegalArgument, r.Code(), "signed by another: %s", r.Err)
	before, err := CirculatingSupply(t.Context(), n.bs, n.root, n.env.CirculatingAtGenesis)
	require.NoError(t, err)
	r = publish(n.bobKey)
	require.Equal(t, exitcode.Ok, r.Code(), r.Err)
	after, err := CirculatingSupply(t.Context(), n.bs, n.root, n.env.CirculatingAtGenesis)
	require.NoError(t, err)
	require.True(t, big.Sub(before, after).GreaterThan(deal.TotalStorageFee()), "fee and collateral are locked")

	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.PreCommitSector, &miner.PreCommitSectorParams{
		SealProof: sealType, SectorNumber: 1, SealedCID: sealedCID(t, 1), SealRandEpoch: n.epoch - 1,
		Expiration: deal.EndEpoch + 100_000, DealIDs: []abi.DealID{0},
	})
	n.skipTo(n.epoch + miner.PreCommitChallengeDelay + 1)
	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.ProveCommitSector, &miner.ProveCommitSectorParams{SectorNumber: 1, Proof: make([]byte, 192)})
	n.tick()
	_, st, err := n.view().Deal(t.Context(), 0)
	require.NoError(t, err)
	require.NotNil(t, st, "the deal is active")

	paid := func() abi.TokenAmount {
		escrow, _, err := n.view().MarketBalance(t.Context(), m)
		require.NoError(t, err)
		return escrow
	}
	start := paid()
	n.skipTo(deal.StartEpoch + 2*market.DealUpdatesInterval)
	n.tick()
	require.True(t, paid().GreaterThan(start), "the provider is paid by the cron")
	n.checkInvariants()
}
