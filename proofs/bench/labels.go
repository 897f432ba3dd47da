package bench

import (
	"context"
	"crypto/sha256"
	"io"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// labelBytes is what a label is the hash of: a header of 64 bytes and 37 labels.
const labelBytes = 64 + 37*fr32.NodeBytes

// labelNodes is how much of a layer of a large sector is labelled at a time; parents are
// drawn from what there is of the layers, which at this size no longer fits into caches.
const labelNodes = 1 << 20

// labelRate measures layers in memory: what the hashing of labels costs, with the parents
// found and fetched. Layers on disk are part of the sector's own figures.
func labelRate(ctx context.Context, e Env) ([]Row, error) {
	seal, err := registry.SealOf(e.Proof)
	if err != nil {
		return nil, err
	}
	nodes := min(seal.Nodes(), labelNodes)
	graph, err := sdr.NewGraph(seal.PoRepID, nodes, seal.Version)
	if err != nil {
		return nil, err
	}
	one, two := make(memory, nodes*fr32.NodeBytes), make(memory, nodes*fr32.NodeBytes)
	layer := func(layer int, before, out memory) task {
		return task{float64(nodes), func() error {
			return graph.Labels(ctx, fr32.Node{1}, layer, nodes, before, out, nil)
		}}
	}
	if err := layer(1, nil, one).run(); err != nil {
		return nil, err
	}
	// As many hashes as a layer has labels, so that both are disturbed for as long.
	var preimage [labelBytes]byte
	limit := task{float64(nodes), func() error {
		for range nodes {
			preimage[0] = sha256.Sum256(preimage[:])[0]
		}
		return nil
	}}
	rates, err := e.compare(ctx, layer(1, nil, one), layer(2, one, two), limit)
	if err != nil {
		return nil, err
	}
	const peer, want = "crypto/sha256 on the same bytes, one core", 0.8
	row := Row{Name: "label layer 1", Rate: rates[0], Unit: "labels/s", Cores: allCores()}
	rows := []Row{row.against(peer, rates[2], want)}
	row.Name, row.Rate = "label further layers", rates[1]
	return append(rows, row.against(peer, rates[2], want)), nil
}

// memory is a layer in memory.
type memory []byte

// Bytes implements sdr.Memory.
func (m memory) Bytes() []byte { return m }

// ReadAt implements io.ReaderAt.
func (m memory) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, m[min(off, int64(len(m))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }
