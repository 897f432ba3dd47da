package vm

import (
	"bytes"
	"errors"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	init_ "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/multisig"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/paych"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/verifreg"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
)

func params(t testing.TB, m cbor.Marshaler) []byte {
	var b bytes.Buffer
	require.NoError(t, m.MarshalCBOR(&b))
	return b.Bytes()
}

// exec makes an actor by message.
func (n *testNet) exec(code cid.Cid, value abi.TokenAmount, ctor cbor.Marshaler) address.Address {
	n.t.Helper()
	ret := n.must(n.alice, builtin.InitActorAddr, value, builtin.MethodsInit.Exec, &init_.ExecParams{CodeCID: code, ConstructorParams: params(n.t, ctor)})
	var made init_.ExecReturn
	require.NoError(n.t, made.UnmarshalCBOR(bytes.NewReader(ret)))
	return made.IDAddress
}

// FuzzMethods sends random parameters to random methods of every kind of actor, from a user
// and as the system: whatever they are, a user's message gives a receipt, and nothing panics
// or breaks the VM.
func FuzzMethods(f *testing.F) {
	n := newTestNet(f)
	n.tick()
	m := n.miner()
	n.tick()
	s := n.commitSector(m, 1, n.epoch+miner.MinSectorExpiration+100_000)
	n.nextPeriod(m, s)
	msig := n.exec(builtin.MultisigActorCodeID, fil(1), &multisig.ConstructorParams{Signers: []address.Address{n.alice, n.bob}, NumApprovalsThreshold: 1})
	lane := n.exec(builtin.PaymentChannelActorCodeID, fil(1), &paych.ConstructorParams{From: n.alice, To: n.bob})
	n.must(n.alice, builtin.StorageMarketActorAddr, fil(5), builtin.MethodsMarket.AddBalance, &n.alice)
	targets := []address.Address{
		builtin.SystemActorAddr, builtin.InitActorAddr, builtin.RewardActorAddr, builtin.CronActorAddr,
		builtin.StoragePowerActorAddr, builtin.StorageMarketActorAddr, builtin.VerifiedRegistryActorAddr, id(100), m, msig, lane,
	}
	const system, initA, rewardA, powerA, marketA, verifregA, minerA, msigA, paychA = 0, 1, 2, 4, 5, 6, 8, 9, 10
	sectors := bitfield.NewFromSet([]uint64{1})
	add := func(to byte, method abi.MethodNum, p cbor.Marshaler) {
		f.Add(to, byte(method), byte(0), params(f, p), byte(0))
		f.Add(to, byte(method), byte(1), params(f, p), byte(1))
	}
	f.Add(byte(system), byte(1), byte(0), []byte{}, byte(0))
	f.Add(byte(rewardA), byte(3), byte(2), []byte{}, byte(0))
	add(initA, 2, &init_.ExecParams{CodeCID: builtin.MultisigActorCodeID, ConstructorParams: []byte{0x80}})
	add(powerA, 2, &power.CreateMinerParams{Owner: n.alice, Worker: n.alice, WindowPoStProofType: postType})
	add(powerA, 3, &power.UpdateClaimedPowerParams{RawByteDelta: big.NewInt(1), QualityAdjustedDelta: big.NewInt(-1)})
	add(marketA, 2, &n.bob)
	add(verifregA, 2, &verifreg.AddVerifierParams{Address: n.bob, Allowance: big.NewInt(1 << 30)})
	add(minerA, 5, &miner.SubmitWindowedPoStParams{Partitions: []miner.PoStPartition{{Skipped: sectors}}})
	add(minerA, 6, &miner.PreCommitSectorParams{SealProof: sealType, SectorNumber: 2, SealedCID: sealedCID(f, 2), SealRandEpoch: n.epoch - 1, Expiration: n.epoch + miner.MinSectorExpiration + 100_000})
	add(minerA, 7, &miner.ProveCommitSectorParams{SectorNumber: 2})
	add(minerA, 8, &miner.ExtendSectorExpirationParams{Extensions: []miner.ExpirationExtension{{Deadline: s.deadline, Sectors: sectors, NewExpiration: 1_000_000}}})
	add(minerA, 9, &miner.TerminateSectorsParams{Terminations: []miner.TerminationDeclaration{{Deadline: s.deadline, Sectors: sectors}}})
	add(minerA, 10, &miner.DeclareFaultsParams{Faults: []miner.FaultDeclaration{{Deadline: s.deadline, Sectors: sectors}}})
	add(minerA, 11, &miner.DeclareFaultsRecoveredParams{Recoveries: []miner.RecoveryDeclaration{{Deadline: s.deadline, Sectors: sectors}}})
	add(minerA, 15, &miner.ReportConsensusFaultParams{BlockHeader1: []byte{0x90}, BlockHeader2: []byte{0x90}})
	add(minerA, 18, &miner.ChangeMultiaddrsParams{})
	add(minerA, 19, &miner.CompactPartitionsParams{Deadline: s.deadline, Partitions: bitfield.NewFromSet([]uint64{0})})
	add(minerA, 20, &miner.CompactSectorNumbersParams{MaskSectorNumbers: sectors})
	add(minerA, 24, &miner.DisputeWindowedPoStParams{Deadline: s.deadline})
	add(minerA, 26, &miner.ProveCommitAggregateParams{SectorNumbers: sectors})
	add(msigA, 2, &multisig.ProposeParams{To: msig, Value: big.Zero(), Method: 8, Params: []byte{0x81, 0x02}})
	add(paychA, 2, &paych.UpdateChannelStateParams{Sv: paych.SignedVoucher{ChannelAddr: lane, Amount: big.NewInt(1)}})

	f.Fuzz(func(t *testing.T, to, method, from byte, raw []byte, value byte) {
		target := targets[int(to)%len(targets)]
		msg := &types.Message{
			To: target, From: n.alice, Nonce: n.nonces[n.alice], Value: big.NewInt(int64(value)), GasLimit: types.BlockGasLimit,
			GasFeeCap: big.Zero(), GasPremium: big.Zero(), Method: abi.MethodNum(method), Params: raw,
		}
		v, err := New(t.Context(), n.env, n.root, n.epoch, baseFee)
		if err != nil {
			t.Fatal(err)
		}
		if from%2 == 0 {
			if _, err := v.Apply(t.Context(), msg); err != nil {
				t.Fatalf("a user's message stops the network: %v", err)
			}
			return
		}
		msg.From = targets[int(from/2)%len(targets)]
		if _, err := v.ApplyImplicit(t.Context(), msg); errors.Is(err, errBroken) {
			t.Fatal(err)
		}
	})
}
