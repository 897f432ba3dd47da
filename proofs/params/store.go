package params

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lodenet/lode/proofs/groth16"
)

// Env is the environment variable that names another folder for keys.
const Env = "LODE_PARAMS"

// DefaultDir is the folder of keys: $LODE_PARAMS, else lode/params in the user's cache.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv(Env); dir != "" {
		return dir, nil
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "lode", "params"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "lode", "params"), nil
	}
	return "", fmt.Errorf("no folder for proving keys: set %s", Env)
}

// Progress is what a Store does just now.
type Progress struct {
	Circuit string
	// Step is for people: "compile", "make keys (insecure)".
	Step string
	// Done is between 0 and 1, and 0 where that is not known.
	Done float64
}

// Store is a folder of keys. It is immutable; its methods are safe from many goroutines and
// processes.
type Store struct {
	dir    string
	report func(Progress)
}

// New takes the folder, which is made when it is needed, and who hears of progress, or nil.
func New(dir string, report func(Progress)) *Store {
	if report == nil {
		report = func(Progress) {}
	}
	return &Store{dir: dir, report: report}
}

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// Want says which keys are wanted.
type Want struct {
	Circuit Circuit
	// Pin is the digest of the verifying key that the network takes. Without one, Seed must
	// be set, and the circuit is compiled to see which keys are meant.
	Pin groth16.Digest
	// Seed is public, and the keys are derived from it and thus insecure. A nil seed means
	// keys of a ceremony, which must be in the folder already.
	Seed []byte
}

// DevnetSeed is what the keys of development networks are derived from.
const DevnetSeed = "lode devnet"

// ErrMissing: the keys are not in the folder and cannot be made here. Import them.
var ErrMissing = errors.New("keys are missing")

// ErrPin: the circuit of this program has other keys than the network pins, so one of the
// two is of another version.
var ErrPin = errors.New("keys are not those that the network takes")

// The kinds of files. Where a name ends so, the rest is the stem of stem().
const (
	provingExt, verifyingExt, compiledExt = ".pk", ".vk", ".r1cs"
	partExt, lockExt                      = ".part", ".lock"
)

// stem is the name of a key's files without the ending.
func stem(circuit string, insecure bool, d groth16.Digest) string {
	prefix := ""
	if insecure {
		prefix = "insecure-"
	}
	return fmt.Sprintf("%s%s-%x", prefix, fileName(circuit), d[:8])
}

// fileName makes a name fit for a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name)
}

func (s *Store) path(stem, ext string) string { return filepath.Join(s.dir, stem+ext) }

// VerifyingKey finds the verifying key, or derives it from the seed, which needs no proving
// key and takes seconds.
func (s *Store) VerifyingKey(ctx context.Context, w Want) (*groth16.VerifyingKey, error) {
	if w.Pin != (groth16.Digest{}) {
		vk, err := s.readVerifying(s.path(stem(w.Circuit.Name(), w.Seed != nil, w.Pin), verifyingExt), w.Pin)
		if err == nil || w.Seed == nil {
			return vk, err
		}
	}
	j, err := s.start(ctx, w)
	if err != nil {
		return nil, err
	}
	return j.vk, nil
}

// readVerifying reads a verifying key that must have this digest.
func (s *Store) readVerifying(path string, want groth16.Digest) (*groth16.VerifyingKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: no %s; get it from who runs the network and add it with lode params import", ErrMissing, path)
	}
	if err != nil {
		return nil, err
	}
	vk, err := groth16.ParseVerifyingKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it and import it again", path, err)
	}
	if vk.Digest() != want {
		return nil, fmt.Errorf("%s: %w: its digest is %s, not %s", path, ErrPin, vk.Digest(), want)
	}
	return vk, nil
}
