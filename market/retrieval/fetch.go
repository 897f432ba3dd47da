package retrieval

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/boxo/ipld/unixfs/pb"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
)

var (
	// ErrNoProviders: nobody is known to have the content.
	ErrNoProviders = errors.New("no provider of it is known: give one (an http URL, or a multiaddr with its peer id)")
	// ErrExists: the output file is there already.
	ErrExists = errors.New("the file exists already: remove it, or choose another name")
	// ErrNotFile: the content is no file.
	ErrNotFile = errors.New("it is not a file")
)

// Progress is how far a fetch is.
type Progress struct {
	Bytes, Total uint64 // of the file; Total is 0 until the root is read
	Blocks       uint64
	From         string // where the last block came from
}

// Request is a wish for a file.
type Request struct {
	Root      cid.Cid
	Providers []Provider // asked first; none: those that are found
	Out       string     // path of the file to write; it must not exist
	Progress  func(Progress)
	// Blocks, when set, gives the blocks instead of providers.
	Blocks BlockGetter
	// Patience is how long a provider that was reached may be away before the fetch fails.
	// Of Blocks it is how long one block may take; 0 is a minute.
	Patience time.Duration
}

// Fetcher gets files. Safe from many goroutines.
type Fetcher struct {
	host    host.Host
	finders []Finder
	log     *slog.Logger
}

// NewFetcher makes a fetcher. host may be nil where only HTTP providers are asked; finders
// are asked in order when a request names no provider.
func NewFetcher(h host.Host, log *slog.Logger, finders ...Finder) *Fetcher {
	return &Fetcher{h, finders, log}
}

