package groth16

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	mrand "math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/frontend"
)

// gnarkKeys runs gnark's setup with secrets that we know: its source of randomness is a
// variable, and the secrets are the first that it draws from there.
func gnarkKeys(t testing.TB, ccs constraint.ConstraintSystem) (*gnark.ProvingKey, *gnark.VerifyingKey, *Secrets) {
	t.Helper()
	stream := func() io.Reader { return mrand.NewChaCha8([32]byte{1, 2, 3}) }
	real := rand.Reader
	defer func() { rand.Reader = real }()
	s := new(Secrets)
	rand.Reader = stream()
	for _, e := range []*fr.Element{&s.tau, &s.alpha, &s.beta, &s.gamma, &s.delta} {
		if _, err := e.SetRandom(); err != nil {
			t.Fatal(err)
		}
	}
	rand.Reader = stream()
	pk, vk := new(gnark.ProvingKey), new(gnark.VerifyingKey)
	if err := gnark.Setup(ccs.(*cs.R1CS), pk, vk); err != nil {
		t.Fatal(err)
	}
	return pk, vk, s
}

// TestSetupIsGnarks: from the same secrets, gnark's setup and ours make the same keys.
func TestSetupIsGnarks(t *testing.T) {
	for _, c := range []*toy{{Rounds: 1, Bits: 1}, {Rounds: 3, Bits: 2}, small, {Rounds: 300, Bits: 64}, {Rounds: 1500, Bits: 16}} {
		ccs := compile(t, c)
		wantPK, wantVK, s := gnarkKeys(t, ccs)
		var out bytes.Buffer
		vk, err := Setup(t.Context(), ccs, s, Label{Circuit: "toy"}, &out, nil)
		if err != nil {
			t.Fatal(err)
		}
		pk := openKey(t, aligned(out.Bytes()))
		var got, want bytes.Buffer
		if _, err := pk.key.WriteRawTo(&got); err != nil {
			t.Fatal(err)
		}
		if _, err := wantPK.WriteRawTo(&want); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%d constraints: gnark's proving key is another one", ccs.GetNbConstraints())
		}
		want.Reset()
		if _, err := wantVK.WriteRawTo(&want); err != nil {
			t.Fatal(err)
		}
		// gnark's encoding is Filecoin's and two empty lists.
		if got := append(vk.Bytes(), make([]byte, 8)...); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d constraints: gnark's verifying key is another one", ccs.GetNbConstraints())
		}
		derived, err := DeriveVerifyingKey(t.Context(), ccs, s)
		if err != nil || derived.Digest() != vk.Digest() {
			t.Errorf("derived alone: got key %v, %v, want %v", derived, err, vk.Digest())
		}

		// The same from gnark's own keys.
		var written bytes.Buffer
		label := pk.Header().Label
		if _, err := WriteProvingKey(&written, label, wantPK, wantVK); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(written.Bytes(), out.Bytes()) {
			t.Errorf("%d constraints: gnark's keys, written, are another file", ccs.GetNbConstraints())
		}
	}
}

func TestSetupIsDeterministic(t *testing.T) {
	a, vk := setup(t, compile(t, small), "seed")
	b, _ := setup(t, compile(t, small), "seed")
	if !bytes.Equal(a, b) {
		t.Error("the same seed gave another key")
	}
	if _, other := setup(t, compile(t, small), "seee"); other.Digest() == vk.Digest() {
		t.Error("another seed gave the same key")
	}
	if got := openKey(t, a).VerifyingKey().Digest(); got != vk.Digest() {
		t.Errorf("the file has verifying key %v, want %v", got, vk.Digest())
	}
}

func TestSecrets(t *testing.T) {
	a, err := NewSecrets(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSecrets(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[fr.Element]bool{}
	for _, s := range []*Secrets{a, b} {
		for _, e := range []fr.Element{s.tau, s.alpha, s.beta, s.gamma, s.delta} {
			all[e] = true
		}
	}
	if len(all) != 10 {
		t.Errorf("10 draws gave %d secrets", len(all))
	}
	if _, err := NewSecrets(bytes.NewReader(make([]byte, 319))); err == nil {
		t.Error("randomness that ends early, or is zero, was taken")
	}
}

func TestFingerprint(t *testing.T) {
	print := func(ccs constraint.ConstraintSystem) Digest {
		d, err := Fingerprint(ccs)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a := print(compile(t, small))
	if a != print(compile(t, &toy{Rounds: 20, Bits: 16})) {
		t.Error("the same circuit got another fingerprint")
	}
	for _, other := range []*toy{{Rounds: 21, Bits: 16}, {Rounds: 20, Bits: 15}} {
		if a == print(compile(t, other)) {
			t.Errorf("%+v has the fingerprint of %+v", other, small)
		}
	}
	if constant := compile(t, &constants{A: 3}); print(constant) == print(compile(t, &constants{A: 4})) {
		t.Error("circuits that differ in a constant have the same fingerprint")
	}
}

// constants says X times A is Out.
type constants struct {
	Out frontend.Variable `gnark:",public"`
	X   frontend.Variable
	A   int `gnark:"-"`
}

func (c *constants) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(api.Mul(c.X, c.A), api.Add(c.X, 7*c.A)), c.Out)
	api.AssertIsBoolean(c.X)
	return nil
}

// committing uses a commitment, unused has an input that nothing constrains.
type committing struct{ X frontend.Variable }

func (c *committing) Define(api frontend.API) error {
	v, err := api.(frontend.Committer).Commit(c.X)
	if err != nil {
		return err
	}
	api.AssertIsDifferent(v, 0)
	return nil
}

type unused struct {
	Free frontend.Variable `gnark:",public"`
	X    frontend.Variable
}

func (c *unused) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.X, c.X, c.X), 27)
	return nil
}

func TestSetupRefuses(t *testing.T) {
	s, err := InsecureSecrets(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]frontend.Circuit{"commitments": &committing{}, "a free input": &unused{}} {
		if _, err := Setup(t.Context(), compile(t, c), s, Label{}, io.Discard, nil); err == nil {
			t.Errorf("%s: got keys", name)
		}
	}
	inDomain := *s
	inDomain.tau.SetOne()
	if _, err := Setup(t.Context(), compile(t, small), &inDomain, Label{}, io.Discard, nil); err == nil {
		t.Error("a secret point in the domain was taken")
	}
}

func TestSetupStops(t *testing.T) {
	ccs := compile(t, small)
	s, err := InsecureSecrets(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reports := 0
	_, err = Setup(ctx, ccs, s, Label{}, io.Discard, func(float64) { reports++; cancel() })
	if !errors.Is(err, context.Canceled) || reports == 0 {
		t.Errorf("cancelled on the way: got %v after %d reports", err, reports)
	}
	full := errors.New("disk full")
	if _, err = Setup(t.Context(), ccs, s, Label{}, failAfter(5000, full), nil); !errors.Is(err, full) {
		t.Errorf("a writer that fails: got %v", err)
	}
	last := 0.0
	if _, err = Setup(t.Context(), ccs, s, Label{}, io.Discard, func(d float64) {
		if d < last {
			t.Errorf("progress went from %v to %v", last, d)
		}
		last = d
	}); err != nil || last != 1 {
		t.Errorf("progress ended at %v, %v", last, err)
	}
}

type failing struct {
	left int
	err  error
}

func failAfter(n int, err error) io.Writer { return &failing{n, err} }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, f.err
	}
	return len(b), nil
}
