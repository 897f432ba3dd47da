package vm

import (
	"bytes"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/filecoin-project/specs-actors/v8/actors/runtime/proof"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"
)

const (
	sealType = abi.RegisteredSealProof_StackedDrg2KiBV1_1
	postType = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
)

// createMiner makes a miner of an account by message.
func (n *testNet) createMiner(owner address.Address) address.Address {
	n.t.Helper()
	worker := n.alice // workers have BLS keys
	ret := n.must(owner, builtin.StoragePowerActorAddr, fil(100_000), builtin.MethodsPower.CreateMiner, &power.CreateMinerParams{
		Owner: owner, Worker: worker, WindowPoStProofType: postType, Peer: abi.PeerID("peer"),
	})
	var out power.CreateMinerReturn
	require.NoError(n.t, out.UnmarshalCBOR(bytes.NewReader(ret)))
	return out.IDAddress
}

// sector is a sector on chain, with where it is proven.
type sector struct {
	number              abi.SectorNumber
	deadline, partition uint64
}

// commitSector seals a sector of committed capacity by messages and the cron between.
func (n *testNet) commitSector(m address.Address, number abi.SectorNumber, expiration abi.ChainEpoch) sector {
	n.t.Helper()
	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.PreCommitSector, &miner.PreCommitSectorParams{
		SealProof: sealType, SectorNumber: number, SealedCID: sealedCID(n.t, byte(number)), SealRandEpoch: n.epoch - 1, Expiration: expiration,
	})
	n.skipTo(n.epoch + miner.PreCommitChallengeDelay + 1)
	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.ProveCommitSector, &miner.ProveCommitSectorParams{
		SectorNumber: number, Proof: make([]byte, 192),
	})
	n.tick()
	st, store, err := n.view().Miner(n.t.Context(), m)
	require.NoError(n.t, err)
	dl, part, err := st.FindSector(store, number)
	require.NoError(n.t, err, "sector %d was not confirmed", number)
	return sector{number, dl, part}
}

func sealedCID(t testing.TB, b byte) cid.Cid {
	h := append([]byte{0x81, 0xe8, 0x02, 0x20}, bytes.Repeat([]byte{b}, 32)...)
	c := cid.NewCidV1(cid.FilCommitmentSealed, h)
	require.Equal(t, miner.SealedCIDPrefix, c.Prefix())
	return c
}

// closeDeadline runs the cron at the last epoch of the miner's present deadline.
func (n *testNet) closeDeadline(m address.Address) {
	n.t.Helper()
	dl, err := n.view().DeadlineInfo(n.t.Context(), m, n.epoch)
	require.NoError(n.t, err)
	n.skipTo(dl.Last())
	n.tick()
}

// openDeadline closes deadlines until the given one is open.
func (n *testNet) openDeadline(m address.Address, index uint64) {
	n.t.Helper()
	for range 2 * miner.WPoStPeriodDeadlines {
		dl, err := n.view().DeadlineInfo(n.t.Context(), m, n.epoch)
		require.NoError(n.t, err)
		if dl.Index == index && dl.IsOpen() {
			n.skipTo(n.epoch + 1) // the challenge must be in the past
			return
		}
		if !dl.PeriodStarted() {
			n.skipTo(dl.PeriodStart)
			continue
		}
		n.closeDeadline(m)
	}
	n.t.Fatalf("deadline %d never opened", index)
}

// prove submits a window PoSt for a sector's partition in its open deadline.
func (n *testNet) prove(m address.Address, s sector) *Result {
	n.t.Helper()
	dl, err := n.view().DeadlineInfo(n.t.Context(), m, n.epoch)
	require.NoError(n.t, err)
	return n.send(n.alice, m, big.Zero(), builtin.MethodsMiner.SubmitWindowedPoSt, &miner.SubmitWindowedPoStParams{
		Deadline: s.deadline, Partitions: []miner.PoStPartition{{Index: s.partition, Skipped: bitfield.New()}},
		Proofs:           []proof.PoStProof{{PoStProof: postType, ProofBytes: make([]byte, 192)}},
		ChainCommitEpoch: dl.Challenge,
		ChainCommitRand:  testDraw('t', crypto.DomainSeparationTag_PoStChainCommit, dl.Challenge, nil),
	})
}

func (n *testNet) rawPower(m address.Address) uint64 {
	n.t.Helper()
	c, ok, err := n.view().Claim(n.t.Context(), m)
	require.NoError(n.t, err)
	require.True(n.t, ok)
	return c.RawBytePower.Uint64()
}

// nextPeriod proves a sector in its deadline and closes that.
func (n *testNet) nextPeriod(m address.Address, s sector) {
	n.t.Helper()
	n.openDeadline(m, s.deadline)
	r := n.prove(m, s)
	require.Equal(n.t, exitcode.Ok, r.Code(), r.Err)
	n.closeDeadline(m)
}

