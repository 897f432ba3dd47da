package syncer

import (
	"errors"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/types"
)

// Stage is what the syncer does at the moment.
type Stage string

// The stages. A sync goes through headers and messages to complete; waiting means that it
// met trouble that may pass, and will be tried again.
const (
	StageIdle     Stage = "idle"
	StageHeaders  Stage = "headers"
	StageMessages Stage = "messages"
	StageComplete Stage = "complete"
	StageWaiting  Stage = "waiting"
	StageRefused  Stage = "refused"
)

// Status is the progress of the sync under way, or of the last one.
type Status struct {
	Stage        Stage
	Target       types.TipSetKey
	TargetHeight abi.ChainEpoch
	Base         abi.ChainEpoch // the validated tipset that the target builds on
	Height       abi.ChainEpoch // headers: lowest so far; messages: highest validated
	Headers      int            // tipsets to validate
	Validated    int            // tipsets validated
	Started      time.Time
	Ended        time.Time // zero while under way
	Error        string    // why it waits or was refused
	Pending      int       // further targets
}

// PerSecond is the speed of validation in tipsets.
func (s Status) PerSecond(now time.Time) float64 {
	if !s.Ended.IsZero() {
		now = s.Ended
	}
	if d := now.Sub(s.Started).Seconds(); d > 0 {
		return float64(s.Validated) / d
	}
	return 0
}

// Status is the state of this moment.
func (s *Syncer) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Pending = len(s.targets.byKey)
	return st
}

// update changes the status.
func (s *Syncer) update(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// ended notes how a sync ended.
func (s *Syncer) ended(err error) {
	now := s.clk.Now()
	s.update(func(st *Status) {
		st.Ended = now
		switch {
		case err == nil:
			st.Stage = StageComplete
			return
		case errors.Is(err, ErrInvalid), errors.Is(err, ErrBeyond):
			st.Stage = StageRefused
		default:
			st.Stage = StageWaiting
		}
		st.Error = err.Error()
	})
}
