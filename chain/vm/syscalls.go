package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	proof8 "github.com/filecoin-project/specs-actors/v8/actors/runtime/proof"
	"github.com/ipfs/go-cid"
	"github.com/minio/blake2b-simd"

	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/proofs/commp"
)

// What a proof system may offer beyond proofs.Verifier. One that does not is a network
// where such messages fail, alike on every node.
type (
	aggregateVerifier interface {
		VerifyAggregateSeals(ctx context.Context, s proof.AggregateSealVerifyProofAndInfos) (bool, error)
	}
	updateVerifier interface {
		VerifyReplicaUpdate(ctx context.Context, s proof.ReplicaUpdateInfo) (bool, error)
	}
)

var (
	errNotProven = errors.New("proof does not hold")
	errNoSystem  = errors.New("no proof system")
)

// VerifySignature checks a signature by any account (spec chain.md d.3 on its price).
func (f *frame) VerifySignature(sig crypto.Signature, signer address.Address, plaintext []byte) error {
	price, ok := f.vm.prices.signature(sig.Type)
	if !ok {
		return fmt.Errorf("signature type %d is unknown", sig.Type)
	}
	f.charge(price)
	key, ok, err := f.vm.keyAddress(f.ctx, signer, charged{f})
	if err != nil {
		return fmt.Errorf("key of %s: %w", signer, err)
	}
	if !ok {
		return fmt.Errorf("signer %s is not an account", signer)
	}
	return sigs.Verify(&sig, key, plaintext)
}

// HashBlake2b is blake2b-256.
func (f *frame) HashBlake2b(data []byte) [32]byte {
	f.charge(charge{name: "OnHashing", compute: gasHashing})
	return blake2b.Sum256(data)
}

// ComputeUnsealedSectorCID computes CommD of a sector with these pieces.
func (f *frame) ComputeUnsealedSectorCID(t abi.RegisteredSealProof, pieces []abi.PieceInfo) (cid.Cid, error) {
	f.charge(charge{name: "OnComputeUnsealedSectorCid", compute: gasUnsealedCID})
	return commp.CommD(t, pieces)
}

// VerifySeal checks one seal; actors do not use it any more.
func (f *frame) VerifySeal(s proof8.SealVerifyInfo) error {
	f.charge(charge{name: "OnVerifySeal", compute: gasVerifySeal})
	if f.vm.env.Verifier == nil {
		return errNoSystem
	}
	return f.verdict(f.vm.env.Verifier.VerifySeal(f.ctx, sealInfo(s)))
}

// BatchVerifySeals checks the seals of an epoch, which were paid for one by one.
func (f *frame) BatchVerifySeals(seals map[address.Address][]proof8.SealVerifyInfo) (map[address.Address][]bool, error) {
	f.charge(charge{name: "BatchVerifySeals"})
	miners := make([]address.Address, 0, len(seals))
	out := make(map[address.Address][]bool, len(seals))
	for m, s := range seals {
		miners = append(miners, m)
		out[m] = make([]bool, len(s))
	}
	if f.vm.env.Verifier == nil {
		return out, nil
	}
	slices.SortFunc(miners, func(a, b address.Address) int { return slices.Compare(a.Bytes(), b.Bytes()) })
	var all []proof.SealVerifyInfo
	for _, m := range miners {
		for _, s := range seals[m] {
			all = append(all, sealInfo(s))
		}
	}
	good := f.verifySeals(all)
	for _, m := range miners {
		n := copy(out[m], good)
		good = good[n:]
	}
	return out, nil
}

// verifySeals answers for each seal; one that cannot be understood does not hold.
func (f *frame) verifySeals(all []proof.SealVerifyInfo) []bool {
	good, err := f.vm.env.Verifier.VerifySeals(f.ctx, all)
	if err == nil && len(good) == len(all) {
		return good
	}
	good = make([]bool, len(all))
	for i, s := range all {
		good[i] = f.verdict(f.vm.env.Verifier.VerifySeal(f.ctx, s)) == nil
	}
	return good
}

