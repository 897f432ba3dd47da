package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/porep"
)

// ticking is a clock that goes on by a millisecond whenever it is read.
func ticking() func() time.Time {
	t := time.Unix(0, 0)
	return func() time.Time {
		t = t.Add(time.Millisecond)
		return t
	}
}

func env() Env {
	return Env{Proof: abi.RegisteredSealProof_StackedDrg2KiBV1_1, Files: porep.MemFiles(), Now: ticking(), Least: time.Millisecond}
}

// Every row has a rate, and one that has a peer a ratio.
func TestVanilla(t *testing.T) {
	r, err := Run(context.Background(), env(), Vanilla()...)
	if err != nil {
		t.Fatal(err)
	}
	if r.SectorSize != 2048 || r.Cores < 1 || len(r.Rows) < 12 {
		t.Errorf("got %+v", r)
	}
	peers := 0
	for _, row := range r.Rows {
		if row.Name == "" || row.Unit == "" || row.Rate <= 0 || row.Cores < 1 {
			t.Errorf("got %+v", row)
		}
		if row.Peer == "" {
			continue
		}
		peers++
		if row.PeerRate <= 0 || row.Ratio != row.Rate/row.PeerRate {
			t.Errorf("got %+v", row)
		}
	}
	if peers != 5 {
		t.Errorf("%d rows have a peer", peers)
	}
}

// A stage of someone else's is run like ours.
func TestRunStages(t *testing.T) {
	broken := errors.New("broken")
	ours := Stage{"ours", func(context.Context, Env) ([]Row, error) { return []Row{{Name: "a"}}, nil }}
	fails := Stage{"fails", func(context.Context, Env) ([]Row, error) { return nil, broken }}
	if r, err := Run(context.Background(), env(), ours, ours); err != nil || len(r.Rows) != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := Run(context.Background(), env(), ours, fails); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	e := env()
	e.Proof = 99
	if _, err := Run(context.Background(), e); err == nil {
		t.Error("an unknown proof was accepted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, env(), Vanilla()...); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// A rate is units a second of the clock that was given.
func TestRate(t *testing.T) {
	e := env()
	rates, err := e.compare(context.Background(), task{3, func() error { return nil }})
	if err != nil || rates[0] != 3000 {
		t.Errorf("got %v, %v", rates, err)
	}
}
