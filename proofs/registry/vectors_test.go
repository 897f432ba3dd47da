package registry

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

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
	set := vectors.Load(t, "registered_proofs.json", &f)
	versions := map[string]Version{"V1_0": V1_0, "V1_1": V1_1, "V1_2": V1_2}
	features := map[string]Feature{"": Interactive, "SyntheticPoRep": Synthetic, "NonInteractivePoRep": NonInteractive}

	if len(f.Seal) != sealKinds*len(sizes) || len(f.PoSt) != postKinds*len(sizes) {
		t.Errorf("%d seal and %d post proofs", len(f.Seal), len(f.PoSt))
	}
	for _, v := range f.Seal {
		set.Run(t, "seal/"+v.Name, func(t *testing.T) {
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
		set.Run(t, "post/"+v.Name, func(t *testing.T) {
			p, err := PoStOf(v.Value)
			if err != nil || p.Proof != v.Value || p.Version != versions[v.Version] || p.SectorSize != v.Bytes || p.Challenges != v.Challenges || p.Sectors != v.Sectors {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

// The names of published parameter files follow from what the registry says of the proof.
func TestVectorsParameterFiles(t *testing.T) {
	var f struct {
		Entries []struct {
			File       string         `json:"file"`
			Circuit    string         `json:"circuit"`
			Identifier string         `json:"identifier"`
			CID        string         `json:"cid"`
			Digest     vectors.Hex    `json:"blake2b_128bit_prefix"`
			Bytes      abi.SectorSize `json:"sector_bytes"`
		} `json:"entries"`
	}
	set := vectors.Load(t, "parameter_files.json", &f)
	for _, v := range f.Entries {
		kind, _, _ := strings.Cut(v.Circuit, " ")
		set.Run(t, kind+"/"+v.File, func(t *testing.T) {
			if got := circuitID(t, kind, v.Bytes); got != v.Identifier {
				t.Errorf("got identifier %q, want %q", got, v.Identifier)
			}
			if name := strings.TrimSuffix(strings.TrimSuffix(v.File, ".vk"), ".params"); !strings.HasSuffix(name, fmt.Sprintf("-%x", sha256.Sum256([]byte(v.Identifier)))) {
				t.Error("the name is not that of the identifier")
			}
			if _, err := cid.Decode(v.CID); err != nil || len(v.Digest) != 16 {
				t.Errorf("CID: %v, digest of %d bytes", err, len(v.Digest))
			}
		})
	}
}

// circuitID is the text that the reference identifies a circuit by.
func circuitID(t *testing.T, kind string, size abi.SectorSize) string {
	t.Helper()
	for i, z := range sizes {
		if z.bytes != size {
			continue
		}
		seal, err := SealOf(abi.RegisteredSealProof(len(sizes) + i))
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "PoRep":
			return fmt.Sprintf("layered_drgporep::PublicParams{ graph: stacked_graph::StackedGraph{expansion_degree: 8 base_graph: drgraph::BucketGraph{size: %d; degree: 6; hasher: poseidon_hasher} }, challenges: LayerChallenges { layers: %d, max_count: %d }, tree: merkletree-poseidon_hasher-%v }", seal.Nodes(), seal.Layers, seal.Challenges, seal.Shape)
		case "WinningPoSt", "WindowPoSt":
			challenges, sectors := 1, winningChallenges // the circuit of a winning PoSt has one sector many times
			if kind == "WindowPoSt" {
				challenges, sectors = windowChallenges, z.windowSectors
			}
			return fmt.Sprintf("FallbackPoSt::PublicParams{sector_size: %d, challenge_count: %d, sector_count: %d}", size, challenges, sectors)
		case "EmptySectorUpdate", "EmptySectorUpdate-Poseidon":
			return fmt.Sprintf("empty_sector_update::PublicParams{ sector_nodes: %d }", seal.Nodes())
		}
		t.Fatalf("no circuit %q", kind)
	}
	t.Fatalf("no sector has %d bytes", size)
	return ""
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
