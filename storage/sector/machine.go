package sector

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrUnexpected: the event does not belong to the sector's state. The record is unchanged; a
// caller that repeats itself may ignore it.
var ErrUnexpected = errors.New("event does not fit the sector's state")

// Rules are the times and limits that decide.
type Rules struct {
	// WaitDeals is how long a sector with a piece waits for more.
	WaitDeals time.Duration
	// Cooldown is the pause after a first failure; it doubles up to MaxCooldown.
	Cooldown, MaxCooldown time.Duration
	// LabelTries and ReplicateTries are how often PreCommit1 and PreCommit2 may break.
	LabelTries, ReplicateTries int
}

// DefaultRules are those of spec markets.md C.2 and C.5.
func DefaultRules() Rules {
	return Rules{
		WaitDeals:      6 * time.Hour,
		Cooldown:       time.Minute,
		MaxCooldown:    time.Hour,
		LabelTries:     3,
		ReplicateTries: 3,
	}
}

// Apply takes one event and returns the changed record and what to do, in order. On an error
// the record is as it was.
func (r Rules) Apply(s Sector, ev Event) (Sector, []Action, error) {
	next, actions, err := r.step(s.clone(), ev)
	if err != nil {
		return s, nil, fmt.Errorf("sector %d in %s: %T: %w", s.Number, s.State, ev, err)
	}
	next.Version++
	for _, a := range actions {
		if _, ok := a.(Wake); ok {
			next.Timer = true
		}
	}
	return next, actions, nil
}

// Resume is what a record's state asks for, for a caller that lost the actions. Nothing is
// counted up: the Run is the one that was given out.
func (r Rules) Resume(s Sector) []Action {
	if stage, ok := s.State.Stage(); ok {
		return []Action{Run{stage, s.Entry}}
	}
	return nil
}

func (s Sector) clone() Sector {
	s.Pieces = slices.Clone(s.Pieces)
	return s
}

func (r Rules) step(s Sector, ev Event) (Sector, []Action, error) {
	switch ev := ev.(type) {
	case Reserved, Stored, Dropped, Seal:
		return r.fill(s, ev)
	case Failed:
		return r.fail(s, ev)
	case Woken:
		return r.wake(s)
	case Retry:
		if !s.State.Failure() || s.Return == "" {
			return s, nil, ErrUnexpected
		}
		return r.enter(s, s.Return)
	case Remove:
		if s.State.Failure() && !s.State.OnChain() || s.State == DealsExpired || s.State == WaitDeals && len(s.Pieces) == 0 {
			return r.enter(s, Removing)
		}
	case Terminate:
		if s.State == Proving || s.State == Faulty {
			return r.enter(s, Terminating)
		}
	case Faulted:
		switch s.State {
		case Proving:
			s.State, s.LastError = Faulty, ev.Err
			return s, nil, nil
		case Faulty:
			s.LastError = ev.Err
			return s, nil, nil
		}
	case Recovered:
		if s.State == Faulty {
			s.State, s.LastError = Proving, ""
			return s, nil, nil
		}
	case Refreshed:
		if s.State == Proving || s.State == Faulty {
			s.Activation, s.Expiration = ev.Activation, ev.Expiration
			return s, nil, nil
		}
	case Ended:
		if s.State.OnChain() {
			s.EndedAt, s.LastError = ev.At, ev.Why
			return r.enter(s, TerminateFinality)
		}
	default:
		return r.done(s, ev)
	}
	return s, nil, ErrUnexpected
}

