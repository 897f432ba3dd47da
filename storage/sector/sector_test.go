package sector

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

const testProof = abi.RegisteredSealProof_StackedDrg2KiBV1_1

func testRules() Rules {
	r := DefaultRules()
	r.WaitDeals = 8 * time.Second
	return r
}

func in(state State, change ...func(*Sector)) Sector {
	s := New(1000, 7, testProof)
	s.State, s.Entry = state, 3
	for _, c := range change {
		c(&s)
	}
	return s
}

func withDeal(id abi.DealID, offset, size abi.PaddedPieceSize, stored bool) func(*Sector) {
	return func(s *Sector) {
		s.Pieces = append(s.Pieces, Piece{Size: size, Offset: offset, Deal: &Deal{ID: id, Start: 100 + abi.ChainEpoch(id), End: 1000 + abi.ChainEpoch(id)}, Stored: stored})
	}
}

func piece(id abi.DealID, offset, size abi.PaddedPieceSize) Piece {
	return Piece{Size: size, Offset: offset, Deal: &Deal{ID: id}}
}

// edge is one arrow of the machine.
type edge struct {
	name  string
	from  Sector
	event Event
	to    State
	then  []Action
	check func(Sector) bool
}

func run(s Stage) []Action { return []Action{Run{s, 4}} }

func wake(d time.Duration) []Action { return []Action{Wake{d}} }

