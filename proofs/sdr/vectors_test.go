package sdr

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/parallel"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/registry"
)

func sealGraph(t *testing.T, p abi.RegisteredSealProof) (*Graph, registry.Seal) {
	t.Helper()
	s, err := registry.SealOf(p)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGraph(s.PoRepID, s.Nodes(), s.Version)
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

func TestVectorsGraph(t *testing.T) {
	var f struct {
		Cache struct {
			Entries []struct {
				Proof   abi.RegisteredSealProof `json:"registered_seal_proof"`
				Size    abi.SectorSize          `json:"sector_size"`
				PoRepID vectors.Node            `json:"porep_id"`
				Legacy  bool                    `json:"legacy_v1_0"`
				CacheID string                  `json:"cache_id"`
				SHA256  string                  `json:"sha256_of_parent_file"`
			} `json:"entries"`
		} `json:"parent_cache"`
		Seeds struct {
			Entries []struct {
				Proof abi.RegisteredSealProof `json:"registered_seal_proof"`
				ID    vectors.Node            `json:"porep_id_hex"`
				Seed  vectors.Hex             `json:"drg_seed_hex"`
				Keys  []vectors.Hex           `json:"feistel_keys_hex"`
			} `json:"entries"`
		} `json:"seeds"`
		Samples struct {
			Entries []struct {
				Proof    abi.RegisteredSealProof `json:"registered_seal_proof"`
				Nodes    uint64                  `json:"nodes"`
				Node     uint64                  `json:"node"`
				Base     []uint32                `json:"base"`
				Expander []uint32                `json:"expander"`
			} `json:"entries"`
		} `json:"sample_parents"`
		Feistel struct {
			Entries []struct {
				N        uint64    `json:"n"`
				Keys     [3]uint64 `json:"keys"`
				Index    uint64    `json:"index"`
				Permuted uint64    `json:"permuted"`
			} `json:"entries"`
		} `json:"feistel"`
	}
	set := vectors.Load(t, "graph.json", &f)

	for _, v := range f.Cache.Entries {
		set.Run(t, fmt.Sprintf("table/%d", v.Proof), func(t *testing.T) {
			g, s := sealGraph(t, v.Proof)
			if s.SectorSize != v.Size || s.PoRepID != fr32.Node(v.PoRepID) || g.legacy != v.Legacy {
				t.Fatalf("got size %d id %x legacy %v", s.SectorSize, s.PoRepID, g.legacy)
			}
			if got := cacheID(g, s.PoRepID); got != v.CacheID {
				t.Errorf("got cache id %s, want %s", got, v.CacheID)
			}
			if v.Size > 8<<20 {
				vectors.Long(t, "a large parent table")
			}
			if v.Size > 1<<30 {
				vectors.Huge(t, "a parent table of 2^30 nodes")
			}
			h := sha256.New()
			w := bufio.NewWriterSize(h, 1<<16)
			permutation := g.feistel.tabulated()
			const part = 1 << 16 // nodes that one worker takes
			for from := uint64(0); from < g.nodes; from += 8 * part {
				tables := make([][]uint32, min(8*part, g.nodes-from+part-1)/part)
				err := parallel.Each(context.Background(), len(tables), func(i int) error {
					for v := from + uint64(i)*part; v < min(g.nodes, from+uint64(i+1)*part); v++ {
						var p [Parents]uint32
						g.base(v, p[:BaseParents])
						g.expander(permutation, v, p[BaseParents:])
						tables[i] = append(tables[i], p[:]...)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range slices.Concat(tables...) {
					_, _ = w.Write(binary.LittleEndian.AppendUint32(w.AvailableBuffer(), p))
				}
			}
			_ = w.Flush()
			if got := hex.EncodeToString(h.Sum(nil)); got != v.SHA256 {
				t.Errorf("got %s, want %s", got, v.SHA256)
			}
		})
	}

	for _, v := range f.Seeds.Entries {
		set.Run(t, fmt.Sprintf("seed/%d", v.Proof), func(t *testing.T) {
			g, s := sealGraph(t, v.Proof)
			if s.PoRepID != fr32.Node(v.ID) {
				t.Errorf("got id %x, want %x", s.PoRepID, v.ID)
			}
			if !slices.Equal(g.seed[:], v.Seed) {
				t.Errorf("got seed %x, want %x", g.seed, v.Seed)
			}
			for i, k := range g.feistel.keys {
				want := binary.BigEndian.Uint64(v.Keys[i])
				if k != want {
					t.Errorf("got key %x, want %x", k, want)
				}
			}
		})
	}

	for _, v := range f.Samples.Entries {
		set.Run(t, fmt.Sprintf("parents/%d-%d", v.Proof, v.Node), func(t *testing.T) {
			g, _ := sealGraph(t, v.Proof)
			p := g.Parents(v.Node)
			if g.nodes != v.Nodes || !slices.Equal(p[:BaseParents], v.Base) || !slices.Equal(p[BaseParents:], v.Expander) {
				t.Errorf("got %v, want %v %v", p, v.Base, v.Expander)
			}
		})
	}

	for _, v := range f.Feistel.Entries {
		set.Run(t, fmt.Sprintf("feistel/%d-%d", v.N, v.Index), func(t *testing.T) {
			x := newFeistel(v.N, v.Keys)
			if got := x.permute(v.Index); got != v.Permuted {
				t.Errorf("got %d, want %d", got, v.Permuted)
			}
		})
	}
}

// cacheID is the name the reference gives to the file of a graph's parents. It covers all
// four Feistel keys, of which the graph uses three.
func cacheID(g *Graph, porepID [32]byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "poseidon_hasherstacked_graph::StackedGraph{expansion_degree: 8 base_graph: drgraph::BucketGraph{size: %d; degree: 6; hasher: poseidon_hasher} }", g.nodes)
	keys := sha256.Sum256(append([]byte("Filecoin_Feistel"), porepID[:]...))
	h.Write(keys[:])
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(g.nodes)))
	return "v28-sdr-parent-" + hex.EncodeToString(h.Sum(nil))
}

func TestVectorsLabels(t *testing.T) {
	var f struct {
		Vectors []struct {
			Nodes     uint64                  `json:"nodes"`
			Layers    int                     `json:"layers"`
			ReplicaID vectors.Node            `json:"replica_id_hex"`
			PoRepID   vectors.Node            `json:"porep_id_hex"`
			Version   string                  `json:"api_version"`
			Last      vectors.Node            `json:"last_layer_last_node_label_hex"`
			Derived   map[string]vectors.Node `json:"derived"`
		} `json:"vectors"`
	}
	set := vectors.Load(t, "labels.json", &f)
	for _, v := range f.Vectors {
		set.Run(t, fmt.Sprintf("layers/%d-%s", v.Nodes, v.Version), func(t *testing.T) {
			version := registry.V1_1
			if strings.HasPrefix(v.Version, "V1_0") {
				version = registry.V1_0
			}
			g, err := NewGraph(v.PoRepID, v.Nodes, version)
			if err != nil {
				t.Fatal(err)
			}
			var before layerFile
			seen := 0
			for layer := 1; layer <= v.Layers; layer++ {
				labels := make(layerFile, v.Nodes*32)
				if err := g.Labels(context.Background(), fr32.Node(v.ReplicaID), layer, v.Nodes, before, labels, nil); err != nil {
					t.Fatal(err)
				}
				for node := range v.Nodes {
					want, ok := v.Derived[fmt.Sprintf("layer%d_node%d", layer, node)]
					if !ok {
						continue
					}
					seen++
					if got := fr32.Node(labels[node*32:][:32]); got != fr32.Node(want) {
						t.Errorf("layer %d node %d: got %x, want %x", layer, node, got, want)
					}
				}
				before = labels
			}
			if got := fr32.Node(before[len(before)-32:]); got != fr32.Node(v.Last) {
				t.Errorf("got %x, want %x", got, v.Last)
			}
			if seen != len(v.Derived) {
				t.Errorf("checked %d labels of %d", seen, len(v.Derived))
			}
		})
	}
}
