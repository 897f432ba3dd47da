package snark

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"slices"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/params"
)

// flip returns b with one bit changed.
func flip(b []byte, bit int) []byte {
	b = slices.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// flipBits are the bits of a proof that are flipped: one of each byte, or all.
func flipBits() (bits []int) {
	step := 13 // a step that comes by every place in a byte
	if os.Getenv("LODE_LONG") == "1" {
		step = 1
	}
	for i := 0; i < 8*proofs.ProofBytes; i += step {
		bits = append(bits, i)
	}
	return bits
}

// strayPoints are encodings of G1 that are no points of the group.
func strayPoints(t *testing.T) map[string][]byte {
	t.Helper()
	infinity := make([]byte, curve.SizeOfG1AffineCompressed)
	infinity[0] = 0xc0
	out := map[string][]byte{"infinity": infinity}
	var b fp.Element
	b.SetUint64(4)
	for x := uint64(1); len(out) < 3; x++ {
		var p curve.G1Affine
		p.X.SetUint64(x)
		var yy fp.Element
		yy.Square(&p.X).Mul(&yy, &p.X).Add(&yy, &b)
		switch {
		case p.Y.Sqrt(&yy) == nil:
			enc := p.X.Bytes()
			enc[0] |= 0x80
			out["a point off the curve"] = enc[:]
		case !p.IsInSubGroup():
			enc := p.Bytes()
			out["a point outside the subgroup"] = enc[:]
		}
	}
	return out
}

func withPoint(proof, point []byte, at int) []byte {
	return slices.Replace(slices.Clone(proof), at, at+len(point), point...)
}

func TestVerifySeal(t *testing.T) {
	g := readGolden(t)
	v := g.verifier(t)
	if ok, err := v.VerifySeal(bg, g.Seal); !ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
	withDeals := g.Seal
	withDeals.DealIDs = []abi.DealID{7}
	if ok, err := v.VerifySeal(bg, withDeals); !ok || err != nil {
		t.Errorf("with deals: got %v, %v", ok, err)
	}
	p := g.Seal.Proof
	cases := map[string]func(*proof.SealVerifyInfo){
		"proof type":           func(s *proof.SealVerifyInfo) { s.SealProof -= 5 },
		"size":                 func(s *proof.SealVerifyInfo) { s.SealProof++ },
		"non-interactive":      func(s *proof.SealVerifyInfo) { s.SealProof += 10 },
		"unknown proof type":   func(s *proof.SealVerifyInfo) { s.SealProof = 1000 },
		"prover id":            func(s *proof.SealVerifyInfo) { s.Miner ^= 1 },
		"number":               func(s *proof.SealVerifyInfo) { s.Number ^= 1 },
		"a high bit of number": func(s *proof.SealVerifyInfo) { s.Number ^= 1 << 60 },
		"ticket":               func(s *proof.SealVerifyInfo) { s.Randomness = flip(s.Randomness, 255) },
		"short ticket":         func(s *proof.SealVerifyInfo) { s.Randomness = ticket[:31] },
		"seed":                 func(s *proof.SealVerifyInfo) { s.InteractiveRandomness = flip(s.InteractiveRandomness, 0) },
		"short seed":           func(s *proof.SealVerifyInfo) { s.InteractiveRandomness = seed[:31] },
		"no seed":              func(s *proof.SealVerifyInfo) { s.InteractiveRandomness = nil },
		"commD":                func(s *proof.SealVerifyInfo) { s.UnsealedCID = commp.ZeroPiece(4096) },
		"commR":                func(s *proof.SealVerifyInfo) { s.SealedCID = commitment.SealedCID(fr32.Node{1}) },
		"commR that is no field": func(s *proof.SealVerifyInfo) {
			s.SealedCID = commitment.SealedCID(fr32.Node(bytes.Repeat([]byte{0xff}, 32)))
		},
		"CIDs swapped":          func(s *proof.SealVerifyInfo) { s.UnsealedCID, s.SealedCID = s.SealedCID, s.UnsealedCID },
		"commD undefined":       func(s *proof.SealVerifyInfo) { s.UnsealedCID = cid.Undef },
		"commR undefined":       func(s *proof.SealVerifyInfo) { s.SealedCID = cid.Undef },
		"no proof":              func(s *proof.SealVerifyInfo) { s.Proof = nil },
		"short proof":           func(s *proof.SealVerifyInfo) { s.Proof = p[:191] },
		"long proof":            func(s *proof.SealVerifyInfo) { s.Proof = append(slices.Clone(p), 0) },
		"two proofs":            func(s *proof.SealVerifyInfo) { s.Proof = append(slices.Clone(p), p...) },
		"zeros":                 func(s *proof.SealVerifyInfo) { s.Proof = make([]byte, proofs.ProofBytes) },
		"window PoSt as proof":  func(s *proof.SealVerifyInfo) { s.Proof = g.Window.Proofs[0].ProofBytes },
		"winning PoSt as proof": func(s *proof.SealVerifyInfo) { s.Proof = g.Winning.Proofs[0].ProofBytes },
		"A and C swapped":       func(s *proof.SealVerifyInfo) { s.Proof = slices.Concat(p[144:], p[48:144], p[:48]) },
	}
	for name, point := range strayPoints(t) {
		cases["A is "+name] = func(s *proof.SealVerifyInfo) { s.Proof = withPoint(p, point, 0) }
		cases["C is "+name] = func(s *proof.SealVerifyInfo) { s.Proof = withPoint(p, point, 144) }
	}
	var all []proof.SealVerifyInfo
	var want []bool
	for name, change := range cases {
		changed := g.Seal
		change(&changed)
		if ok, _ := v.VerifySeal(bg, changed); ok {
			t.Errorf("%s changed: accepted", name)
		}
		all, want = append(all, changed), append(want, false)
		if len(all)%5 == 0 {
			all, want = append(all, g.Seal), append(want, true)
		}
	}
	oks, err := v.VerifySeals(bg, all)
	if err != nil || !slices.Equal(oks, want) {
		t.Errorf("all in one batch: got %v, %v, want %v", oks, err, want)
	}
	for _, bit := range flipBits() {
		changed := g.Seal
		changed.Proof = flip(p, bit)
		if ok, _ := v.VerifySeal(bg, changed); ok {
			t.Errorf("bit %d of the proof flipped: accepted", bit)
		}
	}

	if oks, err := v.VerifySeals(bg, nil); len(oks) != 0 || err != nil {
		t.Errorf("no seals: got %v, %v", oks, err)
	}
	cancelled, cancel := context.WithCancel(bg)
	cancel()
	if _, err := v.VerifySeals(cancelled, all); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if _, err := v.VerifySeal(cancelled, g.Seal); !errors.Is(err, context.Canceled) {
		t.Errorf("one, cancelled: got %v", err)
	}
}

func TestVerifyPoSt(t *testing.T) {
	g := readGolden(t)
	v := g.verifier(t)
	if ok, err := v.VerifyWindowPoSt(bg, g.Window); !ok || err != nil {
		t.Fatalf("window: got %v, %v", ok, err)
	}
	if ok, err := v.VerifyWinningPoSt(bg, g.Winning); !ok || err != nil {
		t.Fatalf("winning: got %v, %v", ok, err)
	}
	backwards := g.Window
	backwards.ChallengedSectors = []proof.SectorInfo{g.Window.ChallengedSectors[1], g.Window.ChallengedSectors[0]}
	if ok, err := v.VerifyWindowPoSt(bg, backwards); !ok || err != nil {
		t.Errorf("sectors in another order: got %v, %v", ok, err)
	}
	untrimmed := g.Window
	untrimmed.Randomness = flip(untrimmed.Randomness, 255)
	if ok, err := v.VerifyWindowPoSt(bg, untrimmed); !ok || err != nil {
		t.Errorf("randomness that is trimmed to the same: got %v, %v", ok, err)
	}
	of := func(p abi.RegisteredPoStProof, b []byte) []proof.PoStProof {
		return []proof.PoStProof{{PoStProof: p, ProofBytes: b}}
	}
	good := g.Window.Proofs[0].ProofBytes
	cases := map[string]func(*proof.WindowPoStVerifyInfo){
		"randomness":       func(s *proof.WindowPoStVerifyInfo) { s.Randomness = flip(s.Randomness, 3) },
		"short randomness": func(s *proof.WindowPoStVerifyInfo) { s.Randomness = random[:31] },
		"number":           func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SectorNumber++ },
		"commR": func(s *proof.WindowPoStVerifyInfo) {
			s.ChallengedSectors[1].SealedCID = s.ChallengedSectors[0].SealedCID
		},
		"commD as commR": func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SealedCID = commp.ZeroPiece(2048) },
		"seal size":      func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SealProof++ },
		"one less":       func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors = s.ChallengedSectors[:1] },
		"one more": func(s *proof.WindowPoStVerifyInfo) {
			more := s.ChallengedSectors[1]
			more.SectorNumber++
			s.ChallengedSectors = append(s.ChallengedSectors, more)
		},
		"none":         func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors = nil },
		"winning type": func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(winning, good) },
		"newer type":   func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window11, good) },
		"unknown type": func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(99, good) },
		"size":         func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window+1, good) },
		"no proof":     func(s *proof.WindowPoStVerifyInfo) { s.Proofs = nil },
		"empty proof":  func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, nil) },
		"short proof":  func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, good[:191]) },
		"long proof":   func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, append(slices.Clone(good), 1)) },
		"other circuit": func(s *proof.WindowPoStVerifyInfo) {
			s.Proofs = of(window, g.Winning.Proofs[0].ProofBytes)
		},
		"seal as proof": func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, g.Seal.Proof) },
		"two proofs":    func(s *proof.WindowPoStVerifyInfo) { s.Proofs = append(slices.Clone(s.Proofs), s.Proofs[0]) },
	}
	for name, point := range strayPoints(t) {
		cases["A is "+name] = func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, withPoint(good, point, 0)) }
	}
	for name, change := range cases {
		changed := g.Window
		changed.ChallengedSectors = slices.Clone(g.Window.ChallengedSectors)
		change(&changed)
		if ok, _ := v.VerifyWindowPoSt(bg, changed); ok {
			t.Errorf("%s changed: accepted", name)
		}
	}
	for _, bit := range flipBits() {
		changed := g.Winning
		changed.Proofs = of(winning, flip(g.Winning.Proofs[0].ProofBytes, bit))
		if ok, _ := v.VerifyWinningPoSt(bg, changed); ok {
			t.Errorf("bit %d of the winning PoSt flipped: accepted", bit)
		}
	}
	if ok, _ := v.VerifyWindowPoSt(bg, proof.WindowPoStVerifyInfo(g.Winning)); ok {
		t.Error("a winning PoSt was accepted as a window PoSt")
	}
	if ok, _ := v.VerifyWinningPoSt(bg, proof.WinningPoStVerifyInfo(g.Window)); ok {
		t.Error("a window PoSt was accepted as a winning PoSt")
	}
}

