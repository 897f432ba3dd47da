package params

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/constraint/solver"

	"github.com/lodenet/lode/proofs/groth16"
)

// A compiled circuit is kept beside its keys, because reading it is several times faster
// than compiling. Unlike keys it depends on the libraries that wrote it: they encode it, and
// it names their functions that compute wires while proving. So a file holds the digest of
// those libraries' versions, the digest of the rest, and gnark's encoding; it is read back
// only by a program with the same libraries, and used only if its constraints are the key's.

// libraries encode compiled circuits and compute their wires.
var libraries = []string{"github.com/consensys/gnark", "github.com/consensys/gnark-crypto"}

// writer is the digest of the libraries' versions; of the program's file where they have none,
// so that two programs then share no circuits.
var writer = sync.OnceValues(func() (groth16.Digest, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		if d, ok := librariesOf(info); ok {
			return d, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return groth16.Digest{}, err
	}
	return fileDigest(context.Background(), path)
})

// librariesOf is the digest of the versions that a program was built with. It fails when one
// is unknown, or replaced by files that may change.
func librariesOf(info *debug.BuildInfo) (groth16.Digest, bool) {
	h, found := sha256.New(), 0
	for _, m := range info.Deps { // sorted by path
		if !slices.Contains(libraries, m.Path) {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Sum == "" {
			return groth16.Digest{}, false
		}
		fmt.Fprintln(h, m.Path, m.Version, m.Sum)
		found++
	}
	return groth16.Digest(h.Sum(nil)), found == len(libraries)
}

// compiled reads the compiled circuit, or compiles it and checks that it is that of the key.
func (s *Store) compiled(ctx context.Context, w Want, constraints groth16.Digest) (constraint.ConstraintSystem, error) {
	path := s.path(stem(w.Circuit.Name(), w.Seed != nil, w.Pin), compiledExt)
	if ccs, err := readCompiled(path); err == nil {
		if got, err := groth16.Fingerprint(ccs); err == nil && got == constraints {
			return ccs, ctx.Err()
		}
	} // missing, corrupt, or of other libraries or constraints: made again
	ccs, err := s.compile(ctx, w.Circuit)
	if err != nil {
		return nil, err
	}
	got, err := groth16.Fingerprint(ccs)
	if err != nil {
		return nil, err
	}
	if got != constraints {
		return nil, fmt.Errorf("%s: %w: the key is for constraints %s, this program has %s", w.Circuit.Name(), ErrPin, constraints, got)
	}
	return ccs, s.writeCompiled(ctx, w, ccs)
}

// keepCompiled writes the compiled circuit unless that is done.
func (s *Store) keepCompiled(ctx context.Context, w Want, ccs constraint.ConstraintSystem) error {
	if by, err := writer(); err == nil && by == writtenBy(s.path(stem(w.Circuit.Name(), w.Seed != nil, w.Pin), compiledExt)) {
		return nil
	}
	return s.writeCompiled(ctx, w, ccs)
}

// writeCompiled writes the compiled circuit.
func (s *Store) writeCompiled(ctx context.Context, w Want, ccs constraint.ConstraintSystem) error {
	by, err := writer()
	if err != nil {
		return nil // who cannot tell its libraries keeps no circuits; nothing is lost but time
	}
	path := s.path(stem(w.Circuit.Name(), w.Seed != nil, w.Pin), compiledExt)
	var body bytes.Buffer
	if _, err := ccs.WriteTo(&body); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	unlock, err := s.lock(ctx, w.Circuit.Name())
	if err != nil {
		return err
	}
	err = writeFile(path, func(f *os.File) error {
		b := bufio.NewWriter(f)
		d := sha256.Sum256(body.Bytes())
		for _, part := range [][]byte{by[:], d[:], body.Bytes()} {
			if _, err := b.Write(part); err != nil {
				return err
			}
		}
		return b.Flush()
	})
	return errors.Join(err, unlock())
}

// writtenBy tells which libraries wrote a compiled circuit.
func writtenBy(path string) (d groth16.Digest) {
	f, err := os.Open(path)
	if err != nil {
		return groth16.Digest{}
	}
	defer f.Close() // read only
	if _, err := io.ReadFull(f, d[:]); err != nil {
		return groth16.Digest{}
	}
	return d
}

// errStale: the compiled circuit is not to be used.
var errStale = errors.New("compiled circuit is stale")

func readCompiled(path string) (ccs constraint.ConstraintSystem, err error) {
	by, err := writer()
	if err != nil {
		return nil, err
	}
	data, err := mapped(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unmap(data)) }()
	const head = 2 * sha256.Size
	if len(data) < head || !bytes.Equal(data[:sha256.Size], by[:]) {
		return nil, errStale
	}
	if d := sha256.Sum256(data[head:]); !bytes.Equal(d[:], data[sha256.Size:head]) {
		return nil, errStale
	}
	r := new(cs.R1CS)
	if _, err := r.ReadFrom(bytes.NewReader(data[head:])); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for id := range r.MHintsDependencies {
		if solver.GetRegisteredHint(id) == nil {
			return nil, errStale
		}
	}
	return r, nil
}
