package sector

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
)

// eventOf reads an event from two bytes.
func eventOf(s Sector, kind, arg byte) Event {
	size := abi.PaddedPieceSize(128) << (arg % 5)
	at, _ := s.Place(size)
	id := abi.DealID(arg % 8)
	reasons := []Reason{Passing, Broken, TicketExpired, Rejected, NoPreCommit, BadSeed, BadProof, DealExpired, DealMoved, Fatal, "?"}
	events := []Event{
		Reserved{piece(id, at, size)}, Stored{id}, Dropped{id, "x"}, Seal{}, Woken{}, Retry{}, Terminate{}, Remove{},
		Packed{Pieces: append(s.Pieces[:len(s.Pieces):len(s.Pieces)], Fillers(s.Used(), s.Size())...)},
		Ticketed{[]byte{arg}, abi.ChainEpoch(arg)}, Labelled{}, Replicated{}, Sent{ID: string(rune('a' + arg%26))},
		PreCommitted{abi.ChainEpoch(arg), 9}, Seeded{[]byte{arg}, 1, 1}, Proved{[]byte{arg}}, Activated{1, 2}, Finalized{},
		Renumbered{s.Pieces}, Final{}, Deleted{}, Failed{reasons[int(arg)%len(reasons)], "x"}, Faulted{"x"}, Recovered{}, Refreshed{1, 2}, Ended{At: 1},
	}
	return events[int(kind)%len(events)]
}

// FuzzMachine reads bytes as events and checks what must hold after any of them.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{3, 0, 8, 0, 9, 1, 10, 0, 11, 0, 12, 1, 13, 2, 14, 1, 15, 1, 12, 2, 16, 0, 17, 0, 22, 0, 23, 0, 6, 0, 12, 0, 24, 0, 19, 0, 20, 0})
	f.Add([]byte{0, 1, 1, 1, 4, 0, 8, 0, 21, 0, 4, 0})
	f.Add([]byte{0, 4, 1, 4, 21, 1, 4, 0, 21, 9, 5, 0, 7, 0})
	f.Add([]byte{0, 2, 2, 2, 4, 0, 7, 0, 20, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := testRules()
		s := New(1000, 1, testProof)
		for i := 0; i+1 < len(b) && i < 400; i += 2 {
			ev := eventOf(s, b[i], b[i+1])
			before, _ := json.Marshal(s)
			next, actions, err := r.Apply(s, ev)
			after, _ := json.Marshal(s)
			if string(before) != string(after) {
				t.Fatalf("%T changed the record it was given", ev)
			}
			if err != nil {
				if !errors.Is(err, ErrUnexpected) || !reflect.DeepEqual(next, s) {
					t.Fatalf("%T in %s: %v", ev, s.State, err)
				}
				continue
			}
			again, _, _ := r.Apply(s, ev)
			if !reflect.DeepEqual(again, next) {
				t.Fatalf("%T in %s is not repeatable", ev, s.State)
			}
			invariants(t, s, next, ev, actions)
			var stored Sector
			raw, err := json.Marshal(next)
			if err == nil {
				err = json.Unmarshal(raw, &stored)
			}
			if err != nil || stored.State != next.State || stored.Entry != next.Entry || len(stored.Pieces) != len(next.Pieces) {
				t.Fatalf("record does not survive storing: %v", err)
			}
			s = next
		}
	})
}

func invariants(t *testing.T, old, s Sector, ev Event, actions []Action) {
	t.Helper()
	if s.Version != old.Version+1 || s.Entry < old.Entry || s.Entry > old.Entry+1 {
		t.Fatalf("%T: version %d to %d, entry %d to %d", ev, old.Version, s.Version, old.Entry, s.Entry)
	}
	runs, wakes := 0, 0
	for _, a := range actions {
		switch a := a.(type) {
		case Run:
			runs++
			if stage, ok := s.State.Stage(); !ok || stage != a.Stage || a.Entry != s.Entry {
				t.Fatalf("%T: %v in %s", ev, a, s.State)
			}
		case Wake:
			wakes++
			if a.After <= 0 || !s.Timer {
				t.Fatalf("%T: wake after %v, timer %v", ev, a.After, s.Timer)
			}
		}
	}
	if (s.Entry == old.Entry+1) != (runs == 1) {
		t.Fatalf("%T: %d runs, entry %d to %d", ev, runs, old.Entry, s.Entry)
	}
	// Nothing is ever stuck: a state has work, or a timer, or waits for chain or people.
	_, works := s.State.Stage()
	if s.State.Failure() && !s.Timer && s.State != FailedUnrecoverable {
		t.Fatalf("%T: %s waits for nothing", ev, s.State)
	}
	if s.State.Failure() && s.Return == "" {
		t.Fatalf("%T: %s leads nowhere", ev, s.State)
	}
	if works && s.Timer {
		t.Fatalf("%T: %s works and has a timer", ev, s.State)
	}
	if s.State == WaitDeals && len(s.Pieces) > 0 && !s.Timer {
		t.Fatalf("%T: a sector with pieces waits for ever", ev)
	}
	at := abi.PaddedPieceSize(0)
	for _, p := range s.Pieces {
		if p.Offset != at || p.Offset%p.Size != 0 {
			t.Fatalf("%T: piece of %d at %d, want %d", ev, p.Size, p.Offset, at)
		}
		at += p.Size
	}
	if at > s.Size() {
		t.Fatalf("%T: %d bytes in a sector of %d", ev, at, s.Size())
	}
	if s.State != AddPiece && !s.stored() {
		t.Fatalf("%T: %s with a piece that is not stored", ev, s.State)
	}
}
