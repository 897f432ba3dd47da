package sector

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/lodenet/lode/repo"
)

type stillClock struct{ now time.Time }

func (c *stillClock) Now() time.Time { return c.now }
func (c *stillClock) Until(ctx context.Context, _ time.Time) error {
	<-ctx.Done()
	return ctx.Err()
}

func openStore(t *testing.T) (*Store, *stillClock, *sql.DB) {
	t.Helper()
	db := sql.OpenDB(repo.Connector(filepath.Join(t.TempDir(), "lode.db")))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	for range 2 {
		if err := Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	clk := &stillClock{time.Unix(1000, 0)}
	return NewStore(db, 1000, testRules(), clk), clk, db
}

func testCid(b byte) cid.Cid {
	h, err := multihash.Sum([]byte{b}, multihash.IDENTITY, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

func TestStoreKeepsRecords(t *testing.T) {
	ctx := t.Context()
	st, clk, _ := openStore(t)
	var runs []Run
	then := func(_ context.Context, _ *sql.Tx, _ Sector, r []Run) error { runs = append(runs, r...); return nil }

	deal := &Deal{ID: 5, PublishMessage: testCid(1), Proposal: []byte{1, 2}, Start: 3, End: 4, KeepUnsealed: true}
	a, err := st.Create(ctx, testProof, 3, then, Reserved{Piece{CID: deal.PublishMessage, Size: 256, Deal: deal}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := st.Create(ctx, testProof, 0, then, Seal{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Number != 3 || b.Number != 4 {
		t.Fatalf("numbers: got %d and %d want 3 and 4", a.Number, b.Number)
	}
	if want := []Run{{StagePack, 1}}; !reflect.DeepEqual(runs, want) {
		t.Fatalf("runs: got %v want %v", runs, want)
	}
	if a, err = st.Apply(ctx, 3, 0, then, Stored{5}); err != nil {
		t.Fatal(err)
	}
	got, err := st.Get(ctx, 3)
	if err != nil || !reflect.DeepEqual(got, a) {
		t.Fatalf("got %+v, %v want %+v", got, err, a)
	}
	if of, err := st.OfDeal(ctx, 5); err != nil || of.Number != 3 {
		t.Fatalf("sector of deal: got %d, %v", of.Number, err)
	}
	if _, err := st.OfDeal(ctx, 6); !errors.Is(err, ErrNotFound) {
		t.Fatalf("sector of no deal: got %v", err)
	}
	if list, err := st.List(ctx, Packing); err != nil || len(list) != 1 || list[0].Number != 4 {
		t.Fatalf("list: got %v, %v", list, err)
	}

	due, next, err := st.Due(ctx)
	if err != nil || len(due) != 0 || !next.Equal(clk.now.Add(8*time.Second)) {
		t.Fatalf("due: got %v, next %v, %v", due, next, err)
	}
	clk.now = next
	if due, _, err = st.Due(ctx); err != nil || !reflect.DeepEqual(due, []abi.SectorNumber{3}) {
		t.Fatalf("due: got %v, %v", due, err)
	}
	if _, err := st.Apply(ctx, 3, 0, then, Woken{}); err != nil {
		t.Fatal(err)
	}
	if due, next, err = st.Due(ctx); err != nil || len(due) != 0 || !next.IsZero() {
		t.Fatalf("due after the timer: got %v, next %v, %v", due, next, err)
	}
	log, err := st.Log(ctx, 3)
	if err != nil || len(log) != 3 || log[2].Event != "Woken" || log[2].State != Packing {
		t.Fatalf("history: got %v, %v", log, err)
	}
}

// A deal whose sector is being removed is placed in another one; that the first is gone then
// does not bring the deal back to it.
func TestDealStaysWithItsLastSector(t *testing.T) {
	ctx := t.Context()
	st, _, _ := openStore(t)
	deal := &Deal{ID: 5, PublishMessage: testCid(1), Start: 3, End: 4}
	p := Piece{CID: deal.PublishMessage, Size: 2048, Deal: deal, Stored: true}
	place := Reserved{p}
	if _, err := st.Create(ctx, testProof, 1, nil, place, Stored{5}, Packed{Pieces: []Piece{p}}, Failed{Fatal, "x"}, Remove{}); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Create(ctx, testProof, 1, nil, place); err != nil {
		t.Fatal(err)
	}
	if of, err := st.OfDeal(ctx, 5); err != nil || of.Number != 2 {
		t.Fatalf("before the end of the first: sector %d, %v", of.Number, err)
	}
	if _, err := st.Apply(ctx, 1, 0, nil, Deleted{}); err != nil {
		t.Fatal(err)
	}
	if of, err := st.OfDeal(ctx, 5); err != nil || of.Number != 2 {
		t.Errorf("after the end of the first: sector %d, %v", of.Number, err)
	}
}

func TestStoreRefusesObsoleteJobs(t *testing.T) {
	ctx := t.Context()
	st, _, _ := openStore(t)
	s, err := st.Create(ctx, testProof, 0, nil, Seal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Apply(ctx, s.Number, s.Entry+1, nil, Packed{}); !errors.Is(err, ErrStale) {
		t.Fatalf("got %v want ErrStale", err)
	}
	if _, err := st.Apply(ctx, s.Number, s.Entry, nil, Packed{}); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Apply(ctx, s.Number, s.Entry, nil, Packed{}); !errors.Is(err, ErrStale) {
		t.Fatalf("got %v want ErrStale", err)
	}
}

// What the caller does in the transaction and the record stand or fall together.
func TestStoreIsAtomic(t *testing.T) {
	ctx := t.Context()
	st, _, _ := openStore(t)
	s, err := st.Create(ctx, testProof, 0, nil, Seal{})
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	_, err = st.Apply(ctx, s.Number, 0, func(context.Context, *sql.Tx, Sector, []Run) error { return boom }, Packed{})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v want boom", err)
	}
	_, err = st.Apply(ctx, s.Number, 0, nil, Packed{}, Labelled{})
	if !errors.Is(err, ErrUnexpected) {
		t.Fatalf("got %v want ErrUnexpected", err)
	}
	got, err := st.Get(ctx, s.Number)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("got %+v, %v want %+v", got, err, s)
	}
}

func TestImport(t *testing.T) {
	ctx := t.Context()
	st, _, _ := openStore(t)
	s := New(1000, 2, testProof)
	s.State, s.CommR = Proving, testCid(1)
	for range 2 {
		if err := st.Import(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	other := s
	other.CommR = testCid(2)
	if err := st.Import(ctx, other); err == nil {
		t.Fatal("another sector took the number")
	}
	next, err := st.Create(ctx, testProof, 0, nil)
	if err != nil || next.Number != 3 {
		t.Fatalf("next: got %d, %v want 3", next.Number, err)
	}
	if _, err := st.Apply(ctx, 2, 0, nil, Faulted{"x"}); err != nil {
		t.Fatal(err)
	}
}
