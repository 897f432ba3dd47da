package client

import (
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/market/deal"
)

var checkpoints = []deal.Checkpoint{deal.Accepted, deal.Transferred, deal.Published, deal.PublishConfirmed, deal.AddedPiece, deal.Indexed, deal.Complete, "what upstream adds one day"}

// events reads bytes as events, a pair each: kind and argument.
func events(b []byte) []Event {
	var out []Event
	for i := 0; i+1 < len(b); i += 2 {
		x := b[i+1]
		switch b[i] % 13 {
		case 0:
			out = append(out, Tick{abi.ChainEpoch(x)})
		case 1:
			out = append(out, Funded{})
		case 2:
			out = append(out, Signed{100, 200})
		case 3:
			out = append(out, Offered{})
		case 4:
			out = append(out, Answered{x%2 == 0, "no"})
		case 5:
			e := Told{Checkpoint: checkpoints[int(x)%len(checkpoints)], Bytes: uint64(x)}
			if x > 200 {
				e.Error = "trouble"
			}
			out = append(out, e)
		case 6:
			out = append(out, OnChain{ID: abi.DealID(x % 3), Active: x > 128})
		case 7:
			out = append(out, Gone{abi.ChainEpoch(x)})
		case 8:
			out = append(out, SlashedAt{abi.ChainEpoch(x)})
		case 9:
			out = append(out, Hindered{"why"})
		case 10:
			out = append(out, GivenUp{"why"})
		case 11:
			out = append(out, Cancelled{})
		case 12:
			out = append(out, Renumbered{abi.DealID(x)})
		}
	}
	return out
}

func TestGoodWay(t *testing.T) {
	l := Life{State: Funding}
	for _, c := range []struct {
		e    Event
		want State
		next Action
	}{
		{Funded{}, Signing, Sign},
		{Signed{100, 200}, Proposing, Propose},
		{Offered{}, Proposing, Propose},
		{Answered{Accepted: true}, Accepted, Follow},
		{Told{Checkpoint: deal.Accepted, Bytes: 5}, Transferring, Follow},
		{Told{Checkpoint: deal.Transferred, Bytes: 9}, Publishing, Follow},
		{Told{Checkpoint: deal.PublishConfirmed}, Publishing, Follow}, // not on the provider's word alone
		{OnChain{ID: 0}, Published, Follow},
		{Told{Checkpoint: deal.AddedPiece, Sector: "PreCommit1"}, Sealing, Follow},
		{OnChain{ID: 4, Active: true}, Sealing, Follow}, // another deal
		{OnChain{ID: 0, Active: true}, Active, None},
		{Gone{200}, Expired, None},
	} {
		l = Step(l, c.e)
		if l.State != c.want || l.Next() != c.next {
			t.Fatalf("after %+v: %s, next %q; want %s, %q", c.e, l.State, l.Next(), c.want, c.next)
		}
	}
}

// FuzzMachine: a deal only goes forward, an end is an end, and a deal id once seen stays, but
// for a reorg that changes it.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 6, 200, 7, 255})
	f.Add([]byte{1, 0, 2, 0, 4, 1, 5, 206, 8, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := Life{State: Funding}
		for _, e := range events(b) {
			n := Step(l, e)
			_, moved := e.(Renumbered)
			switch {
			case l.State.Ended() && n != l:
				t.Fatalf("%T changed an ended deal", e)
			case n.State.order() < l.State.order():
				t.Fatalf("%T went back from %s to %s", e, l.State, n.State)
			case l.Found && (!n.Found || n.DealID != l.DealID && !moved):
				t.Fatalf("%T changed the deal id", e)
			case n.State == Active && !n.Found:
				t.Fatalf("%T: active without a deal id", e)
			case n.Sent < l.Sent:
				t.Fatalf("%T took back bytes", e)
			}
			l = n
		}
		if (l.Next() == None) != (l.State.Ended() || l.State == Active) {
			t.Fatalf("a deal that is %s has next %q", l.State, l.Next())
		}
	})
}
