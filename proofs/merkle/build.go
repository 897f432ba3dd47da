package merkle

import (
	"context"
	"io"
	"sync"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/parallel"
)

// chunkLeaves is how many nodes one worker takes at a time: a power of both arities.
const chunkLeaves = 4096

// Build makes the tree's rows from its leaves, writes those that the file has, and returns
// the root. leaves is read in places, from several goroutines; done, when not nil, is told
// after each some how many leaves they were, one call at a time. Memory is bounded by the
// cores. A cancelled context leaves the file unfinished.
func (l Layout) Build(ctx context.Context, leaves io.ReaderAt, file File, done func(leaves int64)) (Node, error) {
	var from io.ReaderAt = leaves
	row, offset := 0, int64(0)
	for {
		top, root, err := l.climb(ctx, from, offset, row, file, done)
		if err != nil {
			return Node{}, err
		}
		if top == l.height {
			return root, nil
		}
		row, from, offset, done = top, file, l.offset(top), nil
	}
}

// climb makes as many rows above a row as a chunk has, and returns the highest; root is its
// first node.
func (l Layout) climb(ctx context.Context, from io.ReaderAt, offset int64, row int, file File, done func(int64)) (top int, root Node, err error) {
	nodes := l.row(row)
	chunk := min(nodes, chunkLeaves)
	for top = row; l.row(row)/l.row(top) < chunk; top++ {
	}

	var mu sync.Mutex // guards done and root
	err = parallel.Each(ctx, int(nodes/chunk), func(i int) error {
		buf := make([]Node, chunk)
		if err := readNodes(from, offset+int64(i)*int64(chunk)*fr32.NodeBytes, buf); err != nil {
			return err
		}
		for r := row; ; r++ {
			if r >= l.first && (r > row || r == 0) {
				if err := writeNodes(file, l.offset(r)+int64(i)*int64(len(buf))*fr32.NodeBytes, buf); err != nil {
					return err
				}
			}
			if r == top {
				break
			}
			if err := l.reduce(buf, buf); err != nil {
				return err
			}
			buf = buf[:len(buf)/l.arity]
		}
		mu.Lock()
		defer mu.Unlock()
		if i == 0 {
			root = buf[0]
		}
		if done != nil {
			done(int64(chunk))
		}
		return nil
	})
	return top, root, err
}
