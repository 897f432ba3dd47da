package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
)

// Options say how a file is sealed.
type Options struct {
	Proof    abi.RegisteredSealProof
	Miner    abi.ActorID
	Number   abi.SectorNumber
	Ticket   Bytes
	Now      func() time.Time                     // to tell how long the steps take
	Progress func(step string, done, total int64) // may be nil
}

func (o *Options) progress(step string) porep.Progress {
	if o.Progress == nil {
		return nil
	}
	return func(done, total int64) { o.Progress(step, done, total) }
}

// Seal seals the size bytes of src, which are read once, as the one piece of a sector, in a
// folder that is made when it is not there. After an interruption it is to be called again
// with the same arguments. A folder that has a sealed sector is left as it is: fs.ErrExist.
func Seal(ctx context.Context, dir string, src io.Reader, size int64, o Options) (*Sector, error) {
	sectorSize, err := o.Proof.SectorSize()
	if err != nil {
		return nil, fmt.Errorf("seal proof %d: %w", o.Proof, err)
	}
	s := &Sector{Proof: o.Proof, Miner: o.Miner, Number: o.Number, Ticket: o.Ticket, Payload: size, dir: dir}
	if room := abi.PaddedPieceSize(sectorSize).Unpadded(); size < 1 || uint64(size) > uint64(room) {
		return nil, fmt.Errorf("%d bytes do not fit into a sector of %d, which has room for 1 to %d (fr32 padding takes 1 in 128)", size, sectorSize, room)
	}
	if _, err := os.Lstat(filepath.Join(dir, SectorFile)); err == nil {
		return nil, fmt.Errorf("%s has a sealed sector already; name another folder: %w", dir, fs.ErrExist)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := newFolder(dir)
	defer d.discard()

	steps := []struct {
		name string
		run  func(porep.Progress) error
	}{
		{"data", func(p porep.Progress) error { return s.data(ctx, d, src, p) }},
		{"labels", func(p porep.Progress) error { return porep.Label(ctx, s.task(), s.CommD, d, p) }},
		{"trees", func(p porep.Progress) (err error) {
			s.CommR, err = porep.Commit(ctx, s.task(), s.CommD, d, p)
			return err
		}},
	}
	for _, step := range steps {
		start := o.Now()
		err := step.run(o.progress(step.name))
		if err == nil {
			err = d.keepAll()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		s.Steps = append(s.Steps, Step{step.name, seconds(start, o.Now())})
	}
	return s, s.write(d)
}

// data writes the padded sector and finds CommP and CommD.
func (s *Sector) data(ctx context.Context, d *folder, src io.Reader, progress porep.Progress) error {
	size, err := s.Proof.SectorSize()
	if err != nil {
		return err
	}
	s.PieceSize = commp.PieceSize(uint64(s.Payload))
	piece := commp.New()
	payload := io.TeeReader(&exactly{stop: ctx.Err, r: src, left: s.Payload, total: s.Payload, progress: progress}, piece)
	f, err := d.Create(porep.Unsealed)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, 0), fr32.NewPadReader(io.MultiReader(payload, zeros{}), s.PieceSize))
	if err == nil {
		err = f.(*file).Truncate(int64(size)) // the rest reads as zeros
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if s.Piece, _, err = piece.Sum(); err != nil {
		return err
	}
	if s.CommD, err = commp.CommD(s.Proof, []abi.PieceInfo{{PieceCID: s.Piece, Size: s.PieceSize}}); err != nil {
		return err
	}
	id, err := s.task().ReplicaID(s.CommD)
	s.ReplicaID = Bytes(id)
	return err
}

// exactly reads so many bytes of a file, which must have them.
type exactly struct {
	stop        func() error // why reading is to end
	r           io.Reader
	left, total int64
	progress    porep.Progress
}

// Read implements io.Reader.
func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if err := e.stop(); err != nil {
		return 0, err
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if e.progress != nil {
		e.progress(e.total-e.left, e.total)
	}
	if err == io.EOF && e.left > 0 {
		return n, fmt.Errorf("the file ends %d bytes early: %w", e.left, io.ErrUnexpectedEOF)
	}
	if err == io.EOF {
		err = nil // told by the next call
	}
	return n, err
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
