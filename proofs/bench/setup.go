package bench

import (
	"bytes"
	"context"
	"fmt"
	"time"

	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	cs "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/registry"
)

// compared is the seal proof whose window PoSt stands for all circuits where gnark is the
// peer, whatever the sector size: it is the smallest, and gnark's setup is slow.
const compared = abi.RegisteredSealProof_StackedDrg2KiBV1_1

// setup are keys of one circuit, gnark's and ours.
type setup struct {
	r1cs  *cs.R1CS
	gnark struct {
		pk gnark.ProvingKey
		vk gnark.VerifyingKey
	}
	ours *groth16.ProvingKey
}

// setupRates measures making keys.
func (s *session) setupRates(ctx context.Context, e Env) ([]Row, error) {
	_, window, err := postsOf(compared)
	if err != nil {
		return nil, err
	}
	st, err := circuit.Window(window)
	if err != nil {
		return nil, err
	}
	ccs, err := st.Compile()
	if err != nil {
		return nil, err
	}
	s.setup = &setup{r1cs: ccs.(*cs.R1CS)}
	row, err := s.setup.compare(ctx, e, "window PoSt 2KiB")
	return []Row{row}, err
}

// setupRounds is how often gnark makes keys.
const setupRounds = 2

// compare makes keys. gnark takes many times longer: in each round ours are made over and over
// for half as long as gnark's took, so that what disturbs the one disturbs the other.
func (s *setup) compare(ctx context.Context, e Env, what string) (Row, error) {
	secrets, err := groth16.InsecureSecrets([]byte("lode bench"))
	if err != nil {
		return Row{}, err
	}
	var key bytes.Buffer
	ours := task{1, func() error {
		key.Reset()
		_, err := groth16.Setup(ctx, s.r1cs, secrets, groth16.Label{Circuit: what}, &key, nil)
		return err
	}}
	var best, peer float64
	for round := range setupRounds {
		e.say("setup of %s: gnark's, %d of %d", what, round+1, setupRounds)
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		start := e.Now()
		if err := gnark.Setup(s.r1cs, &s.gnark.pk, &s.gnark.vk); err != nil {
			return Row{}, fmt.Errorf("gnark: %w", err)
		}
		took := max(e.Now().Sub(start), time.Nanosecond)
		peer = max(peer, 1/took.Seconds())
		rate, err := e.rate(ctx, took/2, ours)
		if err != nil {
			return Row{}, err
		}
		best = max(best, rate)
	}
	if s.ours, err = groth16.OpenProvingKey(ctx, key.Bytes()); err != nil {
		return Row{}, err
	}
	n := float64(s.r1cs.GetNbConstraints())
	row := Row{Name: "setup " + what, Rate: best * n, Unit: "constraints/s", Cores: allCores(), Note: took(best)}
	return row.against("gnark's Setup, "+took(peer), peer*n, 8), nil
}

// took is the time that one of so many a second takes.
func took(rate float64) string {
	if rate <= 0 {
		return ""
	}
	return short(time.Duration(float64(time.Second) / rate))
}

// postsOf are the PoSts of a seal proof's sectors.
func postsOf(p abi.RegisteredSealProof) (winning, window registry.PoSt, err error) {
	t, err := p.RegisteredWinningPoStProof()
	if err == nil {
		winning, err = registry.PoStOf(t)
	}
	if err != nil {
		return winning, window, err
	}
	if t, err = p.RegisteredWindowPoStProof(); err == nil {
		window, err = registry.PoStOf(t)
	}
	return winning, window, err
}
