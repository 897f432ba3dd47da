package deal

import (
	"fmt"
	"math/bits"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"
)

// Rejection is a rule that a proposal breaks: which, what was offered, what is required.
type Rejection struct {
	Rule, Offered, Required string
}

func (r Rejection) Error() string {
	return fmt.Sprintf("%s: offered %s, required %s", r.Rule, r.Offered, r.Required)
}

// CollateralWindow is how many times the chain's least collateral a provider gives at most.
const CollateralWindow = 2

// Terms is what a proposal is measured against, read at one head.
type Terms struct {
	Miner     address.Address // ID address
	Height    abi.ChainEpoch
	Ask       Ask
	ClientKey address.Address // undefined: the client is not on chain
	// Unsigned leaves the signature out: a dry run.
	Unsigned       bool
	LeastCollat    abi.TokenAmount
	ClientEscrow   abi.TokenAmount // in the market
	ClientLocked   abi.TokenAmount // of that
	ClientDataCap  abi.StoragePower
	SameProvider   bool // the proposal's provider resolves to Miner
	MinDuration    abi.ChainEpoch
	MaxDuration    abi.ChainEpoch
	MaxEndFromHead abi.ChainEpoch
}

// DefaultBounds fills in the durations that the actors allow.
func (t *Terms) DefaultBounds() {
	t.MinDuration, t.MaxDuration = market.DealDurationBounds(0)
	t.MaxEndFromHead = t.MaxDuration
}

// Broken lists the rules of spec markets.md A.5, 1 to 15, that a proposal breaks, in order.
// A provider rejects with the first; a dry run shows all.
func Broken(c *market.ClientDealProposal, t Terms) []Rejection {
	var out []Rejection
	p := &c.Proposal
	rule := func(ok bool, name, offered, required string) {
		if !ok {
			out = append(out, Rejection{name, offered, required})
		}
	}
	rule(p.PieceCID.Defined(), "piece CID", "none", "a piece commitment (baga6ea4seaq…)")
	if t.ClientKey == address.Undef {
		rule(false, "client", p.Client.String(), "an account that exists on chain: send it some FIL first")
	} else if !t.Unsigned {
		err := VerifyProposal(c, t.ClientKey)
		rule(err == nil, "client signature", fmt.Sprint(err), "a signature by "+t.ClientKey.String())
	}
	rule(t.SameProvider, "provider", p.Provider.String(), t.Miner.String())
	rule(p.Label.Length() <= market.DealMaxLabelSize, "label", fmt.Sprintf("%d bytes", p.Label.Length()), fmt.Sprintf("at most %d bytes", market.DealMaxLabelSize))
	rule(p.PieceSize >= 128 && bits.OnesCount64(uint64(p.PieceSize)) == 1, "piece size", fmt.Sprintf("%d bytes", p.PieceSize), "a power of two of at least 128 bytes")
	rule(p.PieceCID.Defined() && p.PieceCID.Prefix() == market.PieceCIDPrefix, "piece CID", prefixOf(p.PieceCID), "codec fil-commitment-unsealed with hash sha2-256-trunc254-padded")
	rule(p.EndEpoch > p.StartEpoch, "end epoch", fmt.Sprint(p.EndEpoch), fmt.Sprintf("after the start epoch %d", p.StartEpoch))
	rule(t.Height <= p.StartEpoch, "start epoch", fmt.Sprint(p.StartEpoch), fmt.Sprintf("not before the current epoch %d", t.Height))
	rule(p.Duration() >= t.MinDuration && p.Duration() <= t.MaxDuration, "duration", fmt.Sprintf("%d epochs", p.Duration()), fmt.Sprintf("%d to %d epochs", t.MinDuration, t.MaxDuration))
	rule(p.EndEpoch <= t.Height+t.MaxEndFromHead, "end epoch", fmt.Sprint(p.EndEpoch), fmt.Sprintf("at most %d, %d epochs after the head", t.Height+t.MaxEndFromHead, t.MaxEndFromHead))
	out = append(out, brokenMoney(p, t)...)
	rule(p.PieceSize >= t.Ask.MinPieceSize && p.PieceSize <= t.Ask.MaxPieceSize, "piece size", fmt.Sprintf("%d bytes", p.PieceSize), fmt.Sprintf("%d to %d bytes by the provider's ask", t.Ask.MinPieceSize, t.Ask.MaxPieceSize))
	if nonNegative(p) {
		need, have := p.ClientBalanceRequirement(), big.Sub(orZero(t.ClientEscrow), orZero(t.ClientLocked))
		rule(have.GreaterThanEqual(need), "client's market balance", FIL(have)+" available", FIL(need)+" (collateral and the price of the whole duration)")
	}
	if p.VerifiedDeal {
		need := big.NewIntUnsigned(uint64(p.PieceSize))
		rule(orZero(t.ClientDataCap).GreaterThanEqual(need), "data cap", orZero(t.ClientDataCap).String()+" bytes", need.String()+" bytes for a verified deal")
	}
	return out
}

// brokenMoney is rules 11 and 12, and that no amount is negative.
func brokenMoney(p *market.DealProposal, t Terms) []Rejection {
	if !nonNegative(p) {
		return []Rejection{{"amounts", "a missing or negative one", "price and collaterals of 0 or more"}}
	}
	var out []Rejection
	least := orZero(t.LeastCollat)
	most := big.Mul(least, big.NewInt(CollateralWindow))
	if p.ProviderCollateral.LessThan(least) || p.ProviderCollateral.GreaterThan(most) {
		out = append(out, Rejection{"provider collateral", FIL(p.ProviderCollateral), FIL(least) + " to " + FIL(most)})
	}
	price := t.Ask.Price
	if p.VerifiedDeal {
		price = t.Ask.VerifiedPrice
	}
	fee := PieceFee(orZero(price), p.PieceSize)
	if p.StoragePricePerEpoch.LessThan(fee) {
		out = append(out, Rejection{"price per epoch for the piece", FIL(p.StoragePricePerEpoch),
			fmt.Sprintf("at least %s (%s per GiB and epoch, %s per GiB and month)", FIL(fee), FIL(orZero(price)), FIL(PerMonth(orZero(price))))})
	}
	return out
}

func nonNegative(p *market.DealProposal) bool {
	for _, v := range []abi.TokenAmount{p.StoragePricePerEpoch, p.ProviderCollateral, p.ClientCollateral} {
		if v.Int == nil || v.Sign() < 0 {
			return false
		}
	}
	return true
}

func orZero(v big.Int) big.Int {
	if v.Int == nil {
		return big.Zero()
	}
	return v
}

func prefixOf(c cid.Cid) string {
	if !c.Defined() {
		return "none"
	}
	p := c.Prefix()
	return fmt.Sprintf("codec 0x%x with hash 0x%x", p.Codec, p.MhType)
}