func TestNewVerifier(t *testing.T) {
	g := readGolden(t)
	circuits, err := params.Circuits(sectorSize)
	if err != nil {
		t.Fatal(err)
	}
	if got := (*Verifier)(nil).Name(); got != "groth16" {
		t.Error(got)
	}
	for _, c := range circuits {
		pin, err := devnetPin(c.Name())
		if err != nil || pin != groth16.Digest(sha256.Sum256(g.Keys[c.Name()])) {
			t.Errorf("%s: the pin %s is not that of the golden key, %v", c.Name(), pin, err)
		}
	}
	porep, win := circuits[0].Name(), circuits[1].Name()
	for name, change := range map[string]func(map[string][]byte){
		"no key of replication": func(k map[string][]byte) { delete(k, porep) },
		"no key of winning":     func(k map[string][]byte) { delete(k, win) },
		"keys exchanged":        func(k map[string][]byte) { k[porep], k[win] = k[win], k[porep] },
		"a cut key":             func(k map[string][]byte) { k[porep] = k[porep][:len(k[porep])-1] },
		"an empty key":          func(k map[string][]byte) { k[porep] = nil },
		"a key with a bad bit":  func(k map[string][]byte) { k[porep] = flip(k[porep], 8*100) },
	} {
		keys := map[string][]byte{}
		for n, b := range g.Keys {
			keys[n] = b
		}
		change(keys)
		if _, err := NewVerifier(keys, sectorSize); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewVerifier(g.Keys, 8<<20); !errors.Is(err, ErrNoKey) {
		t.Errorf("another sector size: got %v", err)
	}
}

// FuzzVerifySeal: no proof and no statement but the golden one is accepted, and none panics.
func FuzzVerifySeal(f *testing.F) {
	g := readGolden(f)
	v := g.verifier(f)
	f.Add(g.Seal.Proof, []byte(ticket), []byte(seed), g.Seal.SealedCID.Bytes(), g.Seal.UnsealedCID.Bytes(), uint64(g.Seal.Number), int64(sealType))
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, []byte{}, uint64(0), int64(-1))
	f.Fuzz(func(t *testing.T, p, ticket, seed, sealed, unsealed []byte, number uint64, kind int64) {
		s := proof.SealVerifyInfo{
			SealProof: abi.RegisteredSealProof(kind), SectorID: abi.SectorID{Miner: miner, Number: abi.SectorNumber(number)},
			Randomness: ticket, InteractiveRandomness: seed, Proof: p,
		}
		_, s.SealedCID, _ = cid.CidFromBytes(sealed)
		_, s.UnsealedCID, _ = cid.CidFromBytes(unsealed)
		same := bytes.Equal(p, g.Seal.Proof) && bytes.Equal(ticket, g.Seal.Randomness) && bytes.Equal(seed, g.Seal.InteractiveRandomness) &&
			s.SealedCID == g.Seal.SealedCID && s.UnsealedCID == g.Seal.UnsealedCID && s.Number == g.Seal.Number && s.SealProof == g.Seal.SealProof
		if ok, _ := v.VerifySeal(bg, s); ok != same {
			t.Fatalf("got %v, want %v", ok, same)
		}
	})
}
