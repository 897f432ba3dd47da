package params

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"

	"github.com/lodenet/lode/proofs/groth16"
)

// A ceremony makes keys whose secrets nobody knows unless all who contributed kept theirs and
// conspire. It is the protocol of Bowe, Gabizon and Miers as gnark implements it, in two
// phases: the first is about powers of a secret point, the second about the circuit. Each
// phase is a chain of contributions and ends with a beacon, a public value nobody could know
// before the last contribution was published.
//
// Its state is a folder that goes from hand to hand:
//
//	ceremony.json                     what it is about, the beacons
//	phase1-0001 ... phase1-NNNN       contributions of the first phase, in order
//	phase2-0000                       where the second begins, follows from the first
//	phase2-0001 ... phase2-NNNN       contributions of the second
//	NAME.pk NAME.vk                   the keys
//
// Whoever has the folder and the circuit can verify all of it.

// Ceremony is such a folder.
type Ceremony struct {
	dir    string
	state  ceremonyState
	report func(Progress)
}

// ceremonyState is ceremony.json.
type ceremonyState struct {
	Format  int
	Circuit string
	// Constraints is the fingerprint of the circuit, Domain the size of the first phase, Private
	// the length of the vector of private wires.
	Constraints groth16.Digest
	Domain      uint64
	Private     int
	// Beacon1 and Beacon2 end the phases.
	Beacon1, Beacon2 []byte
	// Key is the digest of the verifying key that came out.
	Key groth16.Digest
}

const (
	ceremonyFile   = "ceremony.json"
	ceremonyFormat = 1
	// maxDomain bounds what a folder can ask a contributor to compute.
	maxDomain = 1 << 28
	// minBeacon is the least length of a beacon, in bytes.
	minBeacon = 16
)

// ErrCeremony: a ceremony's folder or a contribution is not what it must be. Do not go on
// with it; get the folder again from who had it before.
var ErrCeremony = errors.New("ceremony does not verify")

// Contribution is one link of a ceremony.
type Contribution struct {
	Phase, Number int
	// Digest is SHA-256 of the file; a contributor publishes it.
	Digest groth16.Digest
}

// NewCeremony begins a ceremony for a circuit in a folder that does not exist.
func NewCeremony(dir string, c Circuit, report func(Progress)) (*Ceremony, error) {
	ccs, err := c.Compile()
	if err != nil {
		return nil, fmt.Errorf("%s: compile: %w", c.Name(), err)
	}
	print, err := groth16.Fingerprint(ccs)
	if err != nil {
		return nil, err
	}
	internal, secret, _ := ccs.GetNbVariables()
	m := &Ceremony{dir: dir, report: report, state: ceremonyState{
		Format: ceremonyFormat, Circuit: c.Name(), Constraints: print,
		Domain: ecc.NextPowerOfTwo(uint64(ccs.GetNbConstraints())), Private: internal + secret,
	}}
	if err := m.state.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	return m.quiet(), m.save()
}

// OpenCeremony reads the folder's state. It checks no contribution; Verify does.
func OpenCeremony(dir string, report func(Progress)) (*Ceremony, error) {
	f, err := os.Open(filepath.Join(dir, ceremonyFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is no ceremony's folder: it has no %s; lode params ceremony init makes one", dir, ceremonyFile)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	b, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return nil, err
	}
	m := &Ceremony{dir: dir, report: report}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m.state); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCeremony, ceremonyFile, err)
	}
	return m.quiet(), m.state.check()
}

func (m *Ceremony) quiet() *Ceremony {
	if m.report == nil {
		m.report = func(Progress) {}
	}
	return m
}

func (s *ceremonyState) check() error {
	if s.Format != ceremonyFormat {
		return fmt.Errorf("%w: format %d, this version of lode knows %d", ErrCeremony, s.Format, ceremonyFormat)
	}
	if s.Domain < 2 || s.Domain > maxDomain || s.Domain&(s.Domain-1) != 0 || s.Private < 1 || s.Private > maxDomain {
		return fmt.Errorf("%w: a domain of %d points and %d private wires", ErrCeremony, s.Domain, s.Private)
	}
	if len(s.Beacon1) == 0 && len(s.Beacon2) != 0 {
		return fmt.Errorf("%w: the second phase ended before the first", ErrCeremony)
	}
	return nil
}

