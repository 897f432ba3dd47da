package params

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/lodenet/lode/proofs/groth16"
)

// cube is a small circuit: Out is X to the 3rd, Rounds times.
type cube struct {
	Out    frontend.Variable `gnark:",public"`
	X      frontend.Variable
	Rounds int `gnark:"-"`
}

func (c *cube) Define(api frontend.API) error {
	y := c.X
	for range c.Rounds {
		y = api.Mul(y, y, y)
	}
	api.AssertIsEqual(y, c.Out)
	return nil
}

// toyCircuit counts how often it is compiled.
type toyCircuit struct {
	rounds   int
	mu       sync.Mutex
	compiled int
}

func (c *toyCircuit) Name() string      { return "cube/of three" }
func (c *toyCircuit) PublicInputs() int { return 1 }
func (c *toyCircuit) Compile() (constraint.ConstraintSystem, error) {
	c.mu.Lock()
	c.compiled++
	c.mu.Unlock()
	return frontend.Compile(ecc.BLS12_381.ScalarField(), r1cs.NewBuilder, &cube{Rounds: c.rounds})
}

func (c *toyCircuit) witness(t *testing.T) witness.Witness {
	t.Helper()
	// 1 to any power is 1.
	w, err := frontend.NewWitness(&cube{X: 1, Out: 1}, ecc.BLS12_381.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// steps collects what a store reports.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) add(p Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.all); n == 0 || s.all[n-1] != p.Step {
		s.all = append(s.all, p.Step)
	}
}

func (s *steps) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.all, "; ")
}

func (s *steps) have(what string) bool { return strings.Contains(s.String(), what) }