func edges() []edge {
	try := func(s *Sector) { s.PreCommit = Send{0, "1"}; s.Commit = Send{0, "2"}; s.Terminate = Send{0, "3"} }
	return []edge{
		// Filling.
		{"first piece", in(WaitDeals), Reserved{piece(1, 0, 256)}, AddPiece, nil, func(s Sector) bool { return !s.Pieces[0].Stored }},
		{"piece is aligned", in(WaitDeals, withDeal(1, 0, 256, true)), Reserved{piece(2, 1024, 1024)}, AddPiece, nil,
			func(s Sector) bool { return len(s.Pieces) == 4 && s.Pieces[1].Size == 256 && s.Pieces[2].Size == 512 }},
		{"piece is stored", in(AddPiece, withDeal(1, 0, 256, false)), Stored{1}, WaitDeals, wake(8 * time.Second), nil},
		{"timer runs already", in(AddPiece, withDeal(1, 0, 256, true), withDeal(2, 256, 256, false), func(s *Sector) { s.Timer = true }), Stored{2}, WaitDeals, nil, nil},
		{"sector is full", in(AddPiece, withDeal(1, 0, 2048, false)), Stored{1}, Packing, run(StagePack), nil},
		{"piece is dropped", in(AddPiece, withDeal(1, 0, 256, true), withDeal(2, 256, 256, false)), Dropped{2, "x"}, WaitDeals, wake(8 * time.Second),
			func(s Sector) bool { return len(s.Pieces) == 1 && s.LastError == "x" }},
		{"only piece is dropped", in(AddPiece, withDeal(2, 0, 256, false)), Dropped{2, "x"}, WaitDeals, nil, func(s Sector) bool { return len(s.Pieces) == 0 }},
		{"waited long enough", in(WaitDeals, withDeal(1, 0, 256, true)), Woken{}, Packing, run(StagePack), nil},
		{"woken while writing", in(AddPiece, withDeal(1, 0, 256, false)), Woken{}, AddPiece, wake(8 * time.Second), nil},
		{"woken with nothing", in(WaitDeals), Woken{}, WaitDeals, nil, nil},
		{"seal now", in(WaitDeals, withDeal(1, 0, 256, true)), Seal{}, Packing, run(StagePack), nil},
		{"seal without deals", in(WaitDeals), Seal{}, Packing, run(StagePack), nil},
		{"remove an empty one", in(WaitDeals), Remove{}, Removing, run(StageRemove), nil},

		// The straight way.
		{"packed", in(Packing), Packed{Pieces: Fillers(0, 2048)}, GetTicket, run(StageTicket), func(s Sector) bool { return len(s.Pieces) == 1 }},
		{"ticketed", in(GetTicket), Ticketed{[]byte{1}, 5}, PreCommit1, run(StageLabel), func(s Sector) bool { return s.TicketEpoch == 5 }},
		{"labelled", in(PreCommit1), Labelled{}, PreCommit2, run(StageReplicate), nil},
		{"replicated", in(PreCommit2), Replicated{}, SubmitPreCommitBatch, run(StageSendPreCommit), nil},
		{"pre-commit sent", in(SubmitPreCommitBatch), Sent{ID: "9", Expiration: 8}, PreCommitBatchWait, run(StageAwaitPreCommit),
			func(s Sector) bool { return s.PreCommit.ID == "9" && s.Expiration == 8 }},
		{"pre-commit found", in(SubmitPreCommitBatch), PreCommitted{3, 8}, WaitSeed, run(StageSeed), nil},
		{"pre-committed", in(PreCommitBatchWait), PreCommitted{3, 8}, WaitSeed, run(StageSeed), func(s Sector) bool { return s.PreCommitEpoch == 3 }},
		{"seeded", in(WaitSeed), Seeded{[]byte{1}, 13, 3}, Committing, run(StageProve), func(s Sector) bool { return s.SeedEpoch == 13 }},
		{"proved", in(Committing), Proved{[]byte{1}}, SubmitCommit, run(StageSendCommit), nil},
		{"prove-commit sent", in(SubmitCommit), Sent{ID: "9"}, CommitWait, run(StageAwaitCommit), func(s Sector) bool { return s.Commit.ID == "9" }},
		{"activated", in(CommitWait), Activated{20, 30}, FinalizeSector, run(StageFinalize), func(s Sector) bool { return s.Activation == 20 && s.Expiration == 30 }},
		{"found active before its send", in(SubmitCommit), Activated{20, 30}, FinalizeSector, run(StageFinalize), nil},
		{"finalized", in(FinalizeSector), Finalized{}, Proving, nil, nil},

		// Live.
		{"faulted", in(Proving), Faulted{"gone"}, Faulty, nil, func(s Sector) bool { return s.LastError == "gone" }},
		{"faulted again", in(Faulty), Faulted{"gone"}, Faulty, nil, nil},
		{"recovered", in(Faulty), Recovered{}, Proving, nil, func(s Sector) bool { return s.LastError == "" }},
		{"refreshed", in(Faulty), Refreshed{3, 4}, Faulty, nil, func(s Sector) bool { return s.Activation == 3 && s.Expiration == 4 }},
		{"terminate", in(Proving), Terminate{}, Terminating, run(StageSendTerminate), nil},
		{"terminate a faulty one", in(Faulty), Terminate{}, Terminating, run(StageSendTerminate), nil},
		{"terminate sent", in(Terminating), Sent{ID: "9"}, TerminateWait, run(StageAwaitTerminate), func(s Sector) bool { return s.Terminate.ID == "9" }},
		{"terminated", in(TerminateWait), Ended{At: 9}, TerminateFinality, run(StageAwaitFinality), func(s Sector) bool { return s.EndedAt == 9 }},
		{"expired", in(Proving), Ended{At: 9, Why: "expired"}, TerminateFinality, run(StageAwaitFinality), nil},
		{"final", in(TerminateFinality), Final{}, Removing, run(StageRemove), nil},
		{"deleted", in(Removing), Deleted{}, Removed, nil, nil},

		// Failures (C.5).
		{"disk full", in(Packing), Failed{Passing, "full"}, PackingFailed, wake(time.Minute), func(s Sector) bool { return s.Return == Packing }},
		{"labels break", in(PreCommit1), Failed{Broken, ""}, SealPreCommit1Failed, wake(time.Minute), func(s Sector) bool { return s.Return == PreCommit1 && s.LabelFails == 1 }},
		{"labels break for good", in(PreCommit1, func(s *Sector) { s.LabelFails = 3 }), Failed{Broken, ""}, Removing, run(StageRemove), nil},
		{"labels break with deals", in(PreCommit1, withDeal(1, 0, 2048, true), func(s *Sector) { s.LabelFails = 3 }), Failed{Broken, ""}, FailedUnrecoverable, nil,
			func(s Sector) bool { return s.Return == PreCommit1 }},
		{"replica breaks", in(PreCommit2), Failed{Broken, ""}, SealPreCommit2Failed, wake(time.Minute), func(s Sector) bool { return s.Return == PreCommit2 }},
		{"replica breaks often", in(PreCommit2, func(s *Sector) { s.ReplicateFails = 3 }), Failed{Broken, ""}, SealPreCommit2Failed, wake(time.Minute),
			func(s Sector) bool { return s.Return == PreCommit1 && s.LabelFails == 1 }},
		{"replica breaks for good", in(PreCommit2, func(s *Sector) { s.ReplicateFails, s.LabelFails = 3, 3 }), Failed{Broken, ""}, Removing, run(StageRemove), nil},
		{"ticket expired", in(PreCommit2), Failed{TicketExpired, ""}, SealPreCommit2Failed, wake(time.Minute), func(s Sector) bool { return s.Return == GetTicket }},
		{"pre-commit not sent", in(SubmitPreCommitBatch), Failed{Passing, ""}, PreCommitFailed, wake(time.Minute), func(s Sector) bool { return s.Return == SubmitPreCommitBatch && s.PreCommit.Try == 0 }},
		{"pre-commit rejected", in(PreCommitBatchWait, try), Failed{Rejected, ""}, PreCommitFailed, wake(time.Minute),
			func(s Sector) bool { return s.Return == SubmitPreCommitBatch && s.PreCommit == Send{Try: 1} }},
		{"prove-commit rejected", in(CommitWait, try), Failed{Rejected, ""}, CommitFailed, wake(time.Minute),
			func(s Sector) bool { return s.Return == SubmitCommit && s.Commit == Send{Try: 1} }},
		{"terminate rejected", in(TerminateWait, try), Failed{Rejected, ""}, TerminateFailed, wake(time.Minute),
			func(s Sector) bool { return s.Return == Terminating && s.Terminate == Send{Try: 1} }},
		{"pre-commit reorged away", in(WaitSeed, try), Failed{NoPreCommit, ""}, PreCommitFailed, wake(time.Minute), func(s Sector) bool { return s.Return == PreCommitBatchWait }},
		{"pre-commit was only found", in(WaitSeed), Failed{NoPreCommit, ""}, PreCommitFailed, wake(time.Minute), func(s Sector) bool { return s.Return == SubmitPreCommitBatch }},
		{"no pre-commit at the end", in(CommitWait, try), Failed{NoPreCommit, ""}, PreCommitFailed, wake(time.Minute), func(s Sector) bool { return s.Commit.Try == 1 }},
		{"seed moved", in(SubmitCommit, func(s *Sector) { s.Proof = []byte{1} }), Failed{BadSeed, ""}, ComputeProofFailed, wake(time.Minute),
			func(s Sector) bool { return s.Return == WaitSeed && s.Proof == nil && s.Commit.Try == 0 }},
		{"seed moved under way", in(CommitWait, try), Failed{BadSeed, ""}, ComputeProofFailed, wake(time.Minute), func(s Sector) bool { return s.Return == WaitSeed && s.Commit.Try == 1 }},
		{"bad proof once", in(Committing), Failed{BadProof, ""}, ComputeProofFailed, wake(time.Minute), func(s Sector) bool { return s.Return == Committing }},
		{"bad proof twice", in(Committing, func(s *Sector) { s.Bad = 1 }), Failed{BadProof, ""}, ComputeProofFailed, wake(time.Minute), func(s Sector) bool { return s.Return == PreCommit1 }},
		{"bad proof for good", in(Committing, func(s *Sector) { s.Bad = 3 }), Failed{BadProof, ""}, FailedUnrecoverable, nil, nil},
		{"cache is broken", in(Committing, func(s *Sector) { s.Bad = 1 }), Failed{Broken, ""}, ComputeProofFailed, wake(time.Minute), func(s Sector) bool { return s.Return == PreCommit1 }},
		{"chain found the proof bad", in(CommitWait, try), Failed{BadProof, ""}, ComputeProofFailed, wake(time.Minute), func(s Sector) bool { return s.Commit.Try == 1 }},
		{"deal expired", in(SubmitCommit, withDeal(1, 0, 2048, true)), Failed{DealExpired, ""}, DealsExpired, nil, nil},
		{"deal moved", in(PreCommit2, withDeal(1, 0, 2048, true)), Failed{DealMoved, ""}, RecoverDealIDs, run(StageRecoverDeals), func(s Sector) bool { return s.Return == PreCommit2 }},
		{"deal moved under way", in(CommitWait, try, withDeal(1, 0, 2048, true)), Failed{DealMoved, ""}, RecoverDealIDs, run(StageRecoverDeals),
			func(s Sector) bool { return s.Return == SubmitCommit && s.Commit == Send{Try: 1} }},
		{"deal found", in(RecoverDealIDs, func(s *Sector) { s.Return = PreCommit2 }), Renumbered{}, PreCommit2, run(StageReplicate), func(s Sector) bool { return s.Return == "" }},
		{"deal not found yet", in(RecoverDealIDs, func(s *Sector) { s.Return = PreCommit2 }), Failed{Passing, ""}, CommitFailed, wake(time.Minute), func(s Sector) bool { return s.Return == PreCommit2 }},
		{"other replica on chain", in(SubmitPreCommitBatch), Failed{Fatal, ""}, FailedUnrecoverable, nil, func(s Sector) bool { return s.Return == SubmitPreCommitBatch }},
		{"files do not go", in(Removing), Failed{Passing, ""}, RemoveFailed, wake(time.Minute), func(s Sector) bool { return s.Return == Removing }},
		{"cool-down over", in(PreCommitFailed, func(s *Sector) { s.Return = PreCommitBatchWait }), Woken{}, PreCommitBatchWait, run(StageAwaitPreCommit), nil},
		{"operator retries", in(FailedUnrecoverable, func(s *Sector) { s.Return = PreCommit1 }), Retry{}, PreCommit1, run(StageLabel), nil},
		{"operator removes", in(FailedUnrecoverable, func(s *Sector) { s.Return = PreCommit1 }), Remove{}, Removing, run(StageRemove), nil},
		{"operator removes expired deals", in(DealsExpired), Remove{}, Removing, run(StageRemove), nil},
		{"pause doubles", in(PackingFailed, func(s *Sector) { s.Return = Packing; s.Attempts = 2 }), Woken{}, Packing, run(StagePack), func(s Sector) bool { return s.Attempts == 2 }},
		{"pause has doubled", in(Packing, func(s *Sector) { s.Attempts = 2 }), Failed{Passing, ""}, PackingFailed, wake(4 * time.Minute), nil},
		{"pause is bounded", in(Packing, func(s *Sector) { s.Attempts = 50 }), Failed{Passing, ""}, PackingFailed, wake(time.Hour), nil},
	}
}