func (m *Ceremony) save() error {
	b, err := json.MarshalIndent(&m.state, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(m.dir, ceremonyFile), func(f *os.File) error {
		_, err := f.Write(append(b, '\n'))
		return err
	})
}

// Circuit is the circuit's name.
func (m *Ceremony) Circuit() string { return m.state.Circuit }

// Phase is 1 or 2, or 0 when the keys are made.
func (m *Ceremony) Phase() int {
	switch {
	case len(m.state.Beacon1) == 0:
		return 1
	case len(m.state.Beacon2) == 0:
		return 2
	}
	return 0
}

// Keys is the digest of the verifying key, when Phase is 0: what a network pins.
func (m *Ceremony) Keys() groth16.Digest { return m.state.Key }

func (m *Ceremony) path(phase, number int) string {
	return filepath.Join(m.dir, fmt.Sprintf("phase%d-%04d", phase, number))
}

// KeyPath is where the keys are, without the ending.
func (m *Ceremony) KeyPath() string {
	return filepath.Join(m.dir, stem(m.state.Circuit, false, m.state.Key))
}

// count is how many contributions a phase has: the first number that is not there ends it.
func (m *Ceremony) count(phase int) (int, error) {
	for n := 1; ; n++ {
		switch _, err := os.Stat(m.path(phase, n)); {
		case errors.Is(err, os.ErrNotExist):
			return n - 1, nil
		case err != nil:
			return 0, err
		}
	}
}

// Contributions lists what was contributed, in order.
func (m *Ceremony) Contributions(ctx context.Context) ([]Contribution, error) {
	var out []Contribution
	for phase := 1; phase <= 2; phase++ {
		n, err := m.count(phase)
		if err != nil {
			return nil, err
		}
		for i := 1; i <= n; i++ {
			d, err := fileDigest(ctx, m.path(phase, i))
			if err != nil {
				return nil, err
			}
			out = append(out, Contribution{Phase: phase, Number: i, Digest: d})
		}
	}
	return out, nil
}

func fileDigest(ctx context.Context, path string) (d groth16.Digest, err error) {
	data, err := mapped(path)
	if err != nil {
		return d, err
	}
	h := sha256.New()
	_, err = io.Copy(h, &contextReader{ctx, data})
	h.Sum(d[:0])
	return d, errors.Join(err, unmap(data))
}

// system compiles the circuit and checks that the ceremony is about it.
func (m *Ceremony) system(c Circuit) (*cs.R1CS, error) {
	if c.Name() != m.state.Circuit {
		return nil, fmt.Errorf("the ceremony is about circuit %s, not %s", m.state.Circuit, c.Name())
	}
	m.say("compile", 0)
	ccs, err := c.Compile()
	if err != nil {
		return nil, fmt.Errorf("%s: compile: %w", c.Name(), err)
	}
	return checked(ccs, &m.state)
}

func checked(ccs constraint.ConstraintSystem, s *ceremonyState) (*cs.R1CS, error) {
	got, err := groth16.Fingerprint(ccs)
	if err != nil {
		return nil, err
	}
	internal, secret, _ := ccs.GetNbVariables()
	if got != s.Constraints || ecc.NextPowerOfTwo(uint64(ccs.GetNbConstraints())) != s.Domain || internal+secret != s.Private {
		return nil, fmt.Errorf("%w: it is about constraints %s, this version of lode has %s", ErrCeremony, s.Constraints, got)
	}
	return ccs.(*cs.R1CS), nil // Fingerprint takes nothing else
}

func (m *Ceremony) say(step string, done float64) {
	m.report(Progress{Circuit: m.state.Circuit, Step: step, Done: done})
}
