package commp

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// forest is the trees over whole chunks that have come so far: per row at most one node,
// which waits for its right neighbour. A copy is a forest of its own.
type forest struct{ left [64]*merkle.Node }

// push adds whole chunks on the right. They are hashed on all cores; the goroutines end
// before it returns.
func (f *forest) push(chunks []byte) {
	roots := make([]merkle.Node, len(chunks)/chunkBytes)
	var next atomic.Int64
	work := func() {
		var s *scratch
		for i := next.Add(1) - 1; i < int64(len(roots)); i = next.Add(1) - 1 {
			if s == nil {
				s = newScratch(chunkPadded)
			}
			roots[i] = s.root(chunks[i*chunkBytes:][:chunkBytes], chunkPadded)
		}
	}
	var others sync.WaitGroup
	for range min(len(roots), runtime.GOMAXPROCS(0)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	for _, n := range roots {
		f.add(n)
	}
}

// add adds the root of a chunk.
func (f *forest) add(n merkle.Node) {
	row := chunkLevel
	for ; f.left[row] != nil; row++ {
		n = merkle.Pair(f.left[row], &n)
		f.left[row] = nil
	}
	f.left[row] = &n
}

// root is the root at a row, with one more node at the chunks' row, if there is one, and
// zeros behind.
func (f *forest) root(right *merkle.Node, top int) merkle.Node {
	zero := zeros()
	for row := chunkLevel; row < top; row++ {
		switch left := f.left[row]; {
		case left != nil && right != nil:
			n := merkle.Pair(left, right)
			right = &n
		case left != nil:
			n := merkle.Pair(left, &zero[row])
			right = &n
		case right != nil:
			n := merkle.Pair(right, &zero[row])
			right = &n
		}
	}
	if right == nil {
		right = f.left[top]
	}
	return *right
}

// scratch is what hashing one chunk, or less, needs.
type scratch struct {
	padded []byte
	nodes  []merkle.Node
}

func newScratch(padded int) *scratch {
	return &scratch{padded: make([]byte, padded), nodes: make([]merkle.Node, padded/fr32.NodeBytes)}
}

// root is the root over payload, followed by zeros up to a padded size of at most a chunk.
func (s *scratch) root(payload []byte, padded int) merkle.Node {
	whole := len(payload) / fr32.Unpadded
	fr32.Pad(s.padded, payload)
	end := whole * fr32.Padded
	clear(s.padded[end:padded])
	if tail := payload[whole*fr32.Unpadded:]; len(tail) > 0 {
		var last [fr32.Unpadded]byte
		copy(last[:], tail)
		fr32.Pad(s.padded[end:], last[:])
	}
	nodes := s.nodes[:padded/fr32.NodeBytes]
	for i := range nodes {
		nodes[i] = merkle.Node(s.padded[i*fr32.NodeBytes:])
	}
	for len(nodes) > 1 {
		if err := merkle.HashPairs(nodes, nodes); err != nil {
			panic(err) // the number of nodes is a power of two
		}
		nodes = nodes[:len(nodes)/2]
	}
	return nodes[0]
}
