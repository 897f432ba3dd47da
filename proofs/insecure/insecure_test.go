package insecure

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
	"github.com/lodenet/lode/proofs/post"
)

const (
	sealType = abi.RegisteredSealProof_StackedDrg2KiBV1_1
	miner    = abi.ActorID(1000)
)

var (
	bg     = context.Background()
	ticket = abi.SealRandomness(bytes.Repeat([]byte{1}, 32))
	seed   = abi.InteractiveSealRandomness(bytes.Repeat([]byte{2}, 32))
	rand   = abi.PoStRandomness(bytes.Repeat([]byte{0xff}, 32))
)

// sealed seals a sector of zeros.
func sealed(t *testing.T, n abi.SectorNumber) *poreptest.Sector {
	t.Helper()
	return poreptest.Zeros(t, porep.Task{Proof: sealType, Miner: miner, Number: n, Ticket: ticket})
}

func TestSeal(t *testing.T) {
	y := New()
	s, vanilla := sealed(t, 5).Prove(t, seed)
	p, err := y.ProveSeal(bg, s, vanilla)
	if err != nil || len(p) != proofs.ProofBytes {
		t.Fatalf("got %d bytes, %v", len(p), err)
	}
	s.Proof = p
	if ok, err := y.VerifySeal(bg, s); !ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
	withDeals := s
	withDeals.DealIDs = []abi.DealID{7}
	if ok, err := y.VerifySeal(bg, withDeals); !ok || err != nil {
		t.Errorf("with deals: got %v, %v", ok, err)
	}

	otherD, otherR := commp.ZeroPiece(4096), commitment.SealedCID(fr32.Node{1})
	for name, change := range map[string]func(*proof.SealVerifyInfo){
		"proof type":      func(s *proof.SealVerifyInfo) { s.SealProof -= 5 },
		"miner":           func(s *proof.SealVerifyInfo) { s.Miner++ },
		"number":          func(s *proof.SealVerifyInfo) { s.Number++ },
		"ticket":          func(s *proof.SealVerifyInfo) { s.Randomness = abi.SealRandomness(seed) },
		"short ticket":    func(s *proof.SealVerifyInfo) { s.Randomness = ticket[:31] },
		"seed":            func(s *proof.SealVerifyInfo) { s.InteractiveRandomness = abi.InteractiveSealRandomness(ticket) },
		"no seed":         func(s *proof.SealVerifyInfo) { s.InteractiveRandomness = nil },
		"commD":           func(s *proof.SealVerifyInfo) { s.UnsealedCID = otherD },
		"commR":           func(s *proof.SealVerifyInfo) { s.SealedCID = otherR },
		"CIDs swapped":    func(s *proof.SealVerifyInfo) { s.UnsealedCID, s.SealedCID = s.SealedCID, s.UnsealedCID },
		"commD undefined": func(s *proof.SealVerifyInfo) { s.UnsealedCID = cid.Undef },
		"commR undefined": func(s *proof.SealVerifyInfo) { s.SealedCID = cid.Undef },
		"unknown proof":   func(s *proof.SealVerifyInfo) { s.SealProof = 1000 },
		"no proof":        func(s *proof.SealVerifyInfo) { s.Proof = nil },
		"short proof":     func(s *proof.SealVerifyInfo) { s.Proof = p[:191] },
		"long proof":      func(s *proof.SealVerifyInfo) { s.Proof = append(slices.Clone(p), 0) },
		"a bit of it":     func(s *proof.SealVerifyInfo) { s.Proof = slices.Clone(p); s.Proof[100] ^= 1 },
	} {
		changed := s
		change(&changed)
		if ok, _ := y.VerifySeal(bg, changed); ok {
			t.Errorf("%s changed: accepted", name)
		}
		if name == "proof type" || s.Proof == nil {
			continue
		}
		oks, err := y.VerifySeals(bg, []proof.SealVerifyInfo{s, changed, s})
		if err != nil || !slices.Equal(oks, []bool{true, false, true}) {
			t.Errorf("%s changed, among others: got %v, %v", name, oks, err)
		}
	}

	vanilla.Partitions[0][0].Replica.Leaf[3] ^= 1
	if _, err := y.ProveSeal(bg, s, vanilla); !errors.Is(err, porep.ErrInvalid) {
		t.Errorf("a vanilla proof that does not hold: got %v", err)
	}
	if _, err := y.ProveSeal(bg, s, nil); err == nil {
		t.Error("no vanilla proof was accepted")
	}
	if _, err := y.ProveSeal(bg, s, (*porep.Proof)(nil)); !errors.Is(err, porep.ErrInvalid) {
		t.Errorf("a nil vanilla proof: got %v", err)
	}
	cancelled, cancel := context.WithCancel(bg)
	cancel()
	if _, err := y.VerifySeals(cancelled, []proof.SealVerifyInfo{s}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// Proofs of larger and of other seal types have the real system's lengths.
func TestSealLengths(t *testing.T) {
	s := proof.SealVerifyInfo{Randomness: ticket, InteractiveRandomness: seed, SealedCID: commitment.SealedCID(fr32.Node{1}), UnsealedCID: commp.ZeroPiece(2048)}
	for p, want := range map[abi.RegisteredSealProof]int{
		abi.RegisteredSealProof_StackedDrg8MiBV1_1:                     192,
		abi.RegisteredSealProof_StackedDrg32GiBV1_1:                    1920,
		abi.RegisteredSealProof_StackedDrg2KiBV1_2_Feat_NiPoRep:        14164,
		abi.RegisteredSealProof_StackedDrg2KiBV1_1_Feat_SyntheticPoRep: 192,
	} {
		s.SealProof = p
		if b, err := sealProof(s); err != nil || len(b) != want {
			t.Errorf("seal proof %d: got %d bytes, %v", p, len(b), err)
		}
	}
}

func TestPoSt(t *testing.T) {
	y := New()
	const (
		winning  = abi.RegisteredPoStProof_StackedDrgWinning2KiBV1
		window   = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
		window11 = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1_1
	)
	var sectors []proof.SectorInfo
	var files []porep.Files
	for _, n := range []abi.SectorNumber{2, 3, 10} {
		s := sealed(t, n)
		sectors, files = append(sectors, s.Info()), append(files, s.Files)
	}
	witnesses := func(p abi.RegisteredPoStProof, n int) (w []proofs.PoStWitness) {
		for i := range n {
			v, err := post.ProveSector(bg, p, sectors[i], i, rand, files[i])
			if err != nil {
				t.Fatal(err)
			}
			w = append(w, v)
		}
		return w
	}

	for _, p := range []abi.RegisteredPoStProof{window, window11} {
		for n := 1; n <= 3; n++ {
			s := proof.WindowPoStVerifyInfo{Randomness: rand, ChallengedSectors: sectors[:n], Prover: miner}
			proven, err := y.ProveWindowPoSt(bg, s, witnesses(p, n))
			if err != nil {
				t.Fatal(err)
			}
			if len(proven) != 1 || proven[0].PoStProof != p || len(proven[0].ProofBytes) != proofs.ProofBytes*((n+1)/2) {
				t.Fatalf("got %d proofs, the first %d bytes of type %d", len(proven), len(proven[0].ProofBytes), proven[0].PoStProof)
			}
			s.Proofs = proven
			if ok, err := y.VerifyWindowPoSt(bg, s); !ok || err != nil {
				t.Errorf("%d sectors: got %v, %v", n, ok, err)
			}
			trimmed := s
			trimmed.Randomness = slices.Clone(rand)
			trimmed.Randomness[31] &= 0x3f
			if ok, err := y.VerifyWindowPoSt(bg, trimmed); !ok || err != nil {
				t.Errorf("%d sectors, trimmed randomness: got %v, %v", n, ok, err)
			}
		}
	}

	s := proof.WindowPoStVerifyInfo{Randomness: rand, ChallengedSectors: sectors[:2], Prover: miner}
	good, err := y.ProveWindowPoSt(bg, s, witnesses(window, 2))
	if err != nil {
		t.Fatal(err)
	}
	of := func(p abi.RegisteredPoStProof, b []byte) []proof.PoStProof {
		return []proof.PoStProof{{PoStProof: p, ProofBytes: b}}
	}
	bytesOf := good[0].ProofBytes
	flipped := slices.Clone(bytesOf)
	flipped[0] ^= 0x80
	for name, change := range map[string]func(*proof.WindowPoStVerifyInfo){
		"randomness":       func(s *proof.WindowPoStVerifyInfo) { s.Randomness = abi.PoStRandomness(ticket) },
		"short randomness": func(s *proof.WindowPoStVerifyInfo) { s.Randomness = rand[:31] },
		"prover":           func(s *proof.WindowPoStVerifyInfo) { s.Prover++ },
		"number":           func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SectorNumber++ },
		"seal type":        func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SealProof -= 5 },
		"commR":            func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SealedCID = sectors[2].SealedCID },
		"commD as commR":   func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors[1].SealedCID = commp.ZeroPiece(2048) },
		"one more":         func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors = slices.Clone(sectors) },
		"one less":         func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors = s.ChallengedSectors[:1] },
		"none":             func(s *proof.WindowPoStVerifyInfo) { s.ChallengedSectors = nil },
		"type":             func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window11, bytesOf) },
		"winning type":     func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(winning, bytesOf) },
		"unknown type":     func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(99, bytesOf) },
		"size":             func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window+1, bytesOf) },
		"no proof":         func(s *proof.WindowPoStVerifyInfo) { s.Proofs = nil },
		"empty proof":      func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, nil) },
		"short proof":      func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, bytesOf[:191]) },
		"long proof":       func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, append(slices.Clone(bytesOf), 1)) },
		"a bit of it":      func(s *proof.WindowPoStVerifyInfo) { s.Proofs = of(window, flipped) },
		"two proofs":       func(s *proof.WindowPoStVerifyInfo) { s.Proofs = append(slices.Clone(good), good[0]) },
	} {
		changed := s
		changed.Proofs, changed.ChallengedSectors = good, slices.Clone(sectors[:2])
		if ok, err := y.VerifyWindowPoSt(bg, changed); !ok || err != nil {
			t.Fatalf("unchanged: got %v, %v", ok, err)
		}
		change(&changed)
		if ok, _ := y.VerifyWindowPoSt(bg, changed); ok {
			t.Errorf("%s changed: accepted", name)
		}
	}

	one := proof.WinningPoStVerifyInfo{Randomness: rand, ChallengedSectors: sectors[:1], Prover: miner}
	if one.Proofs, err = y.ProveWinningPoSt(bg, one, witnesses(winning, 1)); err != nil {
		t.Fatal(err)
	}
	if len(one.Proofs) != 1 || one.Proofs[0].PoStProof != winning || len(one.Proofs[0].ProofBytes) != proofs.ProofBytes {
		t.Errorf("got %v", one.Proofs)
	}
	if ok, err := y.VerifyWinningPoSt(bg, one); !ok || err != nil {
		t.Errorf("winning: got %v, %v", ok, err)
	}
	if ok, _ := y.VerifyWindowPoSt(bg, proof.WindowPoStVerifyInfo(one)); ok {
		t.Error("a winning proof was accepted as a window proof")
	}
	one.Prover++
	if ok, _ := y.VerifyWinningPoSt(bg, one); ok {
		t.Error("winning, prover changed: accepted")
	}

	bad := witnesses(window, 2)
	bad[1].(*post.SectorProof).Paths[0].Leaf[0] ^= 1
	if _, err := y.ProveWindowPoSt(bg, s, bad); !errors.Is(err, post.ErrInvalid) {
		t.Errorf("a vanilla proof that does not hold: got %v", err)
	}
	if _, err := y.ProveWindowPoSt(bg, s, []proofs.PoStWitness{nil, nil}); err == nil {
		t.Error("nil witnesses were accepted")
	}
	if _, err := y.ProveWinningPoSt(bg, proof.WinningPoStVerifyInfo(s), witnesses(window, 2)); err == nil {
		t.Error("window proofs made a winning proof")
	}
	if _, err := y.ProveWindowPoSt(bg, proof.WindowPoStVerifyInfo(s), witnesses(winning, 1)); err == nil {
		t.Error("a winning proof made a window proof")
	}
}

func TestName(t *testing.T) {
	if New().Name() != "insecure" {
		t.Error(New().Name())
	}
}
