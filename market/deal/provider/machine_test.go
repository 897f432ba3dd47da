package provider

import (
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/deal"
)

var message = cid.MustParse("bafkqaaa")

// events reads bytes as events, two a byte pair: kind and argument.
func events(b []byte) []Event {
	var out []Event
	for i := 0; i+1 < len(b); i += 2 {
		x := b[i+1]
		switch b[i] % 17 {
		case 0:
			out = append(out, Tick{abi.ChainEpoch(x)})
		case 1:
			out = append(out, Progress{uint64(x)})
		case 2:
			out = append(out, Imported{})
		case 3:
			out = append(out, Fetched{uint64(x)})
		case 4:
			out = append(out, Batched{string(rune('a' + x%4))})
		case 5:
			out = append(out, Left{"left"})
		case 6:
			out = append(out, Landed{abi.DealID(x), message})
		case 7:
			out = append(out, Placed{Placement{Sector: abi.SectorNumber(x)}})
		case 8:
			out = append(out, BlocksIndexed{int(x)})
		case 9:
			out = append(out, Sealing{"PC1"})
		case 10:
			out = append(out, Activated{})
		case 11:
			out = append(out, Hindered{"why"})
		case 12:
			out = append(out, Failed{"why"})
		case 13:
			out = append(out, Held{"why"})
		case 14:
			out = append(out, Cancelled{})
		case 15:
			out = append(out, Resumed{})
		case 16:
			out = append(out, Renumbered{abi.DealID(x)})
		}
	}
	return out
}

var order = map[deal.Checkpoint]int{
	deal.Accepted: 0, deal.Transferred: 1, deal.Published: 2, deal.PublishConfirmed: 3,
	deal.AddedPiece: 4, deal.Indexed: 5, deal.Complete: 6,
}

// good is the way of a deal without trouble.
var good = []Event{Tick{1}, Progress{10}, Fetched{20}, Batched{"k"}, Landed{4, message}, Placed{}, BlocksIndexed{3}, Sealing{"PC1"}, Activated{}}

func TestGoodWay(t *testing.T) {
	l := Life{State: deal.Accepted, Start: 100}
	want := []Action{Fetch, Fetch, Publish, AwaitPublish, AddPiece, Index, Watch, Watch, None}
	for i, e := range good {
		l = Step(l, e)
		if l.Next() != want[i] {
			t.Fatalf("after %T: %q, want %q", e, l.Next(), want[i])
		}
	}
	if l.State != deal.Complete || l.Error != "" || l.DealID != 4 {
		t.Fatalf("%+v", l)
	}
}

// FuzzMachine: whatever happens in whatever order, a deal goes forward one checkpoint at a
// time, back only from a publish message that left it out, and what money depends on never
// changes once it is set, but for a reorg that gives the deal another number.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 3, 9, 4, 0, 6, 7, 7, 1, 8, 2, 9, 0, 10, 0}, false)
	f.Add([]byte{2, 0, 3, 1, 4, 0, 5, 0, 4, 1, 5, 0, 4, 2, 5, 0, 13, 0, 15, 0}, true)
	f.Fuzz(func(t *testing.T, b []byte, offline bool) {
		l := Life{State: deal.Accepted, Start: 100, Offline: offline}
		for _, e := range events(b) {
			n := Step(l, e)
			from, to := order[l.State], order[n.State]
			_, left := e.(Left)
			_, moved := e.(Renumbered)
			switch {
			case l.State == deal.Complete && n != l:
				t.Fatalf("%T changed an ended deal: %+v to %+v", e, l, n)
			case n.State == deal.Complete && n.Error == "" && l.State != deal.Complete && l.State != deal.Indexed:
				t.Fatalf("%T completed a deal that is %s", e, l.State)
			case n.State == deal.Complete:
			case to < from && !(left && l.State == deal.Published && n.State == deal.Transferred && n.Batch == ""):
				t.Fatalf("%T went back from %s to %s", e, l.State, n.State)
			case to > from+1:
				t.Fatalf("%T jumped from %s to %s", e, l.State, n.State)
			}
			if l.OnChain() && (n.DealID != l.DealID && !moved || n.Message != l.Message) {
				t.Fatalf("%T changed the deal id from %d to %d", e, l.DealID, n.DealID)
			}
			if l.Batch != "" && n.Batch != l.Batch && !left {
				t.Fatalf("%T changed the publish message", e)
			}
			if n.Batches > publishTries {
				t.Fatalf("%d publish messages", n.Batches)
			}
			if (n.State == deal.Published) != (n.Batch != "" && order[n.State] == 2) {
				t.Fatalf("%T: published without a message: %+v", e, n)
			}
			l = n
		}
		if l.State != deal.Complete && !l.Held && l.Next() == None {
			t.Fatalf("a deal that is %s has nothing to do", l.State)
		}
	})
}
