package post

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/registry"
)

func TestVectorsWindow32GiB(t *testing.T) {
	var f struct {
		Proof      abi.RegisteredPoStProof `json:"registered_post_proof"`
		Bytes      abi.SectorSize          `json:"sector_bytes"`
		Randomness vectors.Hex             `json:"randomness_hex"`
		Miner      abi.ActorID             `json:"miner_actor_id"`
		Number     abi.SectorNumber        `json:"sector_number"`
		SealedCID  string                  `json:"sealed_cid"`
		CommR      vectors.Node            `json:"comm_r_hex"`
		CommC      vectors.Node            `json:"comm_c_hex"`
		CommRLast  vectors.Node            `json:"comm_r_last_hex"`
		Challenges []uint64                `json:"leaf_challenges"`
		Leaves     []vectors.Node          `json:"leaves_hex"`
		Vanilla    vectors.Hex             `json:"vanilla_proof_hex"`
	}
	set := vectors.Load(t, "post_window_vanilla_32gib.json", &f)
	sealed, err := cid.Decode(f.SealedCID)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := commitment.Sealed(sealed); err != nil || n != merkle.Node(f.CommR) {
		t.Errorf("got CommR %x, %v", n, err)
	}
	d := decoder{t: t, b: f.Vanilla}
	v := d.sectorProof(f.Proof)
	if len(d.b) != 0 || d.sector != f.Number || d.commR != merkle.Node(f.CommR) || v.CommC != merkle.Node(f.CommC) || v.CommRLast != merkle.Node(f.CommRLast) {
		t.Fatalf("%d bytes left of the proof of sector %d", len(d.b), d.sector)
	}

	info := proof.SectorInfo{SealProof: sealProof(t, f.Bytes), SectorNumber: f.Number, SealedCID: sealed}
	kinds := []abi.RegisteredPoStProof{f.Proof}
	if post, err := registry.PoStOf(f.Proof + 5); err == nil && post.Version == registry.V1_2 {
		kinds = append(kinds, post.Proof) // alike for the first sector
	}
	for _, p := range kinds {
		set.Run(t, fmt.Sprintf("proof/%d", p), func(t *testing.T) {
			s, err := NewStatement(p, f.Miner, abi.PoStRandomness(f.Randomness), []proof.SectorInfo{info})
			if err != nil || s.SectorSize != f.Bytes {
				t.Fatal(err)
			}
			if got := s.Challenges(0); !slices.Equal(got, f.Challenges) {
				t.Errorf("got challenges %v, want %v", got, f.Challenges)
			}
			v.Proof = p
			if err := s.Verify([]*SectorProof{v}); err != nil {
				t.Error(err)
			}
			for i := range v.Paths {
				if v.Paths[i].Leaf != merkle.Node(f.Leaves[i]) || d.roots[i] != v.CommRLast {
					t.Errorf("path %d has leaf %x", i, v.Paths[i].Leaf)
				}
			}
			window := proof.WindowPoStVerifyInfo{Randomness: abi.PoStRandomness(f.Randomness), Prover: f.Miner, ChallengedSectors: []proof.SectorInfo{info}}
			if err := VerifyWindow(window, []*SectorProof{v}); err != nil {
				t.Error(err)
			}
		})
	}
}

// What of the published proof needs no circuit: its challenges.
func TestVectorsWindowChallenges(t *testing.T) {
	var f struct {
		Kinds      []string         `json:"registered_post_proof_names"`
		Randomness vectors.Node     `json:"randomness_hex"`
		Number     abi.SectorNumber `json:"sector_number"`
		Derived    struct {
			Challenges []uint64 `json:"leaf_challenges"`
		} `json:"derived"`
	}
	set := vectors.Load(t, "post_window_snark_32gib.json", &f)
	for _, name := range f.Kinds {
		set.Run(t, "challenges/"+name, func(t *testing.T) {
			post, err := registry.PoStOf(postNamed(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := challenges(post, f.Number, 0, f.Randomness); !slices.Equal(got, f.Derived.Challenges) {
				t.Errorf("got %v, want %v", got, f.Derived.Challenges)
			}
		})
	}
}

// sealProof is a kind of seal of that size. Which does not matter to a proof of spacetime.
func sealProof(t *testing.T, size abi.SectorSize) abi.RegisteredSealProof {
	t.Helper()
	for p := abi.RegisteredSealProof_StackedDrg2KiBV1_1; p < abi.RegisteredSealProof_StackedDrg2KiBV1_1+5; p++ {
		if s, err := registry.SealOf(p); err == nil && s.SectorSize == size {
			return p
		}
	}
	t.Fatalf("no sector has %d bytes", size)
	return 0
}

// postNamed is the number of a proof, by a name that starts with the reference's. A second
// name may follow in parentheses.
func postNamed(t *testing.T, name string) abi.RegisteredPoStProof {
	t.Helper()
	var f struct {
		PoSt []struct {
			Value abi.RegisteredPoStProof `json:"value"`
			Name  string                  `json:"rust_name"`
		} `json:"post"`
	}
	vectors.Read(t, "registered_proofs.json", &f)
	name, _, _ = strings.Cut(name, " ")
	for _, p := range f.PoSt {
		if p.Name == name {
			return p.Value
		}
	}
	t.Fatalf("no proof is called %q", name)
	return 0
}

// decoder reads the reference's own form of a vanilla proof of one sector.
type decoder struct {
	t      *testing.T
	b      []byte
	sector abi.SectorNumber
	commR  merkle.Node
	roots  []merkle.Node
}

func (d *decoder) take(n int) []byte {
	d.t.Helper()
	if len(d.b) < n {
		d.t.Fatalf("the proof ends too early")
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) number() int       { return int(binary.LittleEndian.Uint64(d.take(8))) }
func (d *decoder) node() merkle.Node { return merkle.Node(d.take(32)) }
func (d *decoder) only(what string) {
	d.t.Helper()
	if n := d.number(); n != 1 {
		d.t.Fatalf("%d %s", n, what)
	}
}

func (d *decoder) sectorProof(p abi.RegisteredPoStProof) *SectorProof {
	v := &SectorProof{Proof: p}
	d.sector = abi.SectorNumber(d.number())
	v.Sector = d.sector
	d.commR = d.node()
	d.only("sectors")
	for range d.number() {
		var path merkle.Path
		shape := binary.LittleEndian.Uint32(d.take(4))
		for range shape + 1 { // base, sub and top each have a list
			for range d.number() {
				var e merkle.Element
				for range d.number() {
					e.Siblings = append(e.Siblings, d.node())
				}
				e.Position = uint8(d.number())
				path.Elements = append(path.Elements, e)
			}
		}
		d.roots = append(d.roots, d.node())
		path.Leaf = d.node()
		v.Paths = append(v.Paths, path)
	}
	v.CommC, v.CommRLast = d.node(), d.node()
	return v
}
