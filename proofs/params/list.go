package params

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lodenet/lode/proofs/groth16"
)

// Entry is a file of a store.
type Entry struct {
	// File is its name in the folder.
	File string
	// Kind is "proving key", "verifying key", "compiled circuit" or "unfinished".
	Kind string
	Size int64
	// Circuit, Origin and Insecure are as the file says, where it does.
	Circuit, Origin string
	Insecure        bool
	// Digest is that of the verifying key, zero for other files.
	Digest groth16.Digest
	// Problem is why the file is of no use, empty when nothing was found.
	Problem string
}

// KindProving is the kind of what proofs are made with.
const KindProving = "proving key"

const (
	kindVerifying  = "verifying key"
	kindCompiled   = "compiled circuit"
	kindUnfinished = "unfinished"
)

// List lists the files, in the order of their names. It reads the beginning of each only.
func (s *Store) List() ([]Entry, error) {
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, f := range files {
		e := Entry{File: f.Name(), Insecure: strings.HasPrefix(f.Name(), "insecure-")}
		switch filepath.Ext(f.Name()) {
		case provingExt:
			e.Kind = KindProving
		case verifyingExt:
			e.Kind = kindVerifying
		case compiledExt:
			e.Kind = kindCompiled
		case partExt:
			e.Kind = kindUnfinished
		default:
			continue // locks, and what is not ours
		}
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // removed meanwhile
		}
		e.Size = info.Size()
		if err := s.describe(&e); err != nil {
			e.Problem = err.Error()
		}
		out = append(out, e)
	}
	return out, nil
}

// describe reads what a file says of itself.
func (s *Store) describe(e *Entry) error {
	switch e.Kind {
	case KindProving:
		f, err := os.Open(filepath.Join(s.dir, e.File))
		if err != nil {
			return err
		}
		defer f.Close() // read only
		h, err := groth16.ReadHeader(f)
		if err != nil {
			return err
		}
		e.Circuit, e.Origin, e.Insecure = h.Circuit, h.Origin, h.Insecure
		vk, err := groth16.ParseVerifyingKey(h.VerifyingKey)
		if err != nil {
			return err
		}
		return e.named(vk)
	case kindVerifying:
		b, err := os.ReadFile(filepath.Join(s.dir, e.File))
		if err != nil {
			return err
		}
		vk, err := groth16.ParseVerifyingKey(b)
		if err != nil {
			return err
		}
		e.Circuit = e.nameCircuit()
		return e.named(vk)
	}
	e.Circuit = e.nameCircuit()
	return nil
}

// nameCircuit is the circuit as the file's name has it.
func (e *Entry) nameCircuit() string {
	name := strings.TrimPrefix(strings.TrimSuffix(e.File, partExt), "insecure-")
	name = strings.TrimSuffix(name, filepath.Ext(name))
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i]
	}
	return name
}

// named checks the digest in the file's name.
func (e *Entry) named(vk *groth16.VerifyingKey) error {
	e.Digest = vk.Digest()
	if want := stem(e.Circuit, e.Insecure, e.Digest) + filepath.Ext(e.File); e.File != want {
		return fmt.Errorf("the file is that of %s", want)
	}
	return nil
}

// Verify checks every file over its whole length and says what is wrong in Problem. Its own
// error is the context's or the folder's.
func (s *Store) Verify(ctx context.Context) ([]Entry, error) {
	entries, err := s.List()
	if err != nil {
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		if e.Problem != "" {
			continue
		}
		s.report(Progress{Circuit: e.Circuit, Step: "verify the " + e.Kind})
		switch e.Kind {
		case KindProving:
			err = s.checkProving(ctx, e.File)
		case kindCompiled:
			if _, err = readCompiled(filepath.Join(s.dir, e.File)); err != nil {
				err = errors.New("corrupt, or written by other versions of the libraries; it is made again when it is needed")
			}
		case kindUnfinished:
			err = errors.New("left by a setup that runs, or that was interrupted")
		default:
			err = nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			e.Problem = err.Error()
		}
	}
	return entries, nil
}

func (s *Store) checkProving(ctx context.Context, file string) error {
	data, err := mapped(filepath.Join(s.dir, file))
	if err != nil {
		return err
	}
	_, err = groth16.CheckKey(ctx, data)
	return errors.Join(err, unmap(data))
}

// Remove removes files by name or by circuit; no names means all that List lists. It returns
// what it removed. Keys that are in use stay usable until they are closed.
func (s *Store) Remove(names ...string) ([]Entry, error) {
	entries, err := s.List()
	if err != nil {
		return nil, err
	}
	is := func(e Entry, name string) bool { return e.File == name || fileName(e.Circuit) == fileName(name) }
	for _, n := range names {
		if !slices.ContainsFunc(entries, func(e Entry) bool { return is(e, n) }) {
			return nil, fmt.Errorf("%s has neither a file nor a circuit %q", s.dir, n)
		}
	}
	var out []Entry
	for _, e := range entries {
		if len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return is(e, n) }) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, e.File)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return out, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Import checks a proving key, such as a ceremony made, and puts it and its verifying key
// into the folder.
func (s *Store) Import(ctx context.Context, path string) (*Entry, error) {
	data, err := mapped(path)
	if err != nil {
		return nil, err
	}
	defer unmap(data) // it was read; nothing follows from an error
	pk, err := groth16.OpenProvingKey(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	h, vk := pk.Header(), pk.VerifyingKey()
	unlock, err := s.lock(ctx, h.Circuit)
	if err != nil {
		return nil, err
	}
	name := stem(h.Circuit, h.Insecure, vk.Digest())
	for ext, b := range map[string][]byte{provingExt: data, verifyingExt: vk.Bytes()} {
		err = errors.Join(err, writeFile(s.path(name, ext), func(f *os.File) error {
			_, err := io.Copy(f, &contextReader{ctx, b})
			return err
		}))
	}
	e := &Entry{File: name + provingExt, Kind: KindProving, Size: int64(len(data)), Circuit: h.Circuit, Origin: h.Origin, Insecure: h.Insecure, Digest: vk.Digest()}
	return e, errors.Join(err, unlock())
}

// contextReader reads bytes until its context ends.
type contextReader struct {
	ctx  context.Context
	left []byte
}

func (r *contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}