// A sector lives from its commitment to its expiration: all by real messages and crons,
// with a verifier that says yes. Of the epochs between, only those run in which a message
// is sent or a deadline of the miner ends; the others have nothing due for it.
func TestSectorExpires(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	m := n.miner()
	n.tick()
	expiration := n.epoch + miner.MinSectorExpiration + miner.MaxProveCommitDuration[sealType] + 100
	s := n.commitSector(m, 1, expiration)
	info, ok, err := n.view().Sector(t.Context(), m, 1)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, expiration, info.Expiration)
	require.Zero(t, n.rawPower(m), "not yet proven")

	n.nextPeriod(m, s)
	require.EqualValues(t, 2<<10, n.rawPower(m))
	st, _, err := n.view().Miner(t.Context(), m)
	require.NoError(t, err)
	require.True(t, st.InitialPledge.Sign() > 0)
	periods := 1
	for n.epoch <= expiration {
		require.EqualValues(t, 2<<10, n.rawPower(m), "power at epoch %d", n.epoch)
		n.nextPeriod(m, s)
		periods++
	}
	require.GreaterOrEqual(t, periods, 3)
	for range miner.WPoStPeriodDeadlines { // expirations wait for the sector's own deadline
		if n.rawPower(m) == 0 {
			break
		}
		n.closeDeadline(m)
	}
	require.Zero(t, n.rawPower(m), "the sector expired")
	active, err := n.view().ActiveSectors(t.Context(), m)
	require.NoError(t, err)
	require.Empty(t, active)
	st, _, err = n.view().Miner(t.Context(), m)
	require.NoError(t, err)
	require.True(t, st.InitialPledge.IsZero(), "the pledge is free again")
	n.checkInvariants()
}

// A declared fault costs power, a declared recovery gives it back once proven, and a proof
// that does not hold does not.
func TestFaultAndRecovery(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	m := n.miner()
	n.tick()
	s := n.commitSector(m, 1, n.epoch+miner.MinSectorExpiration+100_000)
	n.nextPeriod(m, s)
	require.EqualValues(t, 2<<10, n.rawPower(m))

	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.DeclareFaults, &miner.DeclareFaultsParams{Faults: []miner.FaultDeclaration{
		{Deadline: s.deadline, Partition: s.partition, Sectors: bitfield.NewFromSet([]uint64{1})},
	}})
	require.Zero(t, n.rawPower(m))
	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.DeclareFaultsRecovered, &miner.DeclareFaultsRecoveredParams{Recoveries: []miner.RecoveryDeclaration{
		{Deadline: s.deadline, Partition: s.partition, Sectors: bitfield.NewFromSet([]uint64{1})},
	}})
	require.Zero(t, n.rawPower(m), "a word is no proof")
	n.openDeadline(m, s.deadline)
	n.verifier.no = true
	r := n.prove(m, s)
	require.Equal(t, exitcode.ErrIllegalArgument, r.Code(), r.Err)
	require.Zero(t, n.rawPower(m))
	n.verifier.no = false
	r = n.prove(m, s)
	require.Equal(t, exitcode.Ok, r.Code(), r.Err)
	require.EqualValues(t, 2<<10, n.rawPower(m))
	n.closeDeadline(m)
	n.checkInvariants()
}

// A deadline without a proof makes its sectors faulty; a fault that stays ends the sector
// early.
func TestUnprovenSectorFaultsAndTerminates(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	m := n.miner()
	n.tick()
	s := n.commitSector(m, 1, n.epoch+miner.MinSectorExpiration+100_000)
	n.nextPeriod(m, s)
	burnt := n.balance(builtin.BurntFundsActorAddr)
	n.openDeadline(m, s.deadline)
	n.closeDeadline(m)
	require.Zero(t, n.rawPower(m), "missed its proof")
	until := n.epoch + miner.FaultMaxAge + miner.WPoStProvingPeriod
	for n.epoch < until {
		n.closeDeadline(m)
	}
	st, _, err := n.view().Miner(t.Context(), m)
	require.NoError(t, err)
	require.True(t, st.InitialPledge.IsZero(), "the sector was terminated")
	require.True(t, n.balance(builtin.BurntFundsActorAddr).GreaterThan(burnt), "at a cost")
	n.checkInvariants()
}

// A seal that the verifier refuses never becomes a sector.
func TestBadSealIsNotConfirmed(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	m := n.miner()
	n.tick()
	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.PreCommitSector, &miner.PreCommitSectorParams{
		SealProof: sealType, SectorNumber: 1, SealedCID: sealedCID(t, 1), SealRandEpoch: n.epoch - 1,
		Expiration: n.epoch + miner.MinSectorExpiration + 100_000,
	})
	n.skipTo(n.epoch + miner.PreCommitChallengeDelay + 1)
	n.must(n.alice, m, big.Zero(), builtin.MethodsMiner.ProveCommitSector, &miner.ProveCommitSectorParams{SectorNumber: 1, Proof: make([]byte, 192)})
	n.verifier.no = true
	n.tick()
	_, ok, err := n.view().Sector(t.Context(), m, 1)
	require.NoError(t, err)
	require.False(t, ok)
	n.checkInvariants()
}
