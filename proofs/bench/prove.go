package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	"github.com/consensys/gnark/backend/witness"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

// Keys is where the keys of circuits are, a params.Store.
type Keys interface {
	List() ([]params.Entry, error)
	ProvingKey(ctx context.Context, w params.Want) (*params.Keys, error)
}

// made is a proof, to be verified later on.
type made struct {
	what  string
	key   *groth16.VerifyingKey
	proof []byte

	inputs []fr.Element
}

// proveRates measures provers on sectors of zeros.
func (s *session) proveRates(ctx context.Context, e Env) ([]Row, error) {
	var err error
	if s.sealed == nil {
		if s.sealed, err = sealZeros(ctx, e.Proof, e.Files); err != nil {
			return nil, err
		}
	}
	var rows []Row
	for _, part := range []func(context.Context, Env) (Row, error){s.proveWindow, s.proveWinning, s.proveSeal} {
		row, err := part(ctx, e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// randomness of all statements here; any will do.
var randomness = make([]byte, 32)

// proveWindow is the prover with our keys beside gnark's with its own.
func (s *session) proveWindow(ctx context.Context, e Env) (Row, error) {
	row := Row{Name: "prove window PoSt 2KiB"}
	if s.setup == nil {
		row.Skipped = "it takes the keys of the stage setup, which was left out"
		return row, nil
	}
	sealed, err := sealZeros(ctx, compared, porep.MemFiles())
	if err != nil {
		return row, err
	}
	_, window, err := postsOf(compared)
	if err != nil {
		return row, err
	}
	w, err := sealed.postWitness(ctx, window)
	if err != nil {
		return row, err
	}
	ours := task{1, func() error {
		_, _, err := s.setup.ours.Prove(ctx, s.setup.r1cs, w)
		return err
	}}
	peer := task{1, func() error {
		_, err := gnark.Prove(s.setup.r1cs, &s.setup.gnark.pk, w)
		return err
	}}
	rates, err := e.compareIn(ctx, 3, ours, peer)
	if err != nil {
		return row, err
	}
	n := float64(s.setup.r1cs.GetNbConstraints())
	row = Row{Name: row.Name, Rate: n * rates[0], Unit: "constraints/s", Cores: allCores(), Note: took(rates[0])}
	return row.against("gnark's Prove with its own key", n*rates[1], 0), nil
}

// proveWinning is what a miner has to do within an epoch, but for reading the sector.
func (s *session) proveWinning(ctx context.Context, e Env) (row Row, err error) {
	winning, _, err := postsOf(e.Proof)
	if err != nil {
		return row, err
	}
	st, err := circuit.Winning(winning)
	if err != nil {
		return row, err
	}
	w, err := s.sealed.postWitness(ctx, winning)
	if err != nil {
		return row, err
	}
	pin, _, err := find(e.Keys, st)
	if err != nil {
		return row, err
	}
	const times = 3
	rate, n, err := s.prove(ctx, e, "winning PoSt", params.Want{Circuit: st, Pin: pin, Seed: devnetSeed}, w, times)
	if err != nil {
		return row, err
	}
	row = Row{Name: "prove winning PoSt", Rate: rate * n, Unit: "constraints/s", Cores: allCores(), Note: took(rate)}
	if e.Epoch > 0 {
		row = row.against(fmt.Sprintf("one epoch of a devnet, %s", e.Epoch), n/e.Epoch.Seconds(), 1)
	}
	return row, nil
}

// proveSeal needs keys that take minutes to make.
func (s *session) proveSeal(ctx context.Context, e Env) (Row, error) {
	row := Row{Name: "prove replication"}
	seal, err := registry.SealOf(e.Proof)
	if err != nil {
		return row, err
	}
	st, err := circuit.PoRep(seal)
	if err != nil {
		return row, err
	}
	pin, ok, err := find(e.Keys, st)
	if err != nil {
		return row, err
	}
	if !ok && !e.Long {
		row.Skipped = "there are no keys of " + st.Name() + ", which take minutes to make"
		return row, nil
	}
	z := s.sealed
	vanilla, err := porep.Prove(ctx, z.task, z.commD, z.commR, randomness, z.files)
	if err != nil {
		return row, err
	}
	w, err := circuit.PoRepWitness(proof.SealVerifyInfo{
		SealProof: z.task.Proof, SectorID: abi.SectorID{Miner: z.task.Miner, Number: z.task.Number},
		Randomness: z.task.Ticket, InteractiveRandomness: randomness, SealedCID: z.commR, UnsealedCID: z.commD,
	}, vanilla, 0)
	if err != nil {
		return row, err
	}
	rate, n, err := s.prove(ctx, e, "replication", params.Want{Circuit: st, Pin: pin, Seed: devnetSeed}, w, 1)
	if err != nil {
		return row, err
	}
	row = Row{Name: row.Name, Rate: rate * n, Unit: "constraints/s", Cores: allCores(), Note: took(rate)}
	if seal.Partitions > 1 {
		row.Note += fmt.Sprintf(", one of %d partitions", seal.Partitions)
	}
	return row, nil
}

var devnetSeed = []byte(params.DevnetSeed)

// find looks for keys of devnets that are there already: with their digest, they can be
// opened without compiling the circuit.
func find(k Keys, st *circuit.Statement) (pin groth16.Digest, ok bool, err error) {
	entries, err := k.List()
	for _, f := range entries {
		if f.Kind == params.KindProving && f.Circuit == st.Name() && f.Insecure && f.Problem == "" {
			pin, ok = f.Digest, true
		}
	}
	return pin, ok, err
}

// prove makes a proof some times, with keys that are made when they are missing, and gives the
// best rate of proofs and the number of constraints. The proof is kept for verifying.
func (s *session) prove(ctx context.Context, e Env, what string, want params.Want, w witness.Witness, times int) (rate, n float64, err error) {
	keys, err := e.Keys.ProvingKey(ctx, want)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	e.say("prove %s", what)
	m := made{what: what, key: keys.Key.VerifyingKey()}
	for range times {
		start := e.Now()
		if m.proof, m.inputs, err = keys.Prove(ctx, w); err != nil {
			return 0, 0, err
		}
		rate = max(rate, 1/max(e.Now().Sub(start), time.Nanosecond).Seconds())
	}
	s.made = append(s.made, m)
	return rate, float64(keys.Circuit.GetNbConstraints()), nil
}

// postWitness is that of a PoSt of this sector alone, for the first partition.
func (z *sealedSector) postWitness(ctx context.Context, p registry.PoSt) (witness.Witness, error) {
	info := proof.SectorInfo{SealProof: z.task.Proof, SectorNumber: z.task.Number, SealedCID: z.commR}
	vanilla, err := post.ProveSector(ctx, p.Proof, info, 0, randomness, z.files)
	if err != nil {
		return nil, err
	}
	sectors, all := []proof.SectorInfo{info}, []*post.SectorProof{vanilla}
	var st *post.Statement
	if p.Winning {
		st, err = post.CheckWinning(proof.WinningPoStVerifyInfo{Randomness: randomness, Prover: z.task.Miner, ChallengedSectors: sectors}, all)
	} else {
		st, err = post.CheckWindow(proof.WindowPoStVerifyInfo{Randomness: randomness, Prover: z.task.Miner, ChallengedSectors: sectors}, all)
	}
	if err != nil {
		return nil, err
	}
	return circuit.PoStWitness(st, all, 0)
}
