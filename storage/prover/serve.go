package prover

import (
	"bufio"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"log/slog"

	"github.com/lodenet/lode/proofs"
)

// maxJob bounds a job, in bytes: the vanilla proof of a window PoSt has 30 KB a sector.
const maxJob = 1 << 30

// Serve is the child: it reads one job from in, proves, and writes the answer to out. When in
// ends before that, the parent is gone, and gone is called, which should end the process,
// since nothing else can stop a proof. What goes wrong with the proof is an answer too; the
// error is that of reading or writing.
func Serve(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger, gone func()) error {
	b := bufio.NewReader(in)
	var j job
	if err := gob.NewDecoder(io.LimitReader(b, maxJob)).Decode(&j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	// This goroutine ends with its input, which is the process's.
	go func() {
		if _, err := io.Copy(io.Discard, b); err == nil {
			gone()
		}
	}()
	a, err := j.prove(ctx, log)
	if err != nil {
		a = answer{Error: err.Error()}
	}
	return gob.NewEncoder(out).Encode(a)
}

func (j *job) prove(ctx context.Context, log *slog.Logger) (a answer, err error) {
	v, err := Verifier(j.Network)
	if err != nil {
		return a, err
	}
	p, err := New(j.Network, v, Options{Keys: j.Keys, Log: log})
	if err != nil {
		return a, err
	}
	switch {
	case j.Seal != nil && j.Window == nil:
		a.Seal, err = p.ProveSeal(ctx, j.Seal.Info, j.Seal.Vanilla)
	case j.Window != nil && j.Seal == nil:
		witnesses := make([]proofs.PoStWitness, len(j.Window.Vanilla))
		for i, w := range j.Window.Vanilla {
			witnesses[i] = w
		}
		a.Window, err = p.ProveWindowPoSt(ctx, j.Window.Info, witnesses)
	default:
		err = fmt.Errorf("a job of nothing, or of two things at once")
	}
	return a, err
}