func TestEdges(t *testing.T) {
	seen := map[State]bool{}
	for _, e := range edges() {
		t.Run(e.name, func(t *testing.T) {
			before := e.from.clone()
			got, actions, err := testRules().Apply(e.from, e.event)
			if err != nil {
				t.Fatal(err)
			}
			if got.State != e.to {
				t.Errorf("state: got %s want %s", got.State, e.to)
			}
			if !reflect.DeepEqual(actions, e.then) {
				t.Errorf("actions: got %v want %v", actions, e.then)
			}
			if got.Version != e.from.Version+1 {
				t.Errorf("version: got %d want %d", got.Version, e.from.Version+1)
			}
			if e.check != nil && !e.check(got) {
				t.Errorf("record: got %+v", got)
			}
			if !reflect.DeepEqual(before.Pieces, e.from.Pieces) {
				t.Error("the record that was given has changed")
			}
		})
		seen[e.from.State], seen[e.to] = true, true
	}
	for _, s := range []State{
		WaitDeals, AddPiece, Packing, GetTicket, PreCommit1, PreCommit2, SubmitPreCommitBatch, PreCommitBatchWait, WaitSeed,
		Committing, SubmitCommit, CommitWait, FinalizeSector, Proving, Faulty, Terminating, TerminateWait, TerminateFinality,
		Removing, Removed, PackingFailed, SealPreCommit1Failed, SealPreCommit2Failed, PreCommitFailed, ComputeProofFailed,
		CommitFailed, RecoverDealIDs, DealsExpired, TerminateFailed, RemoveFailed, FailedUnrecoverable,
	} {
		if !seen[s] {
			t.Errorf("no edge of %s is tested", s)
		}
	}
}

