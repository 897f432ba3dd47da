package sdr

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/lodenet/lode/proofs/registry"
)

const (
	// BaseParents is how many parents a node has in its own layer.
	BaseParents = 6
	// ExpanderParents is how many it has in the layer before.
	ExpanderParents = 8
	// Parents is how many parents a node has.
	Parents = BaseParents + ExpanderParents

	maxNodes = 1 << 31
)

// Graph is the graph of one seal proof. It is the same for all sectors and layers, and what
// it answers never changes.
type Graph struct {
	nodes   uint64
	legacy  bool // the order and the mistake of V1_0
	seed    [28]byte
	feistel feistel

	mu      sync.Mutex
	parents []uint32 // of all nodes, once table was asked for them; guarded by mu
}

// NewGraph returns the graph that a PoRep identifier seeds.
func NewGraph(porepID [32]byte, nodes uint64, v registry.Version) (*Graph, error) {
	if nodes < 2 || nodes > maxNodes {
		return nil, fmt.Errorf("a graph of %d nodes: it has from 2 to %d", nodes, maxNodes)
	}
	g := &Graph{nodes: nodes, legacy: v == registry.V1_0}
	drg := sha256.Sum256(append([]byte("Filecoin_DRSample"), porepID[:]...))
	copy(g.seed[:], drg[:])
	fkeys := sha256.Sum256(append([]byte("Filecoin_Feistel"), porepID[:]...))
	var keys [3]uint64
	for i := range keys {
		keys[i] = binary.LittleEndian.Uint64(fkeys[8*i:])
	}
	g.feistel = newFeistel(nodes*ExpanderParents, keys)
	return g, nil
}

// Parents returns the parents of node v: those in its own layer, then those in the layer
// before. v must be a node of the graph.
func (g *Graph) Parents(v uint64) [Parents]uint32 {
	var p [Parents]uint32
	g.row(&g.feistel, v, Parents, p[:])
	return p
}

// base samples five nodes below v, near ones more often, besides v-1 (spec: 4.2).
func (g *Graph) base(v uint64, parents []uint32) {
	if v < 2 {
		clear(parents)
		return
	}
	previous, sampled := &parents[0], parents[1:BaseParents]
	if g.legacy {
		sampled, previous = parents[:BaseParents-1], &parents[BaseParents-1]
	}
	*previous = uint32(v - 1)

	const samples = BaseParents - 1
	var key [32]byte
	copy(key[:], g.seed[:])
	binary.LittleEndian.PutUint32(key[len(g.seed):], uint32(v))
	rng := newChaCha8(&key)
	m := v * samples
	buckets := uint64(bits.Len64(m))
	for i := range sampled {
		bucket := rng.next64()%buckets + 1
		largest := min(m, 1<<bucket)
		smallest := max(2, largest>>1)
		distance := smallest + rng.next64()%(largest-smallest+1)
		parent := (m - distance) / samples
		if parent == v {
			parent = v - 1
		}
		sampled[i] = uint32(parent)
	}
}

// expander takes the eight edges of v from a permutation of all edges (spec: 4.3).
func (g *Graph) expander(f *feistel, v uint64, parents []uint32) {
	for i := range parents {
		x := f.permute(v*ExpanderParents + uint64(i))
		if g.legacy {
			x = uint64(uint32(x)) // V1_0 lost the upper half
		}
		parents[i] = uint32(x / ExpanderParents)
	}
}
