package circuit

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

// referenceProof is a proof of the reference's circuits, with its key and its statement.
type referenceProof struct {
	Bytes      abi.SectorSize `json:"sector_bytes"`
	PoRepID    *vectors.Node  `json:"porep_id_hex"`
	Graph      string         `json:"graph"`
	ProverID   vectors.Node   `json:"prover_id_hex"`
	Number     uint64         `json:"sector_number"`
	Ticket     vectors.Hex    `json:"ticket_hex"`
	Seed       vectors.Hex    `json:"seed_hex"`
	Randomness vectors.Hex    `json:"randomness_hex"`
	CommR      vectors.Node   `json:"comm_r_hex"`
	CommD      vectors.Node   `json:"comm_d_hex"`
	Proof      vectors.Hex    `json:"proof_hex"`
	Key        vectors.Hex    `json:"verifying_key_hex"`
	Derived    struct {
		ReplicaID *vectors.Node `json:"replica_id_hex"`
		Inputs    []string      `json:"public_inputs"`
	} `json:"derived"`
}

// The reference's proofs hold, under its keys, for the public inputs as they are here.
func TestVectorsReferenceProofs(t *testing.T) {
	var f map[string]json.RawMessage
	vectors.Load(t, "groth16_reference_proofs.json", &f)
	ran := 0
	for name, raw := range f {
		var v referenceProof
		if json.Unmarshal(raw, &v) != nil || v.Proof == nil {
			continue // the file's own description
		}
		t.Run(name, func(t *testing.T) {
			ran++
			in := v.inputs(t)
			if want := v.Derived.Inputs; len(want) > 0 {
				if len(want) != len(in) {
					t.Fatalf("%d public inputs, want %d", len(in), len(want))
				}
				for i := range in {
					if n, ok := new(big.Int).SetString(want[i], 0); !ok || n.Cmp(in[i].BigInt(new(big.Int))) != 0 {
						t.Errorf("public input %d is %v, want %s", i, &in[i], want[i])
					}
				}
			}
			if ok, err := pairing(v.Key, v.Proof, in); err != nil || !ok {
				t.Errorf("the proof does not hold (%v)", err)
			}
			one := fr.One()
			for i := range in {
				in[i].Add(&in[i], &one)
				if ok, err := pairing(v.Key, v.Proof, in); err != nil || ok {
					t.Errorf("public input %d changed: the proof holds (%v)", i, err)
				}
				in[i].Sub(&in[i], &one)
			}
		})
	}
	if ran == 0 {
		t.Error("no proof in the file")
	}
	t.Logf("%d proofs", ran)
}

func (v *referenceProof) inputs(t *testing.T) []fr.Element {
	t.Helper()
	miner, n := binary.Uvarint(v.ProverID[:])
	if n <= 0 {
		t.Fatalf("prover id %x", v.ProverID)
	}
	if v.PoRepID == nil {
		return v.postInputs(t, abi.ActorID(miner))
	}
	seal := sealOf(t, abi.RegisteredSealProof(binary.LittleEndian.Uint64(v.PoRepID[:])))
	if seal.PoRepID != [32]byte(*v.PoRepID) || seal.SectorSize != v.Bytes {
		t.Fatalf("porep id %x", v.PoRepID)
	}
	if v.Graph != "" { // the record combines identifier and rules more freely than the chain
		seal.Version = registry.V1_1
	}
	in, err := porepInputs(seal, proof.SealVerifyInfo{
		SealProof: seal.Proof, SectorID: abi.SectorID{Miner: abi.ActorID(miner), Number: abi.SectorNumber(v.Number)},
		Randomness: abi.SealRandomness(v.Ticket), InteractiveRandomness: abi.InteractiveSealRandomness(v.Seed),
		SealedCID: commitment.SealedCID(fr32.Node(v.CommR)), UnsealedCID: commitment.UnsealedCID(fr32.Node(v.CommD)),
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if id := v.Derived.ReplicaID; id != nil && fr32.Bytes(&in[porepReplicaID]) != fr32.Node(*id) {
		t.Errorf("replica id %v", in[porepReplicaID])
	}
	return in
}

func (v *referenceProof) postInputs(t *testing.T, miner abi.ActorID) []fr.Element {
	t.Helper()
	var failed error
	for _, p := range []abi.RegisteredPoStProof{window, window + 1, window + 2} {
		if postOf(t, p).SectorSize != v.Bytes {
			continue
		}
		st, err := post.NewStatement(p, miner, abi.PoStRandomness(v.Randomness), []proof.SectorInfo{{
			SealProof: abi.RegisteredSealProof(p), SectorNumber: abi.SectorNumber(v.Number), SealedCID: commitment.SealedCID(fr32.Node(v.CommR)),
		}})
		if err != nil {
			failed = err
			continue
		}
		in, err := PoStInputs(st, 0)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	t.Fatalf("no statement for a sector of %d bytes (%v)", v.Bytes, failed)
	return nil
}

// pairing checks a proof by the definition (spec: proofs 9.2), with a key of compressed points.
func pairing(key, snark []byte, in []fr.Element) (bool, error) {
	if len(snark) != proofs.ProofBytes {
		return false, fmt.Errorf("a proof of %d bytes", len(snark))
	}
	r := points{b: key}
	alpha, _, beta, gamma, _, delta := r.g1(), r.g1(), r.g2(), r.g2(), r.g1(), r.g2()
	n := binary.BigEndian.Uint32(r.take(4))
	if int(n) != len(in)+1 {
		return false, fmt.Errorf("a key for %d inputs", n-1)
	}
	x := r.g1()
	for i := range in {
		p := r.g1()
		p.ScalarMultiplication(&p, in[i].BigInt(new(big.Int)))
		x.Add(&x, &p)
	}
	s := points{b: snark}
	a, b, c := s.g1(), s.g2(), s.g1()
	if r.err != nil || s.err != nil || len(r.b) != 0 {
		return false, fmt.Errorf("key or proof: %v, %v, %d bytes left", r.err, s.err, len(r.b))
	}
	alpha.Neg(&alpha)
	x.Neg(&x)
	c.Neg(&c)
	return bls12381.PairingCheck([]bls12381.G1Affine{a, alpha, x, c}, []bls12381.G2Affine{b, beta, gamma, delta})
}

// points reads compressed points one after the other, and keeps the first error.
type points struct {
	b   []byte
	err error
}

func (r *points) take(n int) []byte {
	if len(r.b) < n {
		r.err, r.b = fmt.Errorf("it ends too early"), make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *points) g1() (p bls12381.G1Affine) {
	if _, err := p.SetBytes(r.take(bls12381.SizeOfG1AffineCompressed)); err != nil && r.err == nil {
		r.err = err
	}
	return p
}

func (r *points) g2() (p bls12381.G2Affine) {
	if _, err := p.SetBytes(r.take(bls12381.SizeOfG2AffineCompressed)); err != nil && r.err == nil {
		r.err = err
	}
	return p
}
