package merkle

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/lodenet/lode/proofs/internal/vectors"
)

func TestVectorsMerkleSHA256(t *testing.T) {
	var f struct {
		Sectors []struct {
			Bytes uint64       `json:"sector_bytes"`
			CommD vectors.Node `json:"comm_d_hex"`
		} `json:"sectors"`
		Tree struct {
			Nodes map[string]vectors.Node `json:"nodes"`
		} `json:"tree_8mib_rows"`
		First []vectors.Node `json:"first_node_per_level_hex"`
		Zero  []vectors.Node `json:"zero_node_per_level_hex"`
	}
	set := vectors.Load(t, "merkle_sha256.json", &f)

	for _, v := range f.Sectors {
		set.Run(t, fmt.Sprintf("sector/%d", v.Bytes), func(t *testing.T) {
			l, err := DataTree(v.Bytes / 32)
			if err != nil {
				t.Fatal(err)
			}
			data, file := &buffer{b: make([]byte, v.Bytes)}, &buffer{}
			data.b[0] = 1
			root, err := l.Build(context.Background(), data, file, nil)
			if err != nil || root != Node(v.CommD) {
				t.Fatalf("got root %x, %v, want %x", root, err, v.CommD)
			}
			if v.Bytes != 8<<20 {
				return
			}
			for at, want := range f.Tree.Nodes {
				off, err := strconv.ParseInt(at, 0, 64)
				if err != nil {
					t.Fatal(err)
				}
				var got [1]Node
				if err := readNodes(file, off, got[:]); err != nil || got[0] != Node(want) {
					t.Errorf("at %s: got %x, %v, want %x", at, got[0], err, want)
				}
			}
		})
	}

	set.Run(t, "levels", func(t *testing.T) {
		first, zero := Node(f.First[0]), Node(f.Zero[0])
		for i := range f.First {
			if first != Node(f.First[i]) || zero != Node(f.Zero[i]) {
				t.Fatalf("level %d: got %x and %x", i, first, zero)
			}
			first, zero = Pair(&first, &zero), Pair(&zero, &zero)
		}
	})
}
