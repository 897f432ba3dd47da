package params

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	"github.com/consensys/gnark/backend/groth16/bls12-381/mpcsetup"
	cs "github.com/consensys/gnark/constraint/bls12-381"

	"github.com/lodenet/lode/proofs/groth16"
)

// Finalize ends the phase that runs with a beacon, after verifying all there is. The first
// phase ends with the beginning of the second; the second with the keys.
func (m *Ceremony) Finalize(ctx context.Context, c Circuit, beacon []byte) error {
	if len(beacon) < minBeacon {
		return fmt.Errorf("a beacon of %d bytes can be guessed; take at least %d, such as a drand round's randomness", len(beacon), minBeacon)
	}
	phase := m.Phase()
	if phase == 0 {
		return errors.New("the ceremony is over; its keys are made")
	}
	if n, err := m.count(phase); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("phase %d has no contribution yet", phase))
	}
	r, err := m.system(c)
	if err != nil {
		return err
	}
	if phase == 1 {
		commons, err := m.sealPhase1(ctx, beacon)
		if err != nil {
			return err
		}
		m.say("begin phase 2", 0)
		var p mpcsetup.Phase2
		p.Initialize(r, commons)
		if err := m.writePhase(m.path(2, 0), &p); err != nil {
			return err
		}
		m.state.Beacon1 = bytes.Clone(beacon)
		return m.save()
	}
	pk, vk, err := m.sealPhase2(ctx, r, beacon)
	if err != nil {
		return err
	}
	m.say("write the keys", 0)
	n1, err := m.count(1)
	if err != nil {
		return err
	}
	n2, err := m.count(2)
	if err != nil {
		return err
	}
	// The name needs the digest, which is known when the key is written.
	part := m.path(2, 0) + ".key"
	label := groth16.Label{Circuit: m.state.Circuit, Constraints: m.state.Constraints, Origin: fmt.Sprintf("ceremony of %d and %d contributions", n1, n2)}
	var key *groth16.VerifyingKey
	err = writeFile(part, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		var err error
		if key, err = groth16.WriteProvingKey(w, label, pk, vk); err != nil {
			return err
		}
		return w.Flush()
	})
	if err != nil {
		return err
	}
	m.state.Beacon2, m.state.Key = bytes.Clone(beacon), key.Digest()
	if err := os.Rename(part, m.KeyPath()+provingExt); err != nil {
		return err
	}
	err = writeFile(m.KeyPath()+verifyingExt, func(f *os.File) error {
		_, err := f.Write(key.Bytes())
		return err
	})
	if err != nil {
		return err
	}
	return m.save()
}

// Verify checks everything in the folder: each contribution against the one before, where the
// second phase begins, and that the keys are those that follow.
func (m *Ceremony) Verify(ctx context.Context, c Circuit) error {
	r, err := m.system(c)
	if err != nil {
		return err
	}
	if m.Phase() == 1 {
		_, err := m.chain1(ctx)
		return err
	}
	pk, vk, err := m.sealPhase2(ctx, r, m.state.Beacon2)
	if err != nil || m.Phase() != 0 {
		return err
	}
	return m.verifyKeys(ctx, pk, vk)
}

// verifyKeys compares the keys of the folder with those that the contributions give.
func (m *Ceremony) verifyKeys(ctx context.Context, pk *gnark.ProvingKey, vk *gnark.VerifyingKey) error {
	m.say("verify the keys", 0)
	keys, err := mapFile(ctx, m.KeyPath()+provingExt)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCeremony, err)
	}
	got := &comparer{want: keys.data}
	key, err := groth16.WriteProvingKey(got, keys.Key.Header().Label, pk, vk)
	switch {
	case err != nil:
	case key.Digest() != m.state.Key:
		err = fmt.Errorf("%w: the contributions give verifying key %s, not %s", ErrCeremony, key.Digest(), m.state.Key)
	case got.differs || len(got.want) != 0 || keys.Key.Header().Constraints != m.state.Constraints || keys.Key.Header().Insecure:
		err = fmt.Errorf("%w: the proving key is not what the contributions give", ErrCeremony)
	}
	if err = errors.Join(err, keys.Close()); err != nil {
		return err
	}
	_, err = New(m.dir, nil).readVerifying(m.KeyPath()+verifyingExt, m.state.Key)
	return err
}

