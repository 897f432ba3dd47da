package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/registry"
)

// Env is what stages work with.
type Env struct {
	Proof    abi.RegisteredSealProof // its sector size is measured
	Files    porep.Files             // empty, with room for some eight sectors
	Now      func() time.Time
	Least    time.Duration     // how long to measure one thing at least; 0 is a second
	Progress func(what string) // may be nil

	Keys  Keys          // of succinct proofs; Vanilla needs none
	Epoch time.Duration // what a winning PoSt has time for; 0 where that is not known
	Long  bool          // make the keys of a proof of replication when they are missing
}

// say tells of progress.
func (e Env) say(format string, args ...any) {
	if e.Progress != nil {
		e.Progress(fmt.Sprintf(format, args...))
	}
}

// Row is one figure: a rate, or for Unit constraints a count.
type Row struct {
	Name  string  `json:"name"`
	Rate  float64 `json:"rate,omitempty"`
	Unit  string  `json:"unit,omitempty"`
	Cores int     `json:"cores,omitempty"`
	Note  string  `json:"note,omitempty"`

	Peer     string  `json:"peer,omitempty"` // what it is held against
	PeerRate float64 `json:"peer_rate,omitempty"`
	Ratio    float64 `json:"ratio,omitempty"`   // of the rate to the peer's
	Want     float64 `json:"want,omitempty"`    // what the ratio is to be at least
	AtMost   float64 `json:"at_most,omitempty"` // or at most

	// Skipped says why there is no figure; the row then has a name alone.
	Skipped string `json:"skipped,omitempty"`
}

// Report is what a run found.
type Report struct {
	SectorSize abi.SectorSize `json:"sector_size"`
	Cores      int            `json:"cores"`
	Rows       []Row          `json:"rows"`
}

// Stage measures one part of proofs.
type Stage struct {
	Name string
	Run  func(ctx context.Context, e Env) ([]Row, error)
}

// Vanilla is what is below succinct proofs.
func Vanilla() []Stage { return new(session).vanilla() }

// All is everything, in an order in which each stage finds what those before have made. One
// that finds nothing makes it itself, or says that a figure is missing.
func All() []Stage {
	s := new(session)
	return append(s.vanilla(), Stage{"circuits", circuitCounts}, Stage{"setup", s.setupRates}, Stage{"prove", s.proveRates}, Stage{"verify", s.verifyRates})
}

// session is what stages of one run leave to later ones.
type session struct {
	sealed *sealedSector
	setup  *setup
	made   []made
}

func (s *session) vanilla() []Stage {
	return []Stage{{"labels", labelRate}, {"hashes", hashRate}, {"pieces", pieceRate}, {"sector", s.sectorRates}}
}

// Run measures.
func Run(ctx context.Context, e Env, stages ...Stage) (*Report, error) {
	seal, err := registry.SealOf(e.Proof)
	if err != nil {
		return nil, err
	}
	if e.Least == 0 {
		e.Least = time.Second
	}
	r := &Report{SectorSize: seal.SectorSize, Cores: allCores()}
	for _, s := range stages {
		e.say("%s", s.Name)
		rows, err := s.Run(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", s.Name, err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	return r, nil
}

// task is some work that can be repeated, and how many units it does at a time.
type task struct {
	units float64
	run   func() error
}

// turns is how often what is compared takes turns.
const turns = 5

// compare measures tasks in turns and gives the best rate of each: what disturbs a turn
// makes it slower, never faster.
func (e Env) compare(ctx context.Context, tasks ...task) ([]float64, error) {
	return e.compareIn(ctx, turns, tasks...)
}

// compareIn is compare in so many turns.
func (e Env) compareIn(ctx context.Context, turns int, tasks ...task) ([]float64, error) {
	best := make([]float64, len(tasks))
	for range turns {
		for i, t := range tasks {
			rate, err := e.rate(ctx, e.Least/time.Duration(turns), t)
			if err != nil {
				return nil, err
			}
			best[i] = max(best[i], rate)
		}
	}
	return best, nil
}

// rate is the units a second of a task that is repeated for some time.
func (e Env) rate(ctx context.Context, least time.Duration, t task) (float64, error) {
	start := e.Now()
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := t.run(); err != nil {
			return 0, err
		}
		if took := e.Now().Sub(start); took >= least && took > 0 {
			return float64(n) * t.units / took.Seconds(), nil
		}
	}
}

// against fills in a row's peer.
func (r Row) against(peer string, rate, want float64) Row {
	r.Peer, r.PeerRate, r.Want = peer, rate, want
	if rate > 0 {
		r.Ratio = r.Rate / rate
	}
	return r
}
