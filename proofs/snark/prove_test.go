package snark

import (
	"context"
	"errors"
	"testing"

	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
)

// TestProve proves for real, with keys made in the test. They must be those of the golden
// file: keys are the same on every machine, and circuits stay as they are.
func TestProve(t *testing.T) {
	g := readGolden(t)
	v := g.verifier(t)
	p := NewProver(v, params.New(t.TempDir(), nil), params.DevnetSeed)
	defer func() {
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	}()
	infos, files := sectors(t, 3)

	// Three sectors are two partitions, the second with one sector twice.
	s := proof.WindowPoStVerifyInfo{Randomness: random, ChallengedSectors: infos, Prover: miner}
	w := witnesses(t, window11, infos, files)
	s.ChallengedSectors[0], s.ChallengedSectors[2] = s.ChallengedSectors[2], s.ChallengedSectors[0]
	w[0], w[2] = w[2], w[0]
	made, err := p.ProveWindowPoSt(bg, s, w)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 1 || made[0].PoStProof != window11 || len(made[0].ProofBytes) != 2*proofs.ProofBytes {
		t.Fatalf("got %d proofs, the first of type %d with %d bytes", len(made), made[0].PoStProof, len(made[0].ProofBytes))
	}
	s.Proofs = made
	if ok, err := v.VerifyWindowPoSt(bg, s); !ok || err != nil {
		t.Errorf("window: got %v, %v", ok, err)
	}
	swapped := s
	b := made[0].ProofBytes
	swapped.Proofs = []proof.PoStProof{{PoStProof: window11, ProofBytes: append(append([]byte{}, b[192:]...), b[:192]...)}}
	if ok, _ := v.VerifyWindowPoSt(bg, swapped); ok {
		t.Error("partitions swapped: accepted")
	}

	one := proof.WinningPoStVerifyInfo{Randomness: random, ChallengedSectors: infos[1:2], Prover: miner}
	wins := witnesses(t, winning, infos[1:2], files[1:])
	for range 2 { // the second time the keys are open
		if one.Proofs, err = p.ProveWinningPoSt(bg, one, wins); err != nil {
			t.Fatal(err)
		}
		if ok, err := v.VerifyWinningPoSt(bg, one); !ok || err != nil {
			t.Errorf("winning: got %v, %v", ok, err)
		}
	}
	if err := p.Release(); err != nil {
		t.Fatal(err)
	}
	if err := p.Warm(bg, winning); err != nil {
		t.Fatal(err)
	}

	cancelled, cancel := context.WithCancel(bg)
	cancel()
	if _, err := p.ProveWindowPoSt(cancelled, s, w); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// What does not hold is refused before any key is asked for.
func TestProveRefuses(t *testing.T) {
	p := NewProver(readGolden(t).verifier(t), noStore{t}, "")
	seal, vanilla := sealed(t, 5).Prove(t, seed)
	infos, files := sectors(t, 2)
	windows := proof.WindowPoStVerifyInfo{Randomness: random, ChallengedSectors: infos, Prover: miner}
	wins := proof.WinningPoStVerifyInfo{Randomness: random, ChallengedSectors: infos[:1], Prover: miner}
	good := witnesses(t, window, infos, files)
	goodWin := witnesses(t, winning, infos[:1], files)

	other := seal
	other.Number++
	if _, err := p.ProveSeal(bg, other, vanilla); !errors.Is(err, porep.ErrInvalid) {
		t.Errorf("another sector's vanilla proof: got %v", err)
	}
	vanilla.Partitions[0][0].Replica.Leaf[3] ^= 1
	if _, err := p.ProveSeal(bg, seal, vanilla); !errors.Is(err, porep.ErrInvalid) {
		t.Errorf("a vanilla proof that does not hold: got %v", err)
	}
	for name, w := range map[string]proofs.SealWitness{"none": nil, "nil": (*porep.Proof)(nil)} {
		if _, err := p.ProveSeal(bg, seal, w); err == nil {
			t.Errorf("%s vanilla proof was accepted", name)
		}
	}
	if _, err := p.ProveWindowPoSt(bg, windows, []proofs.PoStWitness{nil, nil}); err == nil {
		t.Error("nil witnesses were accepted")
	}
	if _, err := p.ProveWindowPoSt(bg, proof.WindowPoStVerifyInfo(wins), goodWin); err == nil {
		t.Error("a winning proof made a window proof")
	}
	if _, err := p.ProveWinningPoSt(bg, proof.WinningPoStVerifyInfo(windows), good); err == nil {
		t.Error("window proofs made a winning proof")
	}
	good[1].(*post.SectorProof).Paths[0].Leaf[0] ^= 1
	if _, err := p.ProveWindowPoSt(bg, windows, good); !errors.Is(err, post.ErrInvalid) {
		t.Errorf("a vanilla proof that does not hold: got %v", err)
	}
}

// noStore fails the test when it is asked.
type noStore struct{ t *testing.T }

func (s noStore) ProvingKey(context.Context, params.Want) (*params.Keys, error) {
	s.t.Error("keys were asked for")
	return nil, errors.New("no keys")
}
