package bench

import (
	"context"
	"errors"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/registry"
)

// sectorRates seals one sector of zeros on the files, and measures its steps.
func (s *session) sectorRates(ctx context.Context, e Env) ([]Row, error) {
	seal, err := registry.SealOf(e.Proof)
	if err != nil {
		return nil, err
	}
	if err := zeroData(e.Files, int64(seal.SectorSize)); err != nil {
		return nil, err
	}
	t, commD := zeroTask(e.Proof, seal)
	nodes := float64(seal.Nodes())

	// Progress tells when the parts of a step end: after so many nodes of it.
	label := &laps{now: e.Now, ends: []int64{int64(nodes), int64(nodes) * int64(1+seal.Layers)}}
	start := label.start()
	if err := porep.Label(ctx, t, commD, e.Files, label.progress); err != nil {
		return nil, err
	}
	commit := &laps{now: e.Now, ends: []int64{int64(nodes), 2 * int64(nodes), 3 * int64(nodes)}}
	commit.start()
	commR, err := porep.Commit(ctx, t, commD, e.Files, commit.progress)
	if err != nil {
		return nil, err
	}
	s.sealed = &sealedSector{t, commD, commR, e.Files}
	whole := e.Now().Sub(start)
	row := func(name string, units float64, unit string, took time.Duration) Row {
		if took <= 0 {
			took = time.Nanosecond // nothing that a coarse clock can see
		}
		return Row{Name: name, Rate: units / took.Seconds(), Unit: unit, Cores: allCores(), Note: short(took)}
	}
	return []Row{
		row("tree D", nodes, "leaves/s", label.took(0)),
		row("labels, on files", nodes*float64(seal.Layers), "labels/s", label.took(1)),
		row("tree C with columns", nodes, "leaves/s", commit.took(0)),
		row("encoding", nodes*fr32.NodeBytes, "B/s", commit.took(1)),
		row("tree R", nodes, "leaves/s", commit.took(2)),
		row("sealing to CommR", float64(seal.SectorSize), "B/s", whole),
	}, nil
}

// short is a duration for people.
func short(d time.Duration) string { return d.Round(max(d/1000, time.Microsecond)).String() }

// sealedSector is a sector of zeros and where it lies.
type sealedSector struct {
	task         porep.Task
	commD, commR cid.Cid
	files        porep.Files
}

func zeroTask(p abi.RegisteredSealProof, s registry.Seal) (porep.Task, cid.Cid) {
	return porep.Task{Proof: p, Miner: 1000, Number: 1, Ticket: make([]byte, 32)}, commp.ZeroPiece(abi.PaddedPieceSize(s.SectorSize))
}

// sealZeros seals a sector of zeros.
func sealZeros(ctx context.Context, p abi.RegisteredSealProof, f porep.Files) (*sealedSector, error) {
	seal, err := registry.SealOf(p)
	if err != nil {
		return nil, err
	}
	t, commD := zeroTask(p, seal)
	if err := zeroData(f, int64(seal.SectorSize)); err != nil {
		return nil, err
	}
	if err := porep.Label(ctx, t, commD, f, nil); err != nil {
		return nil, err
	}
	commR, err := porep.Commit(ctx, t, commD, f, nil)
	return &sealedSector{t, commD, commR, f}, err
}

// zeroData makes the file of a sector's data.
func zeroData(f porep.Files, size int64) error {
	file, err := f.Create(porep.Unsealed)
	if err != nil {
		return err
	}
	chunk := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size && err == nil; at += int64(len(chunk)) {
		_, err = file.WriteAt(chunk, at)
	}
	return errors.Join(err, file.Close())
}

// laps notes when a step's progress passed certain places.
type laps struct {
	now   func() time.Time
	ends  []int64
	times []time.Time // the start, then one an end
}

func (l *laps) start() time.Time {
	l.times = append(l.times, l.now())
	return l.times[0]
}

func (l *laps) progress(done, _ int64) {
	for len(l.times) <= len(l.ends) && done >= l.ends[len(l.times)-1] {
		l.times = append(l.times, l.now())
	}
}

// took is how long the i-th part took.
func (l *laps) took(i int) time.Duration {
	if i+1 >= len(l.times) {
		return 0
	}
	return l.times[i+1].Sub(l.times[i])
}
