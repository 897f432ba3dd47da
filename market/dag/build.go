package dag

import (
	"context"
	"errors"
	"fmt"
	"io"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/types"
	"github.com/multiformats/go-multihash"
)

const (
	maxChunk = 1 << 20
	maxLinks = 174
	// flushBytes is how much of a file is held before its blocks are put.
	flushBytes = 4 << 20
)

// ChunkSize is the size of a leaf for sectors of a size: a 32nd of the sector, so that
// cutting a file into pieces wastes little, and at most 1 MiB.
func ChunkSize(sector uint64) int {
	return int(min(max(sector/32, 256), maxChunk))
}

// linksFor bounds an interior node, so that it never is larger than a leaf.
func linksFor(chunk int) int { return min(max(chunk/64, 2), maxLinks) }

// build writes the blocks of a file and returns the root.
func build(ctx context.Context, to types.Blocks, r io.Reader, chunkSize int) (cid.Cid, error) {
	sink := &sink{ctx: ctx, to: to}
	params := helpers.DagBuilderParams{
		Maxlinks:   linksFor(chunkSize),
		RawLeaves:  true,
		CidBuilder: cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256},
		Dagserv:    sink,
	}
	b, err := params.New(chunk.NewSizeSplitter(ctxReader{ctx, r}, int64(chunkSize)))
	if err != nil {
		return cid.Undef, err
	}
	root, err := balanced.Layout(b)
	if err != nil {
		return cid.Undef, err
	}
	if err := sink.flush(); err != nil {
		return cid.Undef, err
	}
	return root.Cid(), nil
}

// ctxReader ends a read when the context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// sink is the importer's DAG service: it only adds, in batches.
type sink struct {
	ctx  context.Context // of the one build; the importer passes none of its own
	to   types.Blocks
	held []blocks.Block
	size int
}

var errAddOnly = errors.New("the importer's block sink only adds")

func (s *sink) Add(_ context.Context, n ipld.Node) error {
	s.held = append(s.held, n)
	if s.size += len(n.RawData()); s.size >= flushBytes {
		return s.flush()
	}
	return nil
}

func (s *sink) flush() error {
	if err := s.to.PutMany(s.ctx, s.held); err != nil {
		return fmt.Errorf("store blocks: %w", err)
	}
	s.held, s.size = s.held[:0], 0
	return nil
}

func (s *sink) AddMany(ctx context.Context, ns []ipld.Node) error {
	for _, n := range ns {
		if err := s.Add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) Get(context.Context, cid.Cid) (ipld.Node, error) { return nil, errAddOnly }
func (s *sink) GetMany(context.Context, []cid.Cid) <-chan *ipld.NodeOption {
	ch := make(chan *ipld.NodeOption, 1)
	ch <- &ipld.NodeOption{Err: errAddOnly}
	close(ch)
	return ch
}
func (s *sink) Remove(context.Context, cid.Cid) error       { return errAddOnly }
func (s *sink) RemoveMany(context.Context, []cid.Cid) error { return errAddOnly }