// VerifyAggregateSeals checks many seals in one proof.
func (f *frame) VerifyAggregateSeals(a proof8.AggregateSealVerifyProofAndInfos) error {
	f.charge(f.vm.prices.aggregate(a.SealProof, len(a.Infos)))
	if f.vm.env.Verifier == nil {
		return errNoSystem
	}
	v, ok := f.vm.env.Verifier.(aggregateVerifier)
	if !ok {
		return fmt.Errorf("the proof system %q of this network does not offer aggregated seals yet: prove the sectors one by one", f.vm.env.Verifier.Name())
	}
	s := proof.AggregateSealVerifyProofAndInfos{
		Miner: a.Miner, SealProof: a.SealProof, AggregateProof: a.AggregateProof, Proof: a.Proof,
		Infos: make([]proof.AggregateSealVerifyInfo, len(a.Infos)),
	}
	for i, n := range a.Infos {
		s.Infos[i] = proof.AggregateSealVerifyInfo(n)
	}
	return f.verdict(v.VerifyAggregateSeals(f.ctx, s))
}

// VerifyReplicaUpdate checks that a sector was given data after sealing.
func (f *frame) VerifyReplicaUpdate(u proof8.ReplicaUpdateInfo) error {
	f.charge(charge{name: "OnVerifyReplicaUpdate", compute: f.vm.prices.replicaUpdate})
	if f.vm.env.Verifier == nil {
		return errNoSystem
	}
	v, ok := f.vm.env.Verifier.(updateVerifier)
	if !ok {
		return fmt.Errorf("the proof system %q of this network does not offer replica updates yet: seal a new sector", f.vm.env.Verifier.Name())
	}
	return f.verdict(v.VerifyReplicaUpdate(f.ctx, proof.ReplicaUpdateInfo{
		UpdateProofType: u.UpdateProofType, NewSealedSectorCID: u.NewSealedSectorCID,
		OldSealedSectorCID: u.OldSealedSectorCID, NewUnsealedSectorCID: u.NewUnsealedSectorCID, Proof: u.Proof,
	}))
}

// VerifyPoSt checks a window PoSt.
func (f *frame) VerifyPoSt(p proof8.WindowPoStVerifyInfo) error {
	var t abi.RegisteredPoStProof
	if len(p.Proofs) > 0 {
		t = p.Proofs[0].PoStProof
	}
	f.charge(f.vm.prices.post(t, len(p.ChallengedSectors)))
	if f.vm.env.Verifier == nil {
		return errNoSystem
	}
	s := proof.WindowPoStVerifyInfo{
		Randomness: p.Randomness, Prover: p.Prover,
		Proofs:            make([]proof.PoStProof, len(p.Proofs)),
		ChallengedSectors: make([]proof.SectorInfo, len(p.ChallengedSectors)),
	}
	for i, x := range p.Proofs {
		s.Proofs[i] = proof.PoStProof(x)
	}
	for i, x := range p.ChallengedSectors {
		s.ChallengedSectors[i] = proof.SectorInfo(x)
	}
	return f.verdict(f.vm.env.Verifier.VerifyWindowPoSt(f.ctx, s))
}

// verdict turns a verifier's answer into the actor's. An execution that was called off must
// not look like a bad proof.
func (f *frame) verdict(ok bool, err error) error {
	if stop := f.ctx.Err(); stop != nil {
		panic(fatal{stop})
	}
	if err == nil && !ok {
		return errNotProven
	}
	return err
}

func sealInfo(s proof8.SealVerifyInfo) proof.SealVerifyInfo {
	return proof.SealVerifyInfo{
		SealProof: s.SealProof, SectorID: s.SectorID, DealIDs: s.DealIDs, Randomness: s.Randomness,
		InteractiveRandomness: s.InteractiveRandomness, Proof: s.Proof,
		SealedCID: s.SealedCID, UnsealedCID: s.UnsealedCID,
	}
}
