package offline

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/snark"
)

// A window PoSt is proved and checked by keys of the public seed, which are made on the way.
func TestGroth16(t *testing.T) {
	ctx := context.Background()
	keys := Keys{Store: params.New(t.TempDir(), nil)}
	d, err := Prove(ctx, sealedSector(t).dir, KindWindow, Bytes{7}, snark.Name, keys)
	if err != nil {
		t.Fatal(err)
	}
	if d.System != snark.Name || len(d.Proofs) != 1 || len(d.VanillaPoSt) != 0 {
		t.Fatalf("got a document of %s with %d proofs and %d vanilla ones", d.System, len(d.Proofs), len(d.VanillaPoSt))
	}
	if err := d.Verify(ctx, keys); err != nil {
		t.Errorf("the proof: %v", err)
	}
	// The verifying key follows from the seed alone.
	if err := d.Verify(ctx, Keys{Store: params.New(filepath.Join(t.TempDir(), "none"), nil)}); err != nil {
		t.Errorf("the proof, with no keys there: %v", err)
	}
	if err := d.Verify(ctx, Keys{}); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("with no folder: got %v", err)
	}
	for name, change := range map[string]func(p *PoStStatement){
		"randomness": func(p *PoStStatement) { p.Randomness[0] ^= 1 },
		"sector": func(p *PoStStatement) {
			p.Sectors = []PoStSector{{p.Sectors[0].Proof, p.Sectors[0].Number + 1, p.Sectors[0].CommR}}
		},
	} {
		changed, statement := *d, *d.PoSt
		changed.PoSt = &statement
		change(&statement)
		if err := changed.Verify(ctx, keys); !errors.Is(err, ErrInvalid) {
			t.Errorf("another %s: got %v", name, err)
		}
	}
	changed := *d
	changed.Proofs = slices.Clone(d.Proofs)
	changed.Proofs[0][100] ^= 1
	if err := changed.Verify(ctx, keys); err == nil {
		t.Error("another proof holds")
	}
	changed.Proofs = nil
	if err := changed.Verify(ctx, keys); err == nil {
		t.Error("no proof holds")
	}
	changed = *d
	changed.Kind = KindWinning
	if err := changed.Verify(ctx, keys); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("a statement of another kind: got %v", err)
	}
}

// The keys of a network check what was proved by them, and the program says what is missing.
func TestGroth16OfNetwork(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "proofs", "snark", "testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Keys    map[string][]byte
		Seal    proof.SealVerifyInfo
		Winning proof.WinningPoStVerifyInfo
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	net := types.Devnet()
	net.Proofs, net.Policy.SectorSize, net.Keys = types.ProofsGroth16, 2<<10, types.NewKeys(params.DevnetSeed, golden.Keys)
	s, w := golden.Seal, golden.Winning
	seal := &Document{Kind: KindSeal, System: snark.Name, Proofs: []ProofBytes{ProofBytes(s.Proof)}, Seal: &SealStatement{
		s.SealProof, s.Miner, s.Number, Bytes(s.Randomness), Bytes(s.InteractiveRandomness), s.UnsealedCID, s.SealedCID,
	}}
	post := &Document{Kind: KindWinning, System: snark.Name, Proofs: []ProofBytes{ProofBytes(w.Proofs[0].ProofBytes)}, PoSt: &PoStStatement{
		Proof: w.Proofs[0].PoStProof, Miner: w.Prover, Randomness: Bytes(w.Randomness),
	}}
	for _, c := range w.ChallengedSectors {
		post.PoSt.Sectors = append(post.PoSt.Sectors, PoStSector{c.SealProof, c.SectorNumber, c.SealedCID})
	}
	for _, d := range []*Document{seal, post} {
		if err := d.Verify(t.Context(), Keys{Network: &net}); err != nil {
			t.Errorf("%s: %v", d.Kind, err)
		}
	}
	seal.Seal.Number++
	if err := seal.Verify(t.Context(), Keys{Network: &net}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a seal of another sector: got %v", err)
	}
	other := net
	for name, change := range map[string]func(){
		"insecure": func() { other.Proofs = types.ProofsInsecure },
		"no keys":  func() { other.Keys = types.Keys{} },
		"of 8 MiB": func() { other.Policy.SectorSize = uint64(abi.SectorSize(8 << 20)) },
	} {
		other = net
		change()
		if err := post.Verify(t.Context(), Keys{Network: &other}); err == nil || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "key") {
			t.Errorf("a network, %s: got %v", name, err)
		}
	}
}
