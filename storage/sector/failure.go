package sector

import "time"

// fail decides what follows work without a result (spec markets.md C.5).
func (r Rules) fail(s Sector, ev Failed) (Sector, []Action, error) {
	if _, working := s.State.Stage(); !working {
		return s, nil, ErrUnexpected
	}
	s.LastError = ev.Err
	s.Attempts++
	failed := s.State.failed()
	back := s.State
	switch ev.Reason {
	case Passing:
	case Broken:
		switch s.State {
		case PreCommit1:
			s.LabelFails++
			if s.LabelFails > r.LabelTries {
				return r.giveUp(s)
			}
		case PreCommit2:
			s.ReplicateFails++
			if s.ReplicateFails > r.ReplicateTries {
				// The labels may be what is wrong.
				s.ReplicateFails, s.LabelFails = 0, s.LabelFails+1
				back = PreCommit1
				if s.LabelFails > r.LabelTries {
					return r.giveUp(s)
				}
			}
		case Committing:
			return r.badProof(s)
		}
	case TicketExpired:
		if s.State != PreCommit1 && s.State != PreCommit2 && s.State != SubmitPreCommitBatch {
			return s, nil, ErrUnexpected
		}
		back = GetTicket
	case Rejected:
		switch s.State {
		case PreCommitBatchWait:
			s.PreCommit = Send{Try: s.PreCommit.Try + 1}
			back = SubmitPreCommitBatch
		case CommitWait:
			s.Commit = Send{Try: s.Commit.Try + 1}
			back = SubmitCommit
		case TerminateWait:
			s.Terminate = Send{Try: s.Terminate.Try + 1}
			back = Terminating
		default:
			return s, nil, ErrUnexpected
		}
	case NoPreCommit:
		switch s.State {
		case WaitSeed, Committing, SubmitCommit, CommitWait:
		default:
			return s, nil, ErrUnexpected
		}
		if s.State == CommitWait {
			s.Commit = Send{Try: s.Commit.Try + 1}
		}
		failed, back = PreCommitFailed, PreCommitBatchWait
		if s.PreCommit.ID == "" {
			back = SubmitPreCommitBatch
		}
	case BadSeed:
		switch s.State {
		case Committing, SubmitCommit, CommitWait:
		default:
			return s, nil, ErrUnexpected
		}
		if s.State == CommitWait {
			s.Commit = Send{Try: s.Commit.Try + 1}
		}
		s.Proof, s.Seed = nil, nil
		failed, back = ComputeProofFailed, WaitSeed
	case BadProof:
		switch s.State {
		case Committing, SubmitCommit:
			return r.badProof(s)
		case CommitWait:
			s.Commit = Send{Try: s.Commit.Try + 1}
			return r.badProof(s)
		}
		return s, nil, ErrUnexpected
	case DealExpired:
		if !s.State.Sealing() {
			return s, nil, ErrUnexpected
		}
		// The files stay until an operator removes them: the data may be wanted still.
		s.State, s.Return = DealsExpired, ""
		return s, nil, nil
	case DealMoved:
		switch s.State {
		case PreCommit1, PreCommit2, SubmitPreCommitBatch, Committing, SubmitCommit:
			s.Return = s.State
		case CommitWait:
			s.Commit, s.Return = Send{Try: s.Commit.Try + 1}, SubmitCommit
		default:
			return s, nil, ErrUnexpected
		}
		return r.enter(s, RecoverDealIDs)
	default:
		s.State, s.Return = FailedUnrecoverable, back
		return s, nil, nil
	}
	if s.State == RecoverDealIDs {
		// Its own way back is to the state that noticed; that one notices again.
		back = s.Return
	}
	s.State, s.Return = failed, back
	return s, []Action{Wake{r.cooldown(s.Attempts)}}, nil
}

// badProof makes the proof once more, and seals again from the labels on when that does not
// help. After that an operator decides.
func (r Rules) badProof(s Sector) (Sector, []Action, error) {
	s.Bad++
	s.Proof = nil
	back := Committing
	switch {
	case s.Bad == 2:
		// The chain has the pre-commit, so ticket and CommR stay; new labels and trees must
		// give the same ones.
		back = PreCommit1
	case s.Bad > 3:
		s.State, s.Return = FailedUnrecoverable, PreCommit1
		return s, nil, nil
	}
	s.State, s.Return = ComputeProofFailed, back
	return s, []Action{Wake{r.cooldown(s.Attempts)}}, nil
}

// giveUp removes a sector that cannot be sealed. One with deals holds clients' data, so an
// operator decides.
func (r Rules) giveUp(s Sector) (Sector, []Action, error) {
	if len(s.Deals()) > 0 || s.PreCommit.ID != "" {
		s.LabelFails, s.ReplicateFails = 0, 0
		s.State, s.Return = FailedUnrecoverable, PreCommit1
		return s, nil, nil
	}
	err := s.LastError
	s, actions, _ := r.enter(s, Removing)
	s.LastError = err
	return s, actions, nil
}

func (r Rules) cooldown(attempts int) time.Duration {
	d := r.Cooldown
	for i := 1; i < attempts && d < r.MaxCooldown; i++ {
		d *= 2
	}
	return min(d, max(r.MaxCooldown, r.Cooldown))
}