// Fetch gets a file and verifies every block of it. The file appears under its name only
// when it is whole and on disk; after an error nothing is left.
func (f *Fetcher) Fetch(ctx context.Context, r Request) (Progress, error) {
	if _, err := os.Lstat(r.Out); err == nil {
		return Progress{}, fmt.Errorf("%s: %w", r.Out, ErrExists)
	}
	tmp, err := os.CreateTemp(filepath.Dir(r.Out), "."+filepath.Base(r.Out)+".part-*")
	if err != nil {
		return Progress{}, fmt.Errorf("retrieve to %s: %w", r.Out, err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	w := bufio.NewWriterSize(tmp, 1<<20)
	p, err := f.Write(ctx, r, w)
	if err != nil {
		return p, err
	}
	if err := errors.Join(w.Flush(), tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return p, fmt.Errorf("retrieve to %s: %w", r.Out, err)
	}
	// A link does not replace a file that came meanwhile, as a rename would.
	if err := os.Link(tmp.Name(), r.Out); err != nil {
		if errors.Is(err, os.ErrExist) {
			return p, fmt.Errorf("%s: %w", r.Out, ErrExists)
		}
		if err := os.Rename(tmp.Name(), r.Out); err != nil {
			return p, fmt.Errorf("retrieve to %s: %w", r.Out, err)
		}
	}
	return p, syncDir(filepath.Dir(r.Out))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a folder; the file itself is on disk.
	_ = d.Sync()
	return nil
}

// Write streams a file's verified bytes to w in order, holding one block. What was written
// before an error is right and not whole. Request.Out is not used.
func (f *Fetcher) Write(ctx context.Context, r Request, w io.Writer) (Progress, error) {
	if r.Blocks != nil {
		s := newSwap(ctx, r.Blocks, r.Patience)
		defer s.close()
		return walkFile(ctx, s, r, w)
	}
	s := &session{root: r.Root, patience: r.Patience}
	fail := func(err error) (Progress, error) {
		return Progress{}, fmt.Errorf("retrieve %s: %w", r.Root, err)
	}
	if !isIdentity(r.Root) {
		es, err := f.endpoints(ctx, r)
		if err != nil {
			return fail(err)
		}
		defer func() {
			for _, e := range es {
				e.client.CloseIdleConnections()
			}
		}()
		s.endpoints = es
		if err := s.start(ctx); err != nil {
			return fail(err)
		}
		defer s.close()
	}
	return walkFile(ctx, s, r, w)
}

// walkFile writes a file whose blocks come from a source.
func walkFile(ctx context.Context, s source, r Request, w io.Writer) (Progress, error) {
	o := &output{ctx: ctx, s: s, w: w, report: r.Progress}
	if err := o.root(r.Root); err != nil {
		return o.p, fmt.Errorf("retrieve %s: %w", r.Root, err)
	}
	return o.p, nil
}

// endpoints finds where to ask. A provider that cannot be asked is left out when another can.
func (f *Fetcher) endpoints(ctx context.Context, r Request) ([]*endpoint, error) {
	ps := slices.Clone(r.Providers)
	var why []string
	if len(ps) == 0 {
		for _, fi := range f.finders {
			found, err := fi.Find(ctx, r.Root)
			if err != nil {
				why = append(why, err.Error())
			}
			ps = append(ps, found...)
		}
	}
	var out []*endpoint
	seen := make(map[string]bool)
	for _, p := range ps {
		if seen[p.String()] {
			continue
		}
		seen[p.String()] = true
		es, err := open(ctx, f.host, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			f.log.Debug("provider cannot be asked", "provider", p, "error", err)
			why = append(why, fmt.Sprintf("provider %s: %v", p, err))
		}
		out = append(out, es...)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(why) > 0:
		return nil, fmt.Errorf("no provider can be asked:\n  %s", strings.Join(why, "\n  "))
	}
	return nil, ErrNoProviders
}

// output walks a file's DAG and writes its bytes.
type output struct {
	ctx    context.Context // of the one fetch
	s      source
	w      io.Writer
	report func(Progress)
	p      Progress
}

func (o *output) block(c cid.Cid) (blocks.Block, error) {
	if isIdentity(c) {
		return (&Server{}).get(o.ctx, c)
	}
	data, err := o.s.get(o.ctx, c)
	if err != nil {
		return nil, err
	}
	o.p.Blocks++
	o.p.From = o.s.last()
	return blocks.NewBlockWithCid(data, c)
}

func (o *output) root(c cid.Cid) error {
	b, err := o.block(c)
	if err != nil {
		return err
	}
	if c.Prefix().Codec == cid.Raw {
		o.p.Total = uint64(len(b.RawData()))
		return o.write(b.RawData())
	}
	if c.Prefix().Codec != cid.DagProtobuf {
		return fmt.Errorf("%w: its codec is 0x%x", ErrNotFile, c.Prefix().Codec)
	}
	_, fs := unixNode(b)
	if fs == nil {
		return fmt.Errorf("%w: it is no UnixFS node", ErrNotFile)
	}
	if t := fs.Type(); t != pb.Data_File && t != pb.Data_Raw {
		return fmt.Errorf("%w: it is a UnixFS %s", ErrNotFile, t)
	}
	o.p.Total = fs.FileSize()
	if err := o.file(b, fs.FileSize(), 0); err != nil {
		return err
	}
	if o.p.Bytes != o.p.Total {
		return fmt.Errorf("the file is malformed: it has %d bytes and its root says %d", o.p.Bytes, o.p.Total)
	}
	return nil
}

// file writes the part of a file under a block, whose parent says its size.
func (o *output) file(b blocks.Block, size uint64, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("block %s lies deeper than %d", b.Cid(), maxDepth)
	}
	if b.Cid().Prefix().Codec == cid.Raw {
		if uint64(len(b.RawData())) != size {
			return fmt.Errorf("the file is malformed: block %s has %d bytes, its parent says %d", b.Cid(), len(b.RawData()), size)
		}
		return o.write(b.RawData())
	}
	n, fs := unixNode(b)
	if fs == nil || (fs.Type() != pb.Data_File && fs.Type() != pb.Data_Raw) {
		return fmt.Errorf("the file is malformed: block %s is no part of a file", b.Cid())
	}
	links := n.Links()
	if fs.FileSize() != size || len(fs.BlockSizes()) != len(links) {
		return fmt.Errorf("the file is malformed: block %s does not fit its parent or its links", b.Cid())
	}
	if err := o.write(fs.Data()); err != nil {
		return err
	}
	next := make([]cid.Cid, len(links))
	for i, l := range links {
		next[i] = l.Cid
	}
	for i, l := range links {
		o.s.hint(next[i:min(i+swapAhead, len(next))])
		child, err := o.block(l.Cid)
		if err != nil {
			return err
		}
		if err := o.file(child, fs.BlockSize(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) write(b []byte) error {
	n, err := o.w.Write(b)
	o.p.Bytes += uint64(n)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if o.report != nil {
		o.report(o.p)
	}
	return nil
}
