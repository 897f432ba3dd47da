package genesis

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/filecoin-project/go-address"
	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	ipldcbor "github.com/ipfs/go-ipld-cbor"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

func testKey(t *testing.T, seed string) address.Address {
	t.Helper()
	a, err := sigs.Address(crypto.SigTypeBLS, sigs.KeyFromSeed([]byte(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testTemplate(t *testing.T, miners, sectors int) Template {
	t.Helper()
	n := types.Devnet()
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	tpl := Template{Network: n, Time: 1_700_000_000, RootKey: testKey(t, "root"), Remainder: testKey(t, "remainder")}
	for i := range miners {
		worker := testKey(t, fmt.Sprint("worker", i))
		tpl.Accounts = append(tpl.Accounts, Account{worker, big.Mul(big.NewInt(1_000_000), types.FilecoinPrecision)})
		m := Miner{Owner: worker, Worker: worker, Funds: big.Mul(big.NewInt(1000), types.FilecoinPrecision)}
		for s := range sectors {
			commR, err := commcid.ReplicaCommitmentV1ToCID(bytes.Repeat([]byte{byte(i), byte(s)}, 16))
			if err != nil {
				t.Fatal(err)
			}
			m.Sectors = append(m.Sectors, Sector{abi.SectorNumber(s), commR})
		}
		tpl.Miners = append(tpl.Miners, m)
	}
	return tpl
}

// expectedFindings are what the checker says of every genesis that follows spec chain.md h.1:
// the accounts 80 and 90 are in the address map, and the reward actor's starting estimate is
// rounded up.
var expectedFindings = []string{
	"t01 init: unexpected singleton ID value 80",
	"t01 init: unexpected singleton ID value 90",
	"t02 reward: effective baseline power > baseline power",
}

func TestMakeIsSoundAndRepeatable(t *testing.T) {
	ctx := context.Background()
	tpl := testTemplate(t, 2, 3)
	var blocks, again types.MemBlocks
	header, network, err := Make(ctx, &blocks, tpl)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := Make(ctx, &again, tpl)
	if err != nil {
		t.Fatal(err)
	}
	if header.Cid() != second.Cid() {
		t.Errorf("the same template gave %s and %s", header.Cid(), second.Cid())
	}
	if network.Genesis != header.Cid().String() || network.GenesisTime != tpl.Time {
		t.Errorf("network names genesis %s at %d", network.Genesis, network.GenesisTime)
	}

	// The actors' own checker looks at every actor and at the total.
	var root types.StateRoot
	if err := ipldcbor.NewCborStore(&blocks).Get(ctx, header.ParentStateRoot, &root); err != nil {
		t.Fatal(err)
	}
	tree, err := states.LoadTree(adt.WrapBlockStore(ctx, &blocks), root.Actors)
	if err != nil {
		t.Fatal(err)
	}
	acc, err := states.CheckStateInvariants(tree, types.TotalFilecoin, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range acc.Messages() {
		if !slices.Contains(expectedFindings, msg) {
			t.Error(msg)
		}
	}

	v := view.At(&blocks, header.ParentStateRoot)
	for i := range tpl.Miners {
		claim, found, err := v.Claim(ctx, MinerAddress(i))
		if err != nil || !found {
			t.Fatalf("claim of miner %d: found %t, %v", i, found, err)
		}
		if want := big.NewInt(3 * 2048); !claim.QualityAdjPower.Equals(want) {
			t.Errorf("miner %d has power %s, want %s", i, claim.QualityAdjPower, want)
		}
		active, err := v.ActiveSectors(ctx, MinerAddress(i))
		if err != nil {
			t.Fatal(err)
		}
		if len(active) != 3 {
			t.Errorf("miner %d has %d active sectors, want 3", i, len(active))
		}
	}
	p, _, err := v.Power(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := big.NewInt(2 * 3 * 2048); !p.TotalQualityAdjPower.Equals(want) {
		t.Errorf("total power %s, want %s", p.TotalQualityAdjPower, want)
	}
}

func TestCARHoldsAllThatIsReachable(t *testing.T) {
	ctx := context.Background()
	var blocks types.MemBlocks
	header, _, err := Make(ctx, &blocks, testTemplate(t, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	var car bytes.Buffer
	if err := WriteCAR(ctx, &blocks, header.Cid(), &car); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(car.Bytes(), header.Cid().Bytes()) || car.Len() < 1000 {
		t.Errorf("CAR of %d bytes", car.Len())
	}
	// A store that lacks an object cannot be written.
	var empty types.MemBlocks
	if err := WriteCAR(ctx, &empty, header.Cid(), &bytes.Buffer{}); err == nil {
		t.Error("wrote a CAR from an empty store")
	}
}

func TestTemplateIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Template){
		"no miner":           func(t *Template) { t.Miners = nil },
		"no sector":          func(t *Template) { t.Miners[0].Sectors = nil },
		"unknown worker":     func(t *Template) { t.Miners[0].Worker = address.TestAddress },
		"account twice":      func(t *Template) { t.Accounts = append(t.Accounts, t.Accounts[0]) },
		"account not a key":  func(t *Template) { t.Accounts[0].Key = MinerAddress(0) },
		"more than there is": func(t *Template) { t.Accounts[0].Balance = types.TotalFilecoin },
		"no root key":        func(t *Template) { t.RootKey = address.Undef },
		"bad network":        func(t *Template) { t.Network.EpochSeconds = 0 },
	} {
		tpl := testTemplate(t, 1, 1)
		spoil(&tpl)
		if _, _, err := Make(context.Background(), &types.MemBlocks{}, tpl); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
