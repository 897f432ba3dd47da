package params

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark/backend/groth16/bls12-381/mpcsetup"

	"github.com/lodenet/lode/proofs/groth16"
)

var beacon = []byte("a value that nobody knew before")

// hold runs a whole ceremony with two contributions a phase.
func hold(t *testing.T, dir string, c Circuit) *Ceremony {
	t.Helper()
	if _, err := NewCeremony(dir, c, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for range 2 {
			// Each contributor opens the folder anew.
			m, err := OpenCeremony(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Contribute(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		m, err := OpenCeremony(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := m.Finalize(t.Context(), c, beacon); err != nil {
			t.Fatal(err)
		}
	}
	m, err := OpenCeremony(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCeremony(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ceremony")
	c := &toyCircuit{rounds: 5}
	m := hold(t, dir, c)
	if err := m.Verify(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if m.Phase() != 0 || m.Circuit() != c.Name() {
		t.Errorf("phase %d of %s", m.Phase(), m.Circuit())
	}
	all, err := m.Contributions(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("got contributions %v, %v", all, err)
	}
	seen := map[groth16.Digest]bool{}
	for i, k := range all {
		seen[k.Digest] = true
		if k.Phase != 1+i/2 || k.Number != 1+i%2 {
			t.Errorf("contribution %d is %d of phase %d", i, k.Number, k.Phase)
		}
	}
	if len(seen) != 4 {
		t.Error("contributions are the same")
	}

	// A provider takes the keys, a verifier the pinned half.
	s := New(t.TempDir(), nil)
	if _, err := s.Import(t.Context(), m.KeyPath()+provingExt); err != nil {
		t.Fatal(err)
	}
	k := get(t, s, Want{Circuit: c, Pin: m.Keys()})
	if k.Key.Header().Insecure || strings.Contains(k.Key.Header().Origin, "insecure") {
		t.Errorf("the key calls itself %+v", k.Key.Header().Label)
	}
	proof, inputs, err := k.Prove(t.Context(), c.witness(t))
	if err != nil {
		t.Fatal(err)
	}
	vk, err := s.VerifyingKey(t.Context(), Want{Circuit: c, Pin: m.Keys()})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := vk.Verify(inputs, proof); !ok {
		t.Errorf("the proof is refused: %v", err)
	}

	if _, err := m.Contribute(t.Context()); err == nil {
		t.Error("contributed after the end")
	}
	if err := m.Finalize(t.Context(), c, beacon); err == nil {
		t.Error("ended twice")
	}
}

// TestCeremonyTampered: whatever is changed in the folder is found by Verify.
func TestCeremonyTampered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ceremony")
	c := &toyCircuit{rounds: 5}
	m := hold(t, dir, c)
	for name, b := range files(t, dir) {
		path := filepath.Join(dir, name)
		verify := func(t *testing.T) {
			t.Helper()
			m, err := OpenCeremony(dir, nil)
			if err == nil {
				err = m.Verify(t.Context(), c)
			}
			if err == nil {
				t.Errorf("%s changed: verified", name)
			}
		}
		if name == ceremonyFile {
			for _, change := range []func(*ceremonyState){
				func(s *ceremonyState) { s.Beacon1 = append([]byte("x"), s.Beacon1...) },
				func(s *ceremonyState) { s.Beacon2 = append([]byte("x"), s.Beacon2...) },
				func(s *ceremonyState) { s.Key[0] ^= 1 },
				func(s *ceremonyState) { s.Constraints[0] ^= 1 },
				func(s *ceremonyState) { s.Domain *= 2 },
				func(s *ceremonyState) { s.Private++ },
				func(s *ceremonyState) { s.Circuit += "x" },
				func(s *ceremonyState) { s.Format++ },
				func(s *ceremonyState) { s.Beacon1 = nil },
			} {
				bad := &Ceremony{dir: dir, state: m.state}
				bad.state.Beacon1, bad.state.Beacon2 = bytes.Clone(m.state.Beacon1), bytes.Clone(m.state.Beacon2)
				change(&bad.state)
				if err := bad.save(); err != nil {
					t.Fatal(err)
				}
				verify(t)
			}
			replaceFile(t, path, b)
			continue
		}
		for _, at := range []int{20, len(b) / 2, len(b) - 40, len(b) - 1} {
			bad := bytes.Clone(b)
			bad[at] ^= 1
			replaceFile(t, path, bad)
			verify(t)
		}
		replaceFile(t, path, b[:len(b)-1])
		verify(t)
		replaceFile(t, path, append(bytes.Clone(b), 0))
		verify(t)
		replaceFile(t, path, b)
	}
	// A contribution left out, and two in the wrong order.
	all := files(t, dir)
	for _, phase := range []int{1, 2} {
		one, two := m.path(phase, 1), m.path(phase, 2)
		b1, b2 := all[filepath.Base(one)], all[filepath.Base(two)]
		for what, now := range map[string][2][]byte{"swapped": {b2, b1}, "twice the first": {b1, b1}} {
			replaceFile(t, one, now[0])
			replaceFile(t, two, now[1])
			if err := m.Verify(t.Context(), c); !errors.Is(err, ErrCeremony) {
				t.Errorf("phase %d %s: got %v", phase, what, err)
			}
		}
		replaceFile(t, one, b2)
		if err := os.Remove(two); err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(t.Context(), c); !errors.Is(err, ErrCeremony) {
			t.Errorf("phase %d without its first: got %v", phase, err)
		}
		replaceFile(t, one, b1)
		if err := os.WriteFile(two, b2, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Verify(t.Context(), c); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func TestCeremonyRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ceremony")
	c := &toyCircuit{rounds: 5}
	if _, err := OpenCeremony(dir, nil); err == nil {
		t.Error("opened what is not there")
	}
	m, err := NewCeremony(dir, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCeremony(dir, c, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("begun twice: got %v", err)
	}
	if err := m.Finalize(t.Context(), c, beacon); err == nil {
		t.Error("ended without a contribution")
	}
	if _, err := m.Contribute(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Finalize(t.Context(), c, []byte("short")); err == nil {
		t.Error("a short beacon was taken")
	}
	if err := m.Finalize(t.Context(), &toyCircuit{rounds: 6}, beacon); !errors.Is(err, ErrCeremony) {
		t.Errorf("another circuit: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Contribute(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func FuzzContribution(f *testing.F) {
	const domain, private = 4, 3
	var one mpcsetup.Phase1
	one.Initialize(domain)
	one.Contribute()
	var b bytes.Buffer
	if _, err := one.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(true, b.Bytes())
	f.Add(false, b.Bytes())
	f.Add(false, make([]byte, phase2Form(domain, private, false).size))
	f.Fuzz(func(t *testing.T, first bool, b []byte) {
		var err error
		if first {
			err = decodePhase(t.Context(), "x", b, new(mpcsetup.Phase1), phase1Form(domain))
		} else {
			err = decodePhase(t.Context(), "x", b, new(mpcsetup.Phase2), phase2Form(domain, private, false))
		}
		if err != nil && !errors.Is(err, ErrCeremony) {
			t.Errorf("got %v", err)
		}
	})
}
