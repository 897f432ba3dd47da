package dag

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs/commp"
)

var (
	// ErrNotFound: the file was not imported here.
	ErrNotFound = errors.New("not imported on this node")
	// ErrEmpty: a file without a byte is no data to make a deal for.
	ErrEmpty = errors.New("the file is empty, there is nothing to store")
)

// Import is a file that was taken in.
type Import struct {
	Root    cid.Cid
	Name    string // what the user called it, for display
	Size    uint64 // bytes of the file
	Created time.Time
	Pieces  []Piece
}

// Piece is a CAR of a part of an import.
type Piece struct {
	Index     int
	CID       cid.Cid             // CommP of the CAR at PieceSize
	PieceSize abi.PaddedPieceSize // the smallest that holds the CAR
	CARSize   uint64              // bytes
}

// Store imports files. Safe from many goroutines.
type Store struct {
	db     *sql.DB
	blocks types.Blocks
	clk    clock.Clock
}

// Open makes the tables. Blocks is where the DAGs are kept for good.
func Open(ctx context.Context, db *sql.DB, blocks types.Blocks, clk clock.Clock) (*Store, error) {
	_, err := db.ExecContext(ctx, `
CREATE TABLE IF NOT EXISTS dag_import (root TEXT PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS dag_piece (root TEXT NOT NULL, idx INTEGER NOT NULL, cid TEXT NOT NULL, piece_size INTEGER NOT NULL,
 car_size INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (root, idx));
CREATE INDEX IF NOT EXISTS dag_piece_cid ON dag_piece (cid);`)
	if err != nil {
		return nil, fmt.Errorf("import tables: %w", err)
	}
	return &Store{db, blocks, clk}, nil
}

// Options say how a file is cut.
type Options struct {
	SectorSize abi.SectorSize // no piece is larger; needed
	ChunkSize  int            // bytes of a leaf; 0: ChunkSize(SectorSize)
	// Progress is called with the bytes of the file taken in so far, then with done again
	// for each byte of the CARs whose commitment is made; total is of that phase, 0 when
	// unknown. It may be nil.
	Progress func(phase string, done, total uint64)
	// Room says whether the blocks' disk can take so many bytes more. It may be nil.
	Room func(bytes uint64) error
}

// The phases of an import.
const (
	PhaseRead   = "import"
	PhaseCommit = "commit"
)

// ImportFile imports a regular file. The error says what is wrong with another.
func (s *Store) ImportFile(ctx context.Context, path string, opt Options) (*Import, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("import %s: it is not a regular file; pack a folder first, for example with tar", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w; check that the daemon's user may read it", err)
	}
	defer f.Close()
	return s.Import(ctx, st.Name(), f, uint64(st.Size()), opt)
}

// Import takes a file in: blocks, plan, commitments, and last the rows, so that an import is
// there whole or not at all. Size is what the reader is expected to have, 0 when unknown. The same file again gives the
// same root and is taken in anew.
func (s *Store) Import(ctx context.Context, name string, r io.Reader, size uint64, opt Options) (*Import, error) {
	if opt.SectorSize < 2<<10 {
		return nil, fmt.Errorf("import %s: sector size %d is too small", name, opt.SectorSize)
	}
	chunkSize := opt.ChunkSize
	if chunkSize == 0 {
		chunkSize = ChunkSize(uint64(opt.SectorSize))
	}
	if opt.Room != nil {
		// Blocks, their index, and what the database keeps twice for a while.
		if err := opt.Room(size + size/16); err != nil {
			return nil, fmt.Errorf("import %s: %w", name, err)
		}
	}
	in := &meter{r: r, total: size, phase: PhaseRead, report: opt.Progress}
	root, err := build(ctx, s.blocks, in, chunkSize)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", name, err)
	}
	if in.done == 0 {
		return nil, fmt.Errorf("import %s: %w", name, ErrEmpty)
	}
	spans, err := plan(ctx, s.blocks, root, uint64(opt.SectorSize)/128*127)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", name, err)
	}
	imp := &Import{Root: root, Name: name, Size: in.done, Created: time.Unix(s.clk.Now().Unix(), 0)}
	var total, done uint64
	for _, sp := range spans {
		total += sp.size
	}
	for i, sp := range spans {
		p, err := s.commit(ctx, root, sp, &meter{done: done, total: total, phase: PhaseCommit, report: opt.Progress})
		if err != nil {
			return nil, fmt.Errorf("import %s: piece %d: %w", name, i, err)
		}
		p.Index = i
		done += sp.size
		imp.Pieces = append(imp.Pieces, p)
	}
	return imp, s.save(ctx, imp, spans)
}

// commit reads the CAR of a span and makes its piece commitment.
func (s *Store) commit(ctx context.Context, root cid.Cid, sp span, m *meter) (Piece, error) {
	st := &Stream{ctx: ctx, from: s.blocks, root: root, span: sp}
	defer st.Close()
	m.r = st
	w := commp.New()
	if _, err := io.CopyBuffer(w, m, make([]byte, 1<<20)); err != nil {
		return Piece{}, err
	}
	c, size, err := w.Sum()
	if err != nil {
		return Piece{}, err
	}
	return Piece{CID: c, PieceSize: size, CARSize: sp.size}, nil
}

// meter counts what is read.
type meter struct {
	r      io.Reader
	done   uint64
	total  uint64
	phase  string
	report func(string, uint64, uint64)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.done += uint64(n)
	if m.report != nil && n > 0 {
		m.report(m.phase, m.done, m.total)
	}
	return n, err
}

// save replaces the rows of a root. A plan in use by a deal is the same plan again unless
// the chunk or sector size was changed, and then the root is another too or no deal was made.
func (s *Store) save(ctx context.Context, imp *Import, spans []span) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("import %s: %w", imp.Name, err)
	}
	defer tx.Rollback()
	root := imp.Root.String()
	run := func(q string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, q, args...)
		}
	}
	run(`INSERT OR REPLACE INTO dag_import VALUES (?,?,?,?)`, root, imp.Name, int64(imp.Size), imp.Created.Unix())
	run(`DELETE FROM dag_piece WHERE root=?`, root)
	for i, p := range imp.Pieces {
		run(`INSERT INTO dag_piece VALUES (?,?,?,?,?,?,?)`, root, i, p.CID.String(), int64(p.PieceSize), int64(p.CARSize), spans[i].first, spans[i].count)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", imp.Name, err)
	}
	return nil
}
