package params

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"

	"github.com/lodenet/lode/proofs/groth16"
)

// Keys are what proving one circuit needs: the proving key, mapped from its file, and the
// compiled circuit. They are safe from many goroutines until they are closed.
type Keys struct {
	Key     *groth16.ProvingKey
	Circuit constraint.ConstraintSystem

	data []byte
}

// Prove proves what a witness says; see groth16.ProvingKey.Prove.
func (k *Keys) Prove(ctx context.Context, w witness.Witness) (proof []byte, inputs []fr.Element, err error) {
	return k.Key.Prove(ctx, k.Circuit, w)
}

// Close gives the mapped file back. Nothing may be proving with the keys, nor begin to.
func (k *Keys) Close() error {
	data := k.data
	k.data, k.Key = nil, nil
	if data == nil {
		return nil
	}
	return unmap(data)
}

// ProvingKey finds the keys, checks them against their digest, and makes them when they are
// missing or corrupt and a seed is there to make them from. The caller closes them.
func (s *Store) ProvingKey(ctx context.Context, w Want) (*Keys, error) {
	var j *job
	if w.Pin == (groth16.Digest{}) {
		var err error
		if j, err = s.start(ctx, w); err != nil {
			return nil, err
		}
		w.Pin = j.vk.Digest()
	}
	name := w.Circuit.Name()
	path := s.path(stem(name, w.Seed != nil, w.Pin), provingExt)
	keys, err := mapFile(ctx, path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, groth16.ErrCorrupt) {
		if w.Seed == nil {
			return nil, fmt.Errorf("%s: %w: %w; import them with lode params import", name, ErrMissing, err)
		}
		if errors.Is(err, groth16.ErrCorrupt) {
			s.report(Progress{Circuit: name, Step: "found the keys corrupt, making them again"})
		}
		if j == nil {
			if j, err = s.start(ctx, w); err != nil {
				return nil, err
			}
		}
		if err := j.makeProving(ctx); err != nil {
			return nil, err
		}
		keys, err = mapFile(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	if got := keys.Key.VerifyingKey().Digest(); got != w.Pin {
		return nil, errors.Join(fmt.Errorf("%s: %w: its verifying key is %s, not %s", path, ErrPin, got, w.Pin), keys.Close())
	}
	if j != nil {
		keys.Circuit = j.ccs
		err = s.keepCompiled(ctx, w, j.ccs)
	} else {
		keys.Circuit, err = s.compiled(ctx, w, keys.Key.Header().Constraints)
	}
	if err != nil {
		return nil, errors.Join(err, keys.Close())
	}
	return keys, nil
}

// Prepare makes sure that keys and compiled circuit are there and whole, so that ProvingKey
// will only open them, and returns the verifying key. It holds nothing in memory afterwards,
// and where all is there, not meanwhile either.
func (s *Store) Prepare(ctx context.Context, w Want) (*groth16.VerifyingKey, error) {
	if w.Pin != (groth16.Digest{}) {
		stem := stem(w.Circuit.Name(), w.Seed != nil, w.Pin)
		keys, err := mapFile(ctx, s.path(stem, provingExt))
		if err == nil {
			vk := keys.Key.VerifyingKey()
			if err := keys.Close(); err != nil {
				return nil, err
			}
			by, err := writer()
			if err == nil && vk.Digest() == w.Pin && by == writtenBy(s.path(stem, compiledExt)) {
				return vk, nil
			}
		}
	}
	keys, err := s.ProvingKey(ctx, w)
	if err != nil {
		return nil, err
	}
	vk := keys.Key.VerifyingKey()
	return vk, keys.Close()
}

// mapFile maps a proving key and checks all of it.
func mapFile(ctx context.Context, path string) (*Keys, error) {
	data, err := mapped(path)
	if err != nil {
		return nil, err
	}
	pk, err := groth16.OpenProvingKey(ctx, data)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unmap(data))
	}
	return &Keys{Key: pk, data: data}, nil
}

// mapped maps a file. A file of this package is never changed, only replaced by another, so
// what is mapped stays.
func mapped(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 || info.Size() != int64(int(info.Size())) {
		return nil, fmt.Errorf("%s: %w: not a file with contents", path, groth16.ErrCorrupt)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return data, nil
}

func unmap(data []byte) error { return syscall.Munmap(data) }
