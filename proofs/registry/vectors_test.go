package registry

import (
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/internal/vectors"
)

func TestVectorsRegisteredProofs(t *testing.T) {
	var f struct {
		Seal []struct {
			Value      abi.RegisteredSealProof `json:"value"`
			Name       string                  `json:"name"`
			Version    string                  `json:"api_version"`
			Feature    string                  `json:"feature"`
			Bytes      abi.SectorSize          `json:"sector_bytes"`
			Layers     int                     `json:"layers"`
			Shape      string                  `json:"tree_shape"`
			Partitions int                     `json:"partitions"`
			Challenges int                     `json:"challenges_per_partition"`
			Min        int                     `json:"min_total_challenges"`
			ProofBytes int                     `json:"proof_bytes"`
			PoRepID    vectors.Node            `json:"porep_id_hex"`
			Winning    abi.RegisteredPoStProof `json:"winning_post"`
			Window     abi.RegisteredPoStProof `json:"window_post"`
		} `json:"seal"`
		PoSt []struct {
			Value      abi.RegisteredPoStProof `json:"value"`
			Name       string                  `json:"go_name"`
			Version    string                  `json:"api_version"`
			Bytes      abi.SectorSize          `json:"sector_bytes"`
			Challenges int                     `json:"challenges"`
			Sectors    int                     `json:"sectors_per_partition"`
		} `json:"post"`
	}
	vectors.Load(t, "registered_proofs.json", &f)
	versions := map[string]Version{"V1_0": V1_0, "V1_1": V1_1, "V1_2": V1_2}
	features := map[string]Feature{"": Interactive, "SyntheticPoRep": Synthetic, "NonInteractivePoRep": NonInteractive}

	if len(f.Seal) != sealKinds*len(sizes) || len(f.PoSt) != postKinds*len(sizes) {
		t.Errorf("%d seal and %d post proofs", len(f.Seal), len(f.PoSt))
	}
	for _, v := range f.Seal {
		t.Run(v.Name, func(t *testing.T) {
			s, err := SealOf(v.Value)
			if err != nil {
				t.Fatal(err)
			}
			version, ok1 := versions[v.Version]
			feature, ok2 := features[v.Feature]
			if !ok1 || !ok2 || s.Version != version || s.Feature != feature {
				t.Errorf("got version %v feature %v", s.Version, s.Feature)
			}
			if s.SectorSize != v.Bytes || s.Layers != v.Layers || s.Shape.String() != v.Shape || s.Nodes() != uint64(v.Bytes)/32 {
				t.Errorf("got %+v", s)
			}
			if s.Partitions != v.Partitions || s.Challenges != v.Challenges || s.ProofBytes != v.ProofBytes || s.Partitions*s.Challenges < v.Min {
				t.Errorf("got %+v", s)
			}
			if s.PoRepID != [32]byte(v.PoRepID) {
				t.Errorf("got id %x", s.PoRepID)
			}
			if _, err := s.Shape.Arities(s.Nodes()); err != nil {
				t.Error(err)
			}
			for post, winning := range map[abi.RegisteredPoStProof]bool{v.Winning: true, v.Window: false} {
				if p, err := PoStOf(post); err != nil || p.Winning != winning || p.SectorSize != v.Bytes || p.Shape != s.Shape {
					t.Errorf("post %d: got %+v, %v", post, p, err)
				}
			}
		})
	}
	for _, v := range f.PoSt {
		t.Run(v.Name, func(t *testing.T) {
			p, err := PoStOf(v.Value)
			if err != nil || p.Proof != v.Value || p.Version != versions[v.Version] || p.SectorSize != v.Bytes || p.Challenges != v.Challenges || p.Sectors != v.Sectors {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestUnknownIsRefused(t *testing.T) {
	for _, n := range []int64{-1, 15, 20, 1 << 40} {
		if _, err := PoStOf(abi.RegisteredPoStProof(n)); err == nil {
			t.Errorf("post proof %d", n)
		}
		if _, err := SealOf(abi.RegisteredSealProof(n)); err == nil && n != 15 {
			t.Errorf("seal proof %d", n)
		}
	}
}

func TestProverID(t *testing.T) {
	if got := ProverID(1000); got != [32]byte{0xe8, 0x07} {
		t.Errorf("got %x", got)
	}
	if got := ProverID(1<<64 - 1); got[9] != 1 || got[10] != 0 {
		t.Errorf("got %x", got)
	}
}