// comparer is a writer that compares.
type comparer struct {
	want    []byte
	differs bool
}

func (c *comparer) Write(b []byte) (int, error) {
	n := min(len(b), len(c.want))
	c.differs = c.differs || n < len(b) || !bytes.Equal(b[:n], c.want[:n])
	c.want = c.want[n:]
	return len(b), nil
}

// chain1 verifies the first phase and returns its last contribution.
func (m *Ceremony) chain1(ctx context.Context) (*mpcsetup.Phase1, error) {
	n, err := m.count(1)
	if err != nil {
		return nil, err
	}
	last, err := m.phase1(ctx, 0)
	if err != nil {
		return nil, err
	}
	for i := 1; i <= n; i++ {
		m.say("verify phase 1", float64(i-1)/float64(n))
		next, err := m.phase1(ctx, i)
		if err != nil {
			return nil, err
		}
		if err := last.Verify(next); err != nil {
			return nil, fmt.Errorf("%w: contribution %d of phase 1: %w", ErrCeremony, i, err)
		}
		last = next
	}
	return last, nil
}

// sealPhase1 verifies the first phase and ends it.
func (m *Ceremony) sealPhase1(ctx context.Context, beacon []byte) (*mpcsetup.SrsCommons, error) {
	last, err := m.chain1(ctx)
	if err != nil {
		return nil, err
	}
	m.say("end phase 1", 0)
	commons := last.Seal(beacon)
	return &commons, ctx.Err()
}

// sealPhase2 verifies both phases and, with a beacon, ends the second.
func (m *Ceremony) sealPhase2(ctx context.Context, r *cs.R1CS, beacon []byte) (*gnark.ProvingKey, *gnark.VerifyingKey, error) {
	commons, err := m.sealPhase1(ctx, m.state.Beacon1)
	if err != nil {
		return nil, nil, err
	}
	last := new(mpcsetup.Phase2)
	evals := last.Initialize(r, commons)
	if err := m.sameBeginning(last); err != nil {
		return nil, nil, err
	}
	n, err := m.count(2)
	if err != nil {
		return nil, nil, err
	}
	for i := 1; i <= n; i++ {
		m.say("verify phase 2", float64(i-1)/float64(n))
		next, err := m.phase2(ctx, i)
		if err != nil {
			return nil, nil, err
		}
		if err := last.Verify(next); err != nil {
			return nil, nil, fmt.Errorf("%w: contribution %d of phase 2: %w", ErrCeremony, i, err)
		}
		last = next
	}
	if len(beacon) == 0 {
		return nil, nil, ctx.Err()
	}
	m.say("end phase 2", 0)
	p, v := last.Seal(commons, &evals, beacon)
	pk, ok1 := p.(*gnark.ProvingKey)
	vk, ok2 := v.(*gnark.VerifyingKey)
	if !ok1 || !ok2 {
		return nil, nil, fmt.Errorf("the ceremony gave keys of types %T and %T", p, v)
	}
	return pk, vk, ctx.Err()
}

// sameBeginning checks the file that the second phase begins with.
func (m *Ceremony) sameBeginning(p *mpcsetup.Phase2) error {
	data, err := mapped(m.path(2, 0))
	if err != nil {
		return err
	}
	got := &comparer{want: data}
	_, err = p.WriteTo(got)
	if err == nil && (got.differs || len(got.want) != 0) {
		err = fmt.Errorf("%w: %s does not follow from phase 1", ErrCeremony, m.path(2, 0))
	}
	return errors.Join(err, unmap(data))
}