// done takes the results of work.
func (r Rules) done(s Sector, ev Event) (Sector, []Action, error) {
	switch ev := ev.(type) {
	case Packed:
		if s.State == Packing {
			s.Pieces, s.CommD = ev.Pieces, ev.CommD
			return r.enter(s, GetTicket)
		}
	case Ticketed:
		if s.State == GetTicket {
			s.Ticket, s.TicketEpoch = ev.Ticket, ev.Epoch
			return r.enter(s, PreCommit1)
		}
	case Labelled:
		if s.State == PreCommit1 {
			return r.enter(s, PreCommit2)
		}
	case Replicated:
		if s.State == PreCommit2 {
			s.CommR = ev.CommR
			return r.enter(s, SubmitPreCommitBatch)
		}
	case Sent:
		switch s.State {
		case SubmitPreCommitBatch:
			s.PreCommit.ID, s.Expiration = ev.ID, ev.Expiration
			return r.enter(s, PreCommitBatchWait)
		case SubmitCommit:
			s.Commit.ID = ev.ID
			return r.enter(s, CommitWait)
		case Terminating:
			s.Terminate.ID = ev.ID
			return r.enter(s, TerminateWait)
		}
	case PreCommitted:
		if s.State == SubmitPreCommitBatch || s.State == PreCommitBatchWait {
			s.PreCommitEpoch, s.Expiration = ev.Epoch, ev.Expiration
			return r.enter(s, WaitSeed)
		}
	case Seeded:
		if s.State == WaitSeed {
			s.Seed, s.SeedEpoch, s.PreCommitEpoch = ev.Seed, ev.Epoch, ev.PreCommitEpoch
			return r.enter(s, Committing)
		}
	case Proved:
		if s.State == Committing {
			s.Proof = ev.Proof
			return r.enter(s, SubmitCommit)
		}
	case Activated:
		switch s.State {
		case SubmitPreCommitBatch, PreCommitBatchWait, WaitSeed, Committing, SubmitCommit, CommitWait:
			s.Activation, s.Expiration = ev.Activation, ev.Expiration
			return r.enter(s, FinalizeSector)
		}
	case Finalized:
		if s.State == FinalizeSector {
			s.Bad, s.LabelFails, s.ReplicateFails = 0, 0, 0
			return r.enter(s, Proving)
		}
	case Renumbered:
		if s.State == RecoverDealIDs {
			s.Pieces = ev.Pieces
			return r.enter(s, s.Return)
		}
	case Final:
		if s.State == TerminateFinality {
			return r.enter(s, Removing)
		}
	case Deleted:
		if s.State == Removing {
			return r.enter(s, Removed)
		}
	case Imported:
		if s.Version == 0 && s.State == WaitDeals && ev.Sector.Number == s.Number {
			return ev.Sector, nil, nil
		}
	}
	return s, nil, ErrUnexpected
}

// enter goes to a state after a success; its work, if it has any, is given out.
func (r Rules) enter(s Sector, to State) (Sector, []Action, error) {
	if s.State != to && !s.State.Failure() {
		s.Attempts = 0
	}
	if !s.State.Failure() && to != TerminateFinality {
		s.LastError = ""
	}
	s.State, s.Timer = to, false
	if to != RecoverDealIDs {
		s.Return = ""
	}
	stage, ok := to.Stage()
	if !ok {
		return s, nil, nil
	}
	s.Entry++
	return s, []Action{Run{stage, s.Entry}}, nil
}

// fill takes the events of a sector that collects pieces.
func (r Rules) fill(s Sector, ev Event) (Sector, []Action, error) {
	if s.State != WaitDeals && s.State != AddPiece {
		return s, nil, ErrUnexpected
	}
	switch ev := ev.(type) {
	case Reserved:
		at, ok := s.Place(ev.Piece.Size)
		if !ok || ev.Piece.Deal == nil || ev.Piece.Offset != at || s.find(ev.Piece.Deal.ID) >= 0 {
			return s, nil, ErrUnexpected
		}
		ev.Piece.Stored = false
		s.Pieces = append(s.Pieces, Fillers(s.Used(), at)...)
		s.Pieces = append(s.Pieces, ev.Piece)
		s.State = AddPiece
		return s, nil, nil
	case Stored:
		i := s.find(ev.Deal)
		if i < 0 || s.Pieces[i].Stored {
			return s, nil, ErrUnexpected
		}
		s.Pieces[i].Stored = true
		return r.filled(s)
	case Dropped:
		i := s.find(ev.Deal)
		if i < 0 || s.Pieces[i].Stored {
			return s, nil, ErrUnexpected
		}
		// One piece is written at a time, so this is the last: the chain knows no gaps.
		s.Pieces = s.Pieces[:i]
		for len(s.Pieces) > 0 && s.Pieces[len(s.Pieces)-1].Deal == nil {
			s.Pieces = s.Pieces[:len(s.Pieces)-1]
		}
		s.LastError = ev.Err
		return r.filled(s)
	case Seal:
		if !s.stored() {
			return s, nil, ErrUnexpected
		}
		return r.enter(s, Packing)
	}
	return s, nil, ErrUnexpected
}

// filled decides after a piece came or went: seal when full, else wait for more.
func (r Rules) filled(s Sector) (Sector, []Action, error) {
	switch {
	case !s.stored():
		s.State = AddPiece
		return s, nil, nil
	case s.Used() == s.Size() && s.Size() > 0:
		return r.enter(s, Packing)
	}
	// The delay runs from the first piece on.
	s.State = WaitDeals
	if len(s.Pieces) == 0 || s.Timer {
		return s, nil, nil
	}
	return s, []Action{Wake{r.WaitDeals}}, nil
}

func (r Rules) wake(s Sector) (Sector, []Action, error) {
	s.Timer = false
	switch {
	case s.State == WaitDeals && len(s.Pieces) > 0:
		return r.enter(s, Packing)
	case s.State == WaitDeals:
		return s, nil, nil
	case s.State == AddPiece:
		return s, []Action{Wake{r.WaitDeals}}, nil
	case s.State.Failure() && s.Return != "" && s.State != FailedUnrecoverable:
		return r.enter(s, s.Return)
	}
	return s, nil, ErrUnexpected
}
