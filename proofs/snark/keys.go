package snark

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/registry"
)

// Name is the proof system's, as network.toml spells it.
const Name = "groth16"

// CircuitOf is the circuit of a proof of spacetime.
func CircuitOf(p registry.PoSt) (*circuit.Statement, error) {
	if p.Winning {
		return circuit.Winning(p)
	}
	return circuit.Window(p)
}

// MakeKeys finds the keys of a network that anybody can cheat on, or makes them from the
// public seed, which takes minutes, and returns the verifying ones by circuit.
func MakeKeys(ctx context.Context, s *params.Store, size abi.SectorSize, seed []byte) (map[string][]byte, error) {
	circuits, err := params.Circuits(size)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, c := range circuits {
		want, err := seeded(c, seed)
		if err != nil {
			return nil, err
		}
		vk, err := s.Prepare(ctx, want)
		if err != nil {
			return nil, err
		}
		out[c.Name()] = vk.Bytes()
	}
	return out, nil
}

// seeded asks for the keys of a public seed.
func seeded(c params.Circuit, seed []byte) (want params.Want, err error) {
	want = params.Want{Circuit: c, Seed: seed}
	if string(seed) == params.DevnetSeed {
		want.Pin, err = devnetPin(c.Name())
	}
	return want, err
}

// VerifierOf makes a verifier of one circuit, by the keys that anybody can cheat on. Where the
// store does not have the verifying key, it takes as long as compiling the circuit.
func VerifierOf(ctx context.Context, s *params.Store, c params.Circuit, seed []byte) (*Verifier, error) {
	want, err := seeded(c, seed)
	if err != nil {
		return nil, err
	}
	vk, err := s.VerifyingKey(ctx, want)
	if err != nil {
		return nil, err
	}
	return &Verifier{keys: map[string]*groth16.VerifyingKey{c.Name(): vk}}, nil
}

// PrepareKeys makes the proving keys of a network whose keys have a public seed, where they are
// missing or corrupt, so that its provider will only open them.
func PrepareKeys(ctx context.Context, s *params.Store, size abi.SectorSize, seed []byte, verifying map[string][]byte) error {
	circuits, err := params.Circuits(size)
	if err != nil {
		return err
	}
	for _, c := range circuits {
		vk, err := groth16.ParseVerifyingKey(verifying[c.Name()])
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name(), err)
		}
		if _, err := s.Prepare(ctx, params.Want{Circuit: c, Pin: vk.Digest(), Seed: seed}); err != nil {
			return err
		}
	}
	return nil
}

// ErrAmbiguous: a folder has several keys of one circuit. Keep those of one network there.
var ErrAmbiguous = errors.New("several keys of one circuit")

// CeremonyKeys are the verifying keys of a network whose keys a ceremony made and that were
// imported into the store's folder. Insecure ones are left alone.
func CeremonyKeys(ctx context.Context, s *params.Store, size abi.SectorSize) (map[string][]byte, error) {
	circuits, err := params.Circuits(size)
	if err != nil {
		return nil, err
	}
	entries, err := s.List()
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, c := range circuits {
		want := params.Want{Circuit: c}
		for _, e := range entries {
			if e.Circuit != c.Name() || e.Insecure || e.Digest == want.Pin || e.Problem != "" {
				continue
			}
			if want.Pin != (params.Want{}).Pin {
				return nil, fmt.Errorf("%s: %w %s", s.Dir(), ErrAmbiguous, c.Name())
			}
			want.Pin = e.Digest
		}
		if want.Pin == (params.Want{}).Pin {
			return nil, fmt.Errorf("%s: %w: none of %s that a ceremony made", s.Dir(), params.ErrMissing, c.Name())
		}
		vk, err := s.VerifyingKey(ctx, want)
		if err != nil {
			return nil, err
		}
		out[c.Name()] = vk.Bytes()
	}
	return out, nil
}
