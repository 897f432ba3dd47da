package dag

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/proofs/commp"
)

// Get reads an import; ErrNotFound when there is none of that root.
func (s *Store) Get(ctx context.Context, root cid.Cid) (*Import, error) {
	imp := &Import{Root: root}
	var created int64
	err := s.db.QueryRowContext(ctx, `SELECT name, size, created FROM dag_import WHERE root=?`, root.String()).
		Scan(&imp.Name, &imp.Size, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s: %w", root, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", root, err)
	}
	imp.Created = time.Unix(created, 0)
	rows, err := s.db.QueryContext(ctx, `SELECT idx, cid, piece_size, car_size FROM dag_piece WHERE root=? ORDER BY idx`, root.String())
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", root, err)
	}
	defer rows.Close()
	for rows.Next() {
		var p Piece
		var c string
		if err := rows.Scan(&p.Index, &c, &p.PieceSize, &p.CARSize); err != nil {
			return nil, fmt.Errorf("import %s: %w", root, err)
		}
		if p.CID, err = cid.Decode(c); err != nil {
			return nil, fmt.Errorf("import %s: %w", root, err)
		}
		imp.Pieces = append(imp.Pieces, p)
	}
	return imp, rows.Err()
}

// List reads all imports, newest first.
func (s *Store) List(ctx context.Context) ([]*Import, error) {
	roots, err := s.roots(ctx)
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	out := make([]*Import, 0, len(roots))
	for _, r := range roots {
		imp, err := s.Get(ctx, r)
		if err != nil {
			return nil, err
		}
		out = append(out, imp)
	}
	return out, nil
}

func (s *Store) roots(ctx context.Context) ([]cid.Cid, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT root FROM dag_import ORDER BY created DESC, root`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []cid.Cid
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		c, err := cid.Decode(s)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// Open gives the CAR of a piece. The context bounds all reading.
func (s *Store) Open(ctx context.Context, root cid.Cid, piece int) (*Stream, error) {
	st := &Stream{ctx: ctx, from: s.blocks, root: root}
	err := s.db.QueryRowContext(ctx, `SELECT first, count, car_size FROM dag_piece WHERE root=? AND idx=?`, root.String(), piece).
		Scan(&st.span.first, &st.span.count, &st.span.size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("piece %d of %s: %w", piece, root, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("piece %d of %s: %w", piece, root, err)
	}
	return st, nil
}

// Raise gives a piece's commitment at a larger size: a provider's smallest piece may be
// larger than what the CAR needs.
func (p Piece) Raise(to abi.PaddedPieceSize) (Piece, error) {
	if to <= p.PieceSize {
		return p, nil
	}
	c, err := commp.Extend(p.CID, p.PieceSize, to)
	if err != nil {
		return Piece{}, fmt.Errorf("piece %s to %d bytes: %w", p.CID, to, err)
	}
	p.CID, p.PieceSize = c, to
	return p, nil
}
