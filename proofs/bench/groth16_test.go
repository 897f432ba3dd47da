package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	cs "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/params"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// power is a small circuit: Y is X to the power of 2^Size.
type power struct {
	Y    frontend.Variable `gnark:",public"`
	X    frontend.Variable
	Size int `gnark:"-"`
}

func (p *power) Define(api frontend.API) error {
	y := p.X
	for range p.Size {
		y = api.Mul(y, y)
	}
	api.AssertIsEqual(y, p.Y)
	return nil
}

// Keys of both kinds are made, and a proof by ours is taken by all verifiers; one that was
// changed stops the measuring.
func TestSetupAndVerify(t *testing.T) {
	ccs, err := frontend.Compile(ecc.BLS12_381.ScalarField(), r1cs.NewBuilder, &power{Size: 40})
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{r1cs: ccs.(*cs.R1CS)}
	row, err := s.compare(t.Context(), env(), "toy")
	if err != nil {
		t.Fatal(err)
	}
	if row.Rate <= 0 || row.PeerRate <= 0 || row.Ratio != row.Rate/row.PeerRate || row.Want != 8 {
		t.Errorf("got %+v", row)
	}
	w, err := frontend.NewWitness(&power{X: 1, Y: 1}, ecc.BLS12_381.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	m := made{what: "toy", key: s.ours.VerifyingKey()}
	if m.proof, m.inputs, err = s.ours.Prove(t.Context(), ccs, w); err != nil {
		t.Fatal(err)
	}
	rows, err := m.rates(t.Context(), env())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(batches) {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		if row.Rate <= 0 || row.Peer == "" || row.PeerRate <= 0 {
			t.Errorf("got %+v", row)
		}
	}
	m.inputs[0].SetUint64(2)
	if _, err := m.rates(t.Context(), env()); err == nil {
		t.Error("a false statement was measured")
	}
}

// noKeys is a store without keys.
type noKeys struct{ t *testing.T }

func (noKeys) List() ([]params.Entry, error) { return nil, nil }

func (k noKeys) ProvingKey(context.Context, params.Want) (*params.Keys, error) {
	k.t.Error("keys were made")
	return nil, context.Canceled
}

// What was not measured is in the report, with the reason.
func TestSkipped(t *testing.T) {
	e, s := env(), new(session)
	e.Keys = noKeys{t}
	seal, err := s.proveSeal(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	window, err := s.proveWindow(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	verify, err := s.verifyRates(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range append(verify, seal, window) {
		if row.Name == "" || row.Skipped == "" || row.Rate != 0 {
			t.Errorf("got %+v", row)
		}
	}
}

func TestCircuitCounts(t *testing.T) {
	rows, err := circuitCounts(t.Context(), env())
	if err != nil {
		t.Fatal(err)
	}
	counts := 0
	for _, row := range rows {
		if row.Unit != Constraints {
			continue
		}
		counts++
		if strict := strings.HasPrefix(row.Name, "bits of"); strict != (row.AtMost == 0) || (!strict && row.Ratio > row.AtMost) || row.Ratio <= 0 {
			t.Errorf("got %+v", row)
		}
	}
	if counts < 16 {
		t.Errorf("%d counts", counts)
	}
}

// All of it, with keys in a folder of its own.
func TestAll(t *testing.T) {
	vectors.Huge(t, "gnark's setup takes half a minute")
	e := env()
	e.Keys, e.Now, e.Epoch = params.New(t.TempDir(), nil), time.Now, time.Second
	r, err := Run(t.Context(), e, All()...)
	if err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for _, row := range r.Rows {
		if row.Skipped != "" {
			skipped++
		} else if row.Rate <= 0 || row.Unit == "" {
			t.Errorf("got %+v", row)
		}
	}
	if skipped != 1 { // the proof of replication
		t.Errorf("%d figures are missing", skipped)
	}
}
