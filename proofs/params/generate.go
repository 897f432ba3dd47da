package params

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/consensys/gnark/constraint"

	"github.com/lodenet/lode/proofs/groth16"
)

// job is making what a Want asks for, as far as it needs the compiled circuit.
type job struct {
	s       *Store
	w       Want
	ccs     constraint.ConstraintSystem
	secrets *groth16.Secrets
	vk      *groth16.VerifyingKey
	stem    string
}

// start compiles the circuit and derives the verifying key from the seed, and keeps that key.
func (s *Store) start(ctx context.Context, w Want) (*job, error) {
	name := w.Circuit.Name()
	if w.Seed == nil {
		return nil, fmt.Errorf("%w: %s has neither a pinned key nor a seed", ErrMissing, name)
	}
	ccs, err := s.compile(ctx, w.Circuit)
	if err != nil {
		return nil, err
	}
	j := &job{s: s, w: w, ccs: ccs}
	if j.secrets, err = groth16.InsecureSecrets(w.Seed); err != nil {
		return nil, err
	}
	if j.vk, err = groth16.DeriveVerifyingKey(ctx, ccs, j.secrets); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if w.Pin != (groth16.Digest{}) && j.vk.Digest() != w.Pin {
		return nil, fmt.Errorf("%s: %w: seed and circuit give %s, the network pins %s; use the version of lode that the network was made with", name, ErrPin, j.vk.Digest(), w.Pin)
	}
	j.stem = stem(name, true, j.vk.Digest())
	return j, j.keepVerifying(ctx)
}

// compile compiles a circuit and checks that it is what it says.
func (s *Store) compile(ctx context.Context, c Circuit) (constraint.ConstraintSystem, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.report(Progress{Circuit: c.Name(), Step: "compile"})
	ccs, err := c.Compile()
	if err != nil {
		return nil, fmt.Errorf("%s: compile: %w", c.Name(), err)
	}
	if n := ccs.GetNbPublicVariables() - 1; n != c.PublicInputs() {
		return nil, fmt.Errorf("%s: compiled with %d public inputs, not %d", c.Name(), n, c.PublicInputs())
	}
	return ccs, ctx.Err()
}

// keepVerifying writes the verifying key unless it is there.
func (j *job) keepVerifying(ctx context.Context) error {
	path := j.s.path(j.stem, verifyingExt)
	if _, err := j.s.readVerifying(path, j.vk.Digest()); err == nil {
		return nil
	}
	unlock, err := j.s.lock(ctx, j.w.Circuit.Name())
	if err != nil {
		return err
	}
	err = writeFile(path, func(f *os.File) error {
		_, err := f.Write(j.vk.Bytes())
		return err
	})
	return errors.Join(err, unlock())
}

// makeProving makes the proving key, unless another process did meanwhile.
func (j *job) makeProving(ctx context.Context) (err error) {
	name := j.w.Circuit.Name()
	unlock, err := j.s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	path := j.s.path(j.stem, provingExt)
	if keys, err := mapFile(ctx, path); err == nil {
		return keys.Close()
	} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, groth16.ErrCorrupt) {
		return err
	}
	label := groth16.Label{Circuit: name, Origin: fmt.Sprintf("public seed %q; insecure, since anybody can derive its secrets and prove anything", j.w.Seed), Insecure: true}
	report := func(done float64) {
		j.s.report(Progress{Circuit: name, Step: "make keys (insecure, from a public seed)", Done: done})
	}
	report(0)
	return writeFile(path, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		vk, err := groth16.Setup(ctx, j.ccs, j.secrets, label, w, report)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if vk.Digest() != j.vk.Digest() {
			return fmt.Errorf("%s: setup gave verifying key %s and then %s; memory may be faulty", name, j.vk.Digest(), vk.Digest())
		}
		return w.Flush()
	})
}
