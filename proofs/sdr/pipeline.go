package sdr

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/proofs/fr32"
)

const (
	windowNodes = 1 << 11 // nodes that one worker fills at a time
	maxFillers  = 8       // one fills faster than labels are made
)

// window is a stretch of nodes on its way to the labels: filled, then labelled.
type window struct {
	from   uint64
	nodes  int
	labels []byte   // of all parents, a row a node
	base   []uint32 // base parents, a row a node
	late   []uint8  // a node's base parents that had no label when the window was filled, a bit each
	filled chan struct{}
}

// pipeline computes parents and fetches their labels ahead of who makes labels.
type pipeline struct {
	g           *Graph
	permutation *feistel
	degree      int
	nodes       uint64
	before      source
	out         source
	fillers     int

	order chan *window // as they are to be labelled
	work  chan *window // to be filled
	free  chan *window

	written atomic.Uint64 // nodes whose labels are in out
	latest  []byte        // a ring, a power of two long, of the last labels: all that no filled window can have seen in out
}

func newPipeline(g *Graph, layer int, nodes uint64, before io.ReaderAt, out File) *pipeline {
	p := &pipeline{g: g, degree: BaseParents, nodes: nodes, out: newSource(out)}
	if layer > 1 {
		p.degree, p.before = Parents, newSource(before)
		p.permutation = g.feistel.tabulated()
	}
	p.fillers = min(max(1, runtime.GOMAXPROCS(0)-1), maxFillers)
	// A window is filled only when the one that had its memory is written, so what is late
	// lies in as many windows as there are, itself included.
	windows, ring := p.fillers+2, 1
	for ring < windows {
		ring *= 2
	}
	p.latest = make([]byte, ring*windowNodes*fr32.NodeBytes)
	p.order, p.work, p.free = make(chan *window, windows), make(chan *window, windows), make(chan *window, windows)
	for range windows {
		p.free <- &window{
			labels: make([]byte, windowNodes*p.degree*fr32.NodeBytes),
			base:   make([]uint32, windowNodes*BaseParents),
			late:   make([]uint8, windowNodes),
			filled: make(chan struct{}, 1),
		}
	}
	return p
}

// start starts the workers. They end with the last window, with the first error, or with the
// context.
func (p *pipeline) start(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return p.dispatch(ctx) })
	for range p.fillers {
		group.Go(func() error {
			debug.SetPanicOnFault(true) // of this goroutine
			for w := range p.work {
				if err := p.fill(w); err != nil {
					return err
				}
				w.filled <- struct{}{}
			}
			return nil
		})
	}
}

// dispatch cuts the layer into windows.
func (p *pipeline) dispatch(ctx context.Context) error {
	defer close(p.work)
	defer close(p.order)
	for from := uint64(0); from < p.nodes; from += windowNodes {
		select {
		case w := <-p.free:
			w.from, w.nodes = from, int(min(windowNodes, p.nodes-from))
			p.order <- w // both have room for all windows
			p.work <- w
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// next waits for the next window to be filled; there is none after the last.
func (p *pipeline) next(ctx context.Context) (*window, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, more := <-p.order
	if !more {
		return nil, nil
	}
	select {
	case <-w.filled:
		return w, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recent is the place in the ring of labels of nodes, which are within one window.
func (p *pipeline) recent(from uint64, nodes int) []byte {
	at := from * fr32.NodeBytes & uint64(len(p.latest)-1)
	return p.latest[at:][:nodes*fr32.NodeBytes]
}

// fill looks up parents, and their labels as far as there are any, for a few nodes at a time,
// so that all of their labels are on their way before the first is waited for.
func (p *pipeline) fill(w *window) (err error) {
	defer fault(&err)
	written := p.written.Load()
	const few = 16
	var parents [few][Parents]uint32
	for from := 0; from < w.nodes; from += few {
		to := min(from+few, w.nodes)
		for i := from; i < to; i++ {
			row := &parents[i-from]
			p.g.row(p.permutation, w.from+uint64(i), p.degree, row[:])
			p.out.prefetch(row[:BaseParents])
			p.before.prefetch(row[BaseParents:p.degree])
		}
		for i := from; i < to; i++ {
			if err := p.fetch(w, i, written, &parents[i-from]); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch copies the labels of the parents of one node of a window, when so many nodes of the
// layer have theirs.
func (p *pipeline) fetch(w *window, i int, written uint64, parents *[Parents]uint32) error {
	row := p.degree * fr32.NodeBytes
	labels, late := w.labels[i*row:][:row], uint8(0)
	copy(w.base[i*BaseParents:], parents[:BaseParents])
	for j, parent := range parents[:BaseParents] {
		if uint64(parent) >= written {
			late |= 1 << j
		} else if err := p.out.node(uint64(parent), labels[j*fr32.NodeBytes:]); err != nil {
			return err
		}
	}
	w.late[i] = late
	for j, parent := range parents[BaseParents:p.degree] {
		if err := p.before.node(uint64(parent), labels[(BaseParents+j)*fr32.NodeBytes:]); err != nil {
			return fmt.Errorf("layer before: %w", err)
		}
	}
	return nil
}

// source reads labels.
type source struct {
	file   io.ReaderAt
	memory []byte // of the file, if it has any
}

func newSource(r io.ReaderAt) source {
	s := source{file: r}
	if m, ok := r.(Memory); ok {
		s.memory = m.Bytes()
	}
	return s
}

// prefetch has labels fetched that node will copy, where there is memory.
func (s *source) prefetch(nodes []uint32) {
	if len(s.memory) > 0 {
		prefetch(s.memory, nodes)
	}
}

func (s *source) node(node uint64, to []byte) error {
	at := node * fr32.NodeBytes
	if at+fr32.NodeBytes <= uint64(len(s.memory)) {
		*(*fr32.Node)(to) = *(*fr32.Node)(s.memory[at:])
		return nil
	}
	if n, err := s.file.ReadAt(to[:fr32.NodeBytes], int64(at)); n < fr32.NodeBytes {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read the label of node %d: %w", node, err)
	}
	return nil
}

// fault, deferred, turns a memory fault into an error: of mapped files, a disk that cannot
// be read shows itself so. It goes with debug.SetPanicOnFault.
func fault(err *error) {
	r := recover()
	if r == nil {
		return
	}
	e, ok := r.(interface {
		error
		Addr() uintptr
	})
	if !ok {
		panic(r)
	}
	*err = fmt.Errorf("read a mapped layer: %w", e)
}