func TestUnexpectedEvents(t *testing.T) {
	for name, c := range map[string]struct {
		s  Sector
		ev Event
	}{
		"piece at the wrong place":     {in(WaitDeals), Reserved{piece(1, 256, 256)}},
		"piece that does not fit":      {in(WaitDeals, withDeal(1, 0, 2048, true)), Reserved{piece(2, 2048, 256)}},
		"deal that is there already":   {in(WaitDeals, withDeal(1, 0, 256, true)), Reserved{piece(1, 256, 256)}},
		"piece while one is written":   {in(AddPiece, withDeal(1, 0, 256, false)), Reserved{piece(2, 256, 256)}},
		"piece after the start":        {in(Packing), Reserved{piece(1, 0, 256)}},
		"size that is no piece's":      {in(WaitDeals), Reserved{piece(1, 0, 200)}},
		"stored twice":                 {in(WaitDeals, withDeal(1, 0, 256, true)), Stored{1}},
		"seal while a piece is open":   {in(AddPiece, withDeal(1, 0, 256, false)), Seal{}},
		"result of other work":         {in(PreCommit2), Labelled{}},
		"sent without a message":       {in(PreCommit1), Sent{ID: "1"}},
		"removing a live sector":       {in(Proving), Remove{}},
		"removing a failed live one":   {in(FinalizeFailed, func(s *Sector) { s.Return = FinalizeSector }), Remove{}},
		"terminating while sealing":    {in(Committing), Terminate{}},
		"failure without work":         {in(Proving), Failed{Broken, ""}},
		"timer of one that is decided": {in(FailedUnrecoverable, func(s *Sector) { s.Return = PreCommit1 }), Woken{}},
		"retry of one that works":      {in(PreCommit1), Retry{}},
		"bad seed before there is one": {in(PreCommit1), Failed{BadSeed, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			got, actions, err := testRules().Apply(c.s, c.ev)
			if !errors.Is(err, ErrUnexpected) {
				t.Fatalf("got %v want ErrUnexpected", err)
			}
			if !reflect.DeepEqual(got, c.s) || actions != nil {
				t.Error("a refused event changed something")
			}
		})
	}
}

func TestFillers(t *testing.T) {
	for _, c := range []struct {
		from, to abi.PaddedPieceSize
		want     []abi.PaddedPieceSize
	}{
		{0, 0, nil},
		{0, 2048, []abi.PaddedPieceSize{2048}},
		{256, 1024, []abi.PaddedPieceSize{256, 512}},
		{128, 2048, []abi.PaddedPieceSize{128, 256, 512, 1024}},
		{1536, 2048, []abi.PaddedPieceSize{512}},
		{0, 1536, []abi.PaddedPieceSize{1024, 512}},
	} {
		var got []abi.PaddedPieceSize
		at := c.from
		for _, p := range Fillers(c.from, c.to) {
			if p.Offset != at || p.Offset%p.Size != 0 {
				t.Errorf("%d..%d: piece of %d at %d", c.from, c.to, p.Size, p.Offset)
			}
			at += p.Size
			got = append(got, p.Size)
		}
		if !reflect.DeepEqual(got, c.want) || at != c.to {
			t.Errorf("%d..%d: got %v want %v", c.from, c.to, got, c.want)
		}
	}
}