func get(t *testing.T, s *Store, w Want) *Keys {
	t.Helper()
	k, err := s.ProvingKey(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, n := range names {
		if filepath.Ext(n) == lockExt {
			continue
		}
		if out[filepath.Base(n)], err = os.ReadFile(n); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestFirstUseAndLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when", "needed")
	var first steps
	c := &toyCircuit{rounds: 5}
	want := Want{Circuit: c, Seed: []byte("seed")}
	k := get(t, New(dir, first.add), want)
	if h := k.Key.Header(); !h.Insecure || !strings.Contains(h.Origin, "insecure") || h.Circuit != c.Name() {
		t.Errorf("the key calls itself %+v", h.Label)
	}
	if !first.have("make keys (insecure") || !first.have("compile") {
		t.Errorf("reported %v", &first)
	}
	proof, inputs, err := k.Prove(t.Context(), c.witness(t))
	if err != nil {
		t.Fatal(err)
	}
	made := files(t, dir)
	for name := range made {
		if !strings.HasPrefix(name, "insecure-cube_of_three-") {
			t.Errorf("file %s", name)
		}
	}
	if len(made) != 3 {
		t.Errorf("got files %v, want a proving key, a verifying key and a circuit", len(made))
	}

	// A later process that knows the digest neither compiles nor makes anything.
	want.Pin = k.Key.VerifyingKey().Digest()
	var later steps
	c.compiled = 0
	again := get(t, New(dir, later.add), want)
	if c.compiled != 0 || later.String() != "" {
		t.Errorf("compiled %d times, reported %v", c.compiled, &later)
	}
	if _, _, err := again.Prove(t.Context(), c.witness(t)); err != nil {
		t.Error(err)
	}
	vk, err := New(dir, nil).VerifyingKey(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := vk.Verify(inputs, proof); !ok {
		t.Errorf("the proof is refused: %v", err)
	}

	// Elsewhere the same seed makes the same bytes.
	other := t.TempDir()
	get(t, New(other, nil), want)
	for name, b := range files(t, other) {
		if !bytes.Equal(b, made[name]) {
			t.Errorf("%s differs between folders", name)
		}
	}
}

// TestPrepare: afterwards everything is there, and when it is, nothing is read but the key.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	c := &toyCircuit{rounds: 5}
	want := Want{Circuit: c, Seed: []byte("seed")}
	prepare := func(what, report string, compiled int) {
		t.Helper()
		var said steps
		vk, err := New(dir, said.add).Prepare(t.Context(), want)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if want.Pin != (groth16.Digest{}) && vk.Digest() != want.Pin {
			t.Errorf("%s: got the key %s", what, vk.Digest())
		}
		if said.String() != report || c.compiled != compiled {
			t.Errorf("%s: reported %q and compiled %d times, want %q and %d", what, &said, c.compiled, report, compiled)
		}
		want.Pin = vk.Digest()
	}
	const making = "compile; make keys (insecure, from a public seed)"
	prepare("first", making, 1)
	prepare("again", "", 1)
	stem := filepath.Join(dir, stem(c.Name(), true, want.Pin))
	if err := os.Remove(stem + compiledExt); err != nil {
		t.Fatal(err)
	}
	prepare("no compiled circuit", "compile", 2)
	b, err := os.ReadFile(stem + provingExt)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(stem+provingExt, b, 0o644); err != nil {
		t.Fatal(err)
	}
	prepare("corrupt", "found the keys corrupt, making them again; "+making, 3)
	prepare("and again", "", 3)
	want.Seed = nil
	if _, err := New(dir, nil).Prepare(t.Context(), want); !errors.Is(err, ErrMissing) {
		t.Errorf("keys of a ceremony that are missing: got %v", err)
	}
}

func TestVerifyingKeyAlone(t *testing.T) {
	dir := t.TempDir()
	c := &toyCircuit{rounds: 5}
	s := New(dir, nil)
	vk, err := s.VerifyingKey(t.Context(), Want{Circuit: c, Seed: []byte("seed")})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("made %d files, want the verifying key alone", n)
	}
	c.compiled = 0
	got, err := s.VerifyingKey(t.Context(), Want{Circuit: c, Seed: []byte("seed"), Pin: vk.Digest()})
	if err != nil || got.Digest() != vk.Digest() || c.compiled != 0 {
		t.Errorf("got %v, %v, compiled %d times", got, err, c.compiled)
	}
	k := get(t, s, Want{Circuit: c, Seed: []byte("seed")})
	if k.Key.VerifyingKey().Digest() != vk.Digest() {
		t.Error("the proving key has another verifying key")
	}
}

func TestPins(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, nil)
	c := &toyCircuit{rounds: 5}
	bad := groth16.Digest{1, 2, 3}
	if _, err := s.ProvingKey(t.Context(), Want{Circuit: c, Seed: []byte("seed"), Pin: bad}); !errors.Is(err, ErrPin) {
		t.Errorf("seed and pin that differ: got %v", err)
	}
	if _, err := s.VerifyingKey(t.Context(), Want{Circuit: c, Seed: []byte("seed"), Pin: bad}); !errors.Is(err, ErrPin) {
		t.Errorf("verifying key, seed and pin that differ: got %v", err)
	}
	for _, w := range []Want{{Circuit: c, Pin: bad}, {Circuit: c}} {
		if _, err := s.ProvingKey(t.Context(), w); !errors.Is(err, ErrMissing) {
			t.Errorf("%+v: got %v", w, err)
		}
		if _, err := s.VerifyingKey(t.Context(), w); !errors.Is(err, ErrMissing) {
			t.Errorf("verifying key, %+v: got %v", w, err)
		}
	}
	// A key under another key's name.
	k := get(t, s, Want{Circuit: c, Seed: []byte("seed")})
	d := k.Key.VerifyingKey().Digest()
	for _, ext := range []string{provingExt, verifyingExt} {
		if err := os.Rename(s.path(stem(c.Name(), true, d), ext), s.path(stem(c.Name(), true, bad), ext)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ProvingKey(t.Context(), Want{Circuit: c, Seed: []byte("seed"), Pin: bad}); !errors.Is(err, ErrPin) {
		t.Errorf("under another name: got %v", err)
	}
	if e, err := s.List(); err != nil || len(e) != 3 || e[0].Problem == "" && e[1].Problem == "" {
		t.Errorf("listed %+v, %v", e, err)
	}
}

// TestCorrupt: a file with any damage is found and made again, the same.
func TestCorrupt(t *testing.T) {
	dir := t.TempDir()
	c := &toyCircuit{rounds: 5}
	want := Want{Circuit: c, Seed: []byte("seed")}
	k := get(t, New(dir, nil), want)
	want.Pin = k.Key.VerifyingKey().Digest()
	good := files(t, dir)
	for name, b := range good {
		flipped := bytes.Clone(b)
		flipped[len(b)*2/3] ^= 4
		for what, bad := range map[string][]byte{"flipped bit": flipped, "cut": b[:len(b)/2], "empty": {}} {
			t.Run(filepath.Ext(name)+" "+what, func(t *testing.T) {
				replaceFile(t, filepath.Join(dir, name), bad)
				entries, err := New(dir, nil).Verify(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				found := false
				for _, e := range entries {
					if found = found || e.File == name && e.Problem != ""; e.File != name && e.Problem != "" {
						t.Errorf("%s: found %s", e.File, e.Problem)
					}
				}
				if !found {
					t.Errorf("not found in %s", name)
				}
				s := New(dir, nil)
				k := get(t, s, want)
				if _, _, err := k.Prove(t.Context(), c.witness(t)); err != nil {
					t.Error(err)
				}
				if _, err := s.VerifyingKey(t.Context(), want); err != nil {
					t.Error(err)
				}
				if got := files(t, dir); !bytes.Equal(got[name], b) {
					t.Errorf("%s was not made again", name)
				}
			})
		}
	}
}

func replaceFile(t *testing.T, path string, b []byte) {
	t.Helper()
	// Not in place: keys that are open are mapped.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestInterrupted: a setup that was stopped leaves no key, and the next one starts afresh.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	c := &toyCircuit{rounds: 400}
	want := Want{Circuit: c, Seed: []byte("seed")}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := New(dir, func(p Progress) {
		if strings.HasPrefix(p.Step, "make keys") {
			cancel()
		}
	}).ProvingKey(ctx, want)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	for name := range files(t, dir) {
		if filepath.Ext(name) != verifyingExt {
			t.Errorf("left %s", name)
		}
	}
	// A kill leaves a part of a file.
	vk, err := New(dir, nil).VerifyingKey(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	part := New(dir, nil).path(stem(c.Name(), true, vk.Digest()), provingExt+partExt)
	if err := os.WriteFile(part, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := New(dir, nil).List()
	if err != nil || len(entries) != 2 || entries[0].Kind != kindUnfinished {
		t.Errorf("listed %+v, %v", entries, err)
	}
	k := get(t, New(dir, nil), want)
	if _, _, err := k.Prove(t.Context(), c.witness(t)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(part); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the part is still there: %v", err)
	}
}

// TestOneMakesOthersWait: of many that want the same key at once, one makes it.
func TestOneMakesOthersWait(t *testing.T) {
	dir := t.TempDir()
	var all steps
	made := 0
	var mu sync.Mutex
	report := func(p Progress) {
		all.add(p)
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(p.Step, "make keys") && p.Done == 0 {
			made++
		}
	}
	s := New(dir, nil)
	want := Want{Circuit: &toyCircuit{rounds: 5}, Seed: []byte("seed")}
	// Somebody holds the lock until all wait for it.
	unlock, err := s.lock(t.Context(), want.Circuit.Name())
	if err != nil {
		t.Fatal(err)
	}
	const n = 4
	waiting := make(chan struct{}, n)
	var g sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		g.Go(func() {
			told := false
			k, err := New(dir, func(p Progress) {
				report(p)
				if strings.HasPrefix(p.Step, "wait") && !told {
					told = true
					waiting <- struct{}{}
				}
			}).ProvingKey(t.Context(), want)
			if err == nil {
				err = k.Close()
			}
			errs[i] = err
		})
	}
	for range n {
		<-waiting
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	g.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}

	unlock, err = s.lock(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.lock(ctx, "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: got %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestImportAndRemove(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	c := &toyCircuit{rounds: 5}
	k := get(t, New(from, nil), Want{Circuit: c, Seed: []byte("seed")})
	d := k.Key.VerifyingKey().Digest()
	path := New(from, nil).path(stem(c.Name(), true, d), provingExt)
	s := New(to, nil)
	e, err := s.Import(t.Context(), path)
	if err != nil || e.Digest != d || !e.Insecure {
		t.Fatalf("got %+v, %v", e, err)
	}
	entries, err := s.Verify(t.Context())
	if err != nil || len(entries) != 2 || entries[0].Problem != "" || entries[1].Problem != "" {
		t.Errorf("got %+v, %v", entries, err)
	}
	if _, err := s.Import(t.Context(), "params_test.go"); !errors.Is(err, groth16.ErrCorrupt) {
		t.Errorf("import of something else: got %v", err)
	}
	if _, err := s.Remove("no such"); err == nil {
		t.Error("removed what is not there")
	}
	if gone, err := s.Remove(e.File); err != nil || len(gone) != 1 {
		t.Errorf("removed %+v, %v", gone, err)
	}
	if gone, err := New(from, nil).Remove(c.Name()); err != nil || len(gone) != 3 {
		t.Errorf("removed %+v, %v by circuit", gone, err)
	}
	if gone, err := s.Remove(); err != nil || len(gone) != 1 || len(files(t, to)) != 0 {
		t.Errorf("removed %+v, %v", gone, err)
	}
	if gone, err := New(filepath.Join(to, "none"), nil).Remove(); err != nil || gone != nil {
		t.Errorf("removed %+v, %v from no folder", gone, err)
	}
}

func TestDefaultDir(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{Env: "/keys", "HOME": "/home/me"}, "/keys"},
		{map[string]string{"XDG_CACHE_HOME": "/cache", "HOME": "/home/me"}, "/cache/lode/params"},
		{map[string]string{"HOME": "/home/me"}, "/home/me/.cache/lode/params"},
		{nil, ""},
	} {
		got, err := DefaultDir(func(k string) string { return c.env[k] })
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: got %q, %v", c.env, got, err)
		}
	}
}
