package params

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark/backend/groth16/bls12-381/mpcsetup"
)

// Contribute adds a contribution to the phase that runs, with randomness of the system that
// is thrown away. It checks first that the contribution before it is well formed; Verify
// checks the whole chain. It takes long for large circuits and cannot be stopped inside gnark's
// computation.
func (m *Ceremony) Contribute(ctx context.Context) (*Contribution, error) {
	phase := m.Phase()
	if phase == 0 {
		return nil, errors.New("the ceremony is over; its keys are made")
	}
	n, err := m.count(phase)
	if err != nil {
		return nil, err
	}
	m.say(fmt.Sprintf("read contribution %d of phase %d", n, phase), 0)
	var next io.WriterTo
	if phase == 1 {
		p, err := m.phase1(ctx, n)
		if err != nil {
			return nil, err
		}
		m.say("contribute", 0)
		p.Contribute()
		next = p
	} else {
		p, err := m.phase2(ctx, n)
		if err != nil {
			return nil, err
		}
		m.say("contribute", 0)
		p.Contribute()
		next = p
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := m.writePhase(m.path(phase, n+1), next); err != nil {
		return nil, err
	}
	d, err := fileDigest(ctx, m.path(phase, n+1))
	return &Contribution{Phase: phase, Number: n + 1, Digest: d}, err
}

func (m *Ceremony) writePhase(path string, p io.WriterTo) error {
	return writeFile(path, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		if _, err := p.WriteTo(w); err != nil {
			return err
		}
		return w.Flush()
	})
}

// phase1 reads contribution n of the first phase; number 0 is where it begins.
func (m *Ceremony) phase1(ctx context.Context, n int) (*mpcsetup.Phase1, error) {
	if n == 0 {
		return mpcsetup.NewPhase1(m.state.Domain), nil
	}
	p := new(mpcsetup.Phase1)
	return p, m.readPhase(ctx, m.path(1, n), p, phase1Form(m.state.Domain))
}

// phase2 reads contribution n of the second phase; number 0 is where it begins.
func (m *Ceremony) phase2(ctx context.Context, n int) (*mpcsetup.Phase2, error) {
	p := new(mpcsetup.Phase2)
	return p, m.readPhase(ctx, m.path(2, n), p, phase2Form(m.state.Domain, m.state.Private, n == 0))
}

// form is the length of a contribution and the numbers that must be at certain places of it.
// gnark allocates what these numbers say before it reads on, so they are looked at first.
type form struct {
	size  int64
	marks map[int64][]byte
}

const (
	g1, g2      = curve.SizeOfG1AffineCompressed, curve.SizeOfG2AffineCompressed
	updateProof = g1 + g2
	challenge   = 1 + 32
)

// phase1Form: three proofs, the domain, beta in G2, the powers of tau, beta tau, alpha tau, and
// the challenge.
func phase1Form(domain uint64) form {
	n := int64(domain)
	return form{
		size:  3*updateProof + 8 + g2 + (2*n-2)*g1 + (n-1)*g2 + 2*n*g1 + challenge,
		marks: map[int64][]byte{3 * updateProof: binary.BigEndian.AppendUint64(nil, domain)},
	}
}

// phase2Form: no commitments, delta, the private wires, the powers, delta in G2, a proof, and
// the challenge, of which the beginning has none.
func phase2Form(domain uint64, private int, first bool) form {
	n, k := int64(domain), int64(private)
	f := form{
		size: 2 + g1 + 4 + k*g1 + 4 + (n-1)*g1 + g2 + updateProof + challenge,
		marks: map[int64][]byte{
			0:                 {0, 0},
			2 + g1:            binary.BigEndian.AppendUint32(nil, uint32(private)),
			2 + g1 + 4 + k*g1: binary.BigEndian.AppendUint32(nil, uint32(domain-1)),
		},
	}
	if first {
		f.size -= challenge - 1
	}
	return f
}

func (f form) check(data []byte) error {
	if int64(len(data)) != f.size {
		return fmt.Errorf("%d bytes, not %d", len(data), f.size)
	}
	for at, want := range f.marks {
		if !bytes.Equal(data[at:at+int64(len(want))], want) {
			return fmt.Errorf("it is of another circuit, at byte %d", at)
		}
	}
	return nil
}

func (m *Ceremony) readPhase(ctx context.Context, path string, p io.ReaderFrom, f form) error {
	data, err := mapped(path)
	if err != nil {
		return err
	}
	return errors.Join(decodePhase(ctx, path, data, p, f), unmap(data))
}

// decodePhase decodes a contribution, all of it, with points checked to be in their groups.
func decodePhase(ctx context.Context, path string, data []byte, p io.ReaderFrom, f form) error {
	if err := f.check(data); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCeremony, path, err)
	}
	r := &contextReader{ctx, data}
	if _, err := p.ReadFrom(r); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %s: %w", ErrCeremony, path, err)
	}
	if len(r.left) != 0 {
		return fmt.Errorf("%w: %s: %d bytes too many", ErrCeremony, path, len(r.left))
	}
	return nil
}
