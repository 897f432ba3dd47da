package sealing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/storage/piece"
	"github.com/lodenet/lode/storage/sector"
)

func testData(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func commitment(t *testing.T, data []byte) (cid.Cid, abi.PaddedPieceSize) {
	t.Helper()
	w := commp.New()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	c, size, err := w.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return c, size
}

// deal publishes a deal for data.
func (r *rig) deal(data []byte, start abi.ChainEpoch) Piece {
	r.t.Helper()
	c, size := commitment(r.t, data)
	id, p := r.chain.Publish(c, size, start)
	return Piece{CID: c, Size: size, Deal: DealInfo{DealID: id, PublishMessage: c, Proposal: p, KeepUnsealed: true}}
}

func (r *rig) add(p Piece, data []byte) Placement {
	r.t.Helper()
	at, err := r.s.AddPiece(r.t.Context(), p, bytes.NewReader(data))
	if err != nil {
		r.t.Fatal(err)
	}
	return at
}

func (r *rig) read(at Placement, want []byte) {
	r.t.Helper()
	rc, err := r.s.ReadPiece(r.t.Context(), at.Sector, at.Offset, at.Size)
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil {
		r.t.Fatal(err)
	}
	full := make([]byte, at.Size.Unpadded())
	copy(full, want)
	if !bytes.Equal(got, full) {
		r.t.Errorf("piece at %d of sector %d: read other bytes", at.Offset, at.Sector)
	}
}

func TestPledge(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		n := r.pledge()
		if n != 1 {
			t.Errorf("number %d, want 1: the genesis took 0", n)
		}
		r.until(n, sector.Proving)
		r.active(n)
		r.sent("precommit/", 1)
		r.sent("provecommit/", 1)

		var states []string
		log, err := r.s.Log(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range log {
			states = append(states, string(e.State))
		}
		want := "Packing GetTicket PreCommit1 PreCommit2 SubmitPreCommitBatch PreCommitBatchWait WaitSeed Committing SubmitCommit CommitWait FinalizeSector Proving"
		if got := strings.Join(states, " "); got != want {
			t.Errorf("states:\n got %s\nwant %s", got, want)
		}
		left, err := os.ReadDir(r.s.files.cache(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range left {
			if strings.Contains(e.Name(), "layer") || strings.Contains(e.Name(), "tree-c") || strings.HasSuffix(e.Name(), temp) {
				t.Errorf("%s is left", e.Name())
			}
		}
	})
}

func TestDealsShareASector(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		a, b := testData(1, 200), testData(2, 1000)
		pa, pb := r.deal(a, 5000), r.deal(b, 5000)
		before := time.Now()
		at, bt := r.add(pa, a), r.add(pb, b)
		if at.Sector != bt.Sector || at.Offset != 0 || bt.Offset != 1024 {
			t.Fatalf("placed at %+v and %+v", at, bt)
		}
		if again := r.add(pa, nil); again != at {
			t.Errorf("again at %+v, want %+v", again, at)
		}
		// It is full, so it does not wait for more.
		r.until(at.Sector, sector.Proving)
		log, err := r.s.Log(t.Context(), at.Sector)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range log {
			if e.State == sector.Packing && e.At.Sub(before) > 2*time.Second {
				t.Errorf("a full sector waited for %s", e.At.Sub(before))
			}
		}
		r.active(at.Sector)
		for _, p := range []Piece{pa, pb} {
			_, state, err := r.chain.Now().Deal(t.Context(), p.Deal.DealID)
			if err != nil || state == nil {
				t.Errorf("deal %d is not active: %v", p.Deal.DealID, err)
			}
		}
		r.read(at, a)
		r.read(bt, b)

		// Without the unsealed copy the sector is unsealed, once.
		path := r.s.files.path(at.Sector, porep.Unsealed)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.read(bt, b)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the unsealed copy is not kept: %v", err)
		}
		r.read(at, a)
	})
}

func TestSeekInAPiece(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		data := testData(3, 508)
		at := r.add(r.deal(data, 5000), data)
		rc, err := r.s.ReadPiece(t.Context(), at.Sector, at.Offset, at.Size)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		sk, ok := rc.(io.ReadSeeker)
		if !ok {
			t.Fatal("a piece cannot be sought in")
		}
		for _, off := range []int64{0, 1, 126, 127, 128, 300, 507, 508} {
			if _, err := sk.Seek(off, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(sk)
			if err != nil || !bytes.Equal(got, data[off:]) {
				t.Errorf("from %d: read %d bytes, %v", off, len(got), err)
			}
		}
		if end, err := sk.Seek(-8, io.SeekEnd); err != nil || end != 500 {
			t.Errorf("end: %d, %v", end, err)
		}
	})
}

func TestSectorWaitsForDeals(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		data := testData(4, 200)
		start := time.Now()
		at := r.add(r.deal(data, 5000), data)
		for r.get(at.Sector).State == sector.WaitDeals {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(start); took < 8*time.Second || took > 20*time.Second {
			t.Errorf("sealing began after %s, want about 8 s", took)
		}
		r.until(at.Sector, sector.Proving)
		r.read(at, data)
	})
}

func TestPieceThatDoesNotMatch(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		data := testData(5, 200)
		p := r.deal(data, 5000)
		for name, c := range map[string]struct {
			r    io.Reader
			want error
		}{
			"other bytes":    {bytes.NewReader(testData(6, 200)), piece.ErrMismatch},
			"too many bytes": {bytes.NewReader(testData(5, 400)), piece.ErrTooLong},
			"broken reader":  {io.MultiReader(bytes.NewReader(data[:100]), iotestErr{syscall.EIO}), syscall.EIO},
		} {
			if _, err := r.s.AddPiece(t.Context(), p, c.r); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v want %v", name, err, c.want)
			}
		}
		all, err := r.s.Sectors(t.Context())
		if err != nil || len(all) != 1 || len(all[0].Pieces) != 0 {
			t.Fatalf("sectors: %+v, %v", all, err)
		}
		at := r.add(p, data)
		if at.Sector != all[0].Number || at.Offset != 0 {
			t.Errorf("placed at %+v", at)
		}
		if _, err := r.s.AddPiece(t.Context(), Piece{CID: p.CID, Size: 4096, Deal: p.Deal}, nil); !errors.Is(err, ErrTooBig) {
			t.Errorf("got %v want ErrTooBig", err)
		}
	})
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestDealThatStartsSoonIsSealedAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.opt.WaitDeals = time.Hour
		r.stop()
		r.close()
		r.open()
		r.run()
		data := testData(7, 200)
		at := r.add(r.deal(data, r.chain.Height()+60), data)
		r.until(at.Sector, sector.Proving)
		if h := r.get(at.Sector).Activation; h > 64 {
			t.Errorf("active at %d", h)
		}
	})
}

func TestExpiredDeal(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		data := testData(8, 2032)
		p := r.deal(data, r.chain.Height()+8)
		at := r.add(p, data)
		r.until(at.Sector, sector.DealsExpired)
		if err := r.s.Remove(t.Context(), at.Sector); err != nil {
			t.Fatal(err)
		}
		r.until(at.Sector, sector.Removed)
		if _, err := os.Stat(r.s.files.path(at.Sector, porep.Unsealed)); err == nil {
			t.Error("the files are left")
		}
		if _, err := r.s.ReadPiece(t.Context(), at.Sector, 0, 128); !errors.Is(err, ErrNotUnsealed) {
			t.Errorf("got %v want ErrNotUnsealed", err)
		}
	})
}

func TestRejectedMessagesAreSentAgain(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.chain.Spoil(func(in outbox.Intent) bool {
			return in.Key == "precommit/s-t01000-1/0" || in.Key == "provecommit/s-t01000-1/0" || in.Key == "provecommit/s-t01000-1/1"
		})
		n := r.pledge()
		r.until(n, sector.Proving)
		r.active(n)
		r.sent("precommit/", 2)
		r.sent("provecommit/", 3)
	})
}

func TestReorgMovesThePreCommit(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		n := r.pledge()
		r.until(n, sector.WaitSeed)
		was := r.get(n).PreCommitEpoch
		r.chain.Reorg(int(r.chain.Height()-was) + 1)
		r.until(n, sector.Proving)
		r.active(n)
		if got := r.get(n).PreCommitEpoch; got == was {
			t.Errorf("the pre-commit is still that of epoch %d", was)
		}
		r.sent("precommit/", 1)
		r.sent("provecommit/", 1)
	})
}

// The proof's message is on its way when the pre-commit below it moves: the proof is for
// another seed then and has to be made anew.
func TestReorgUnderTheProof(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.chain.Hold(func(in outbox.Intent) bool { return strings.HasPrefix(in.Key, "provecommit/") })
		n := r.pledge()
		r.until(n, sector.CommitWait)
		r.chain.Reorg(int(r.chain.Height()-r.get(n).PreCommitEpoch) + 1)
		r.chain.Hold(nil)
		r.until(n, sector.Proving)
		r.active(n)
		r.sent("precommit/", 1)
		r.sent("provecommit/", 2)
	})
}

func TestFullDisk(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		full := 0
		r.fault = func(op, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if op == "write" && full < 3 {
				full++
				return syscall.ENOSPC
			}
			return nil
		}
		r.stop()
		r.close()
		r.open()
		r.run()
		n := r.pledge()
		for !r.get(n).State.Failure() {
			time.Sleep(time.Second)
		}
		if info := r.get(n); !strings.Contains(info.LastError, "free space") || info.LabelFails != 0 {
			t.Errorf("error %q, %d failures counted", info.LastError, info.LabelFails)
		}
		r.until(n, sector.Proving)
		r.active(n)
	})
}

func TestBrokenCacheIsMadeAgain(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		n := r.pledge()
		r.until(n, sector.WaitSeed)
		if err := os.Remove(r.s.files.path(n, porep.LayerFile(1))); err != nil {
			t.Fatal(err)
		}
		r.until(n, sector.Proving)
		r.active(n)
		if info := r.get(n); info.Bad != 0 {
			t.Errorf("failures are still counted: %d", info.Bad)
		}
		r.sent("precommit/", 1)
	})
}

func TestTerminate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.opt.Poll = 20 * time.Second // finality takes an hour
		r.stop()
		r.close()
		r.open()
		r.run()
		n := r.pledge()
		r.until(n, sector.Proving)
		if err := r.s.Remove(t.Context(), n); !errors.Is(err, sector.ErrUnexpected) {
			t.Errorf("removing a live sector: %v", err)
		}
		if err := r.s.Terminate(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		r.until(n, sector.TerminateFinality)
		if _, err := os.Stat(r.s.files.path(n, porep.Sealed)); err != nil {
			t.Errorf("the replica is gone before finality: %v", err)
		}
		r.until(n, sector.Removed)
		if _, err := os.Stat(r.s.files.path(n, porep.Sealed)); err == nil {
			t.Error("the replica is left")
		}
		r.sent("terminate/", 1)
	})
}

// Somebody else ends the sector while our message waits: that one can never land, and need not.
func TestTerminatedByAnother(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		n := r.pledge()
		r.until(n, sector.Proving)
		r.chain.Hold(func(in outbox.Intent) bool { return strings.HasPrefix(in.Key, "terminate/") })
		if err := r.s.Terminate(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		r.until(n, sector.TerminateWait)
		in := r.chain.Sent("terminate/")[0]
		in.Key = "another"
		if res := r.chain.Do(in); res.ExitCode != 0 {
			t.Fatalf("the other's message failed with %d", res.ExitCode)
		}
		r.chain.Hold(nil)
		r.until(n, sector.TerminateFinality)
		r.sent("terminate/", 1)
	})
}

// A timer runs out in the moment in which its sector is started by hand.
func TestTimerThatComesTooLate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.stop()
		data := testData(12, 200)
		at := r.add(r.deal(data, 5000), data)
		if err := r.s.Start(t.Context(), at.Sector); err != nil {
			t.Fatal(err)
		}
		if err := r.s.woken(t.Context(), at.Sector); err != nil {
			t.Error(err)
		}
	})
}

func TestPipelineIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.opt.MaxSectors = 2
		r.stop()
		r.close()
		r.open()
		r.run()
		a, b := r.pledge(), r.pledge()
		if _, err := r.s.Pledge(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v want ErrBusy", err)
		}
		r.until(a, sector.Proving)
		r.until(b, sector.Proving)
		r.pledge()
	})
}

func TestPreseal(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		dir := filepath.Join(r.dir, "preseal")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var last float64
		p, err := WritePreseal(ctx, dir, 1000, r.chain.Net, 2, func(done float64) {
			if done < last {
				t.Errorf("progress fell from %f to %f", last, done)
			}
			last = done
		})
		if err != nil || last != 1 {
			t.Fatalf("progress %f, %v", last, err)
		}
		if p.Sectors[0].CommR == p.Sectors[1].CommR {
			t.Error("two sectors have the same replica")
		}
		again, err := WritePreseal(ctx, dir, 1000, r.chain.Net, 2, nil)
		if err != nil || again.Sectors[1] != p.Sectors[1] {
			t.Fatalf("again: %v, %v", again, err)
		}
		if _, err := WritePreseal(ctx, dir, 1001, r.chain.Net, 2, nil); err == nil {
			t.Error("another miner wrote to the folder")
		}
		for range 2 {
			if err := r.s.ImportPreseal(ctx, dir); err != nil {
				t.Fatal(err)
			}
		}
		all, err := r.s.Sectors(ctx)
		if err != nil || len(all) != 2 || all[1].State != sector.Proving {
			t.Fatalf("sectors: %v, %v", all, err)
		}
		if n := r.pledge(); n != 2 {
			t.Errorf("next number is %d, want 2", n)
		}
		r.read(Placement{0, 0, 2048}, nil)
		if err := os.Remove(r.s.files.path(1, porep.Unsealed)); err != nil {
			t.Fatal(err)
		}
		r.read(Placement{1, 0, 2048}, nil)
	})
}

// Unsealing takes what labelling takes, and anybody may ask for it: so many at once as are
// labelled, the others wait.
func TestUnsealingIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		dir := filepath.Join(r.dir, "preseal")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := WritePreseal(ctx, dir, 1000, r.chain.Net, 3, nil); err != nil {
			t.Fatal(err)
		}
		began, gate := make(chan struct{}, 3), make(chan struct{})
		r.fault = func(op, path string) error {
			if op == "create" && strings.HasPrefix(path, filepath.Join(r.dir, "sectors", dirUnsealed)) {
				began <- struct{}{}
				<-gate
			}
			return nil
		}
		r.stop()
		r.close()
		r.open()
		if err := r.s.ImportPreseal(ctx, dir); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for n := range abi.SectorNumber(3) {
			if err := os.Remove(r.s.files.path(n, porep.Unsealed)); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { r.read(Placement{n, 0, 2048}, nil) })
		}
		synctest.Wait()
		if len(began) != 1 {
			t.Errorf("%d sectors are unsealed at once", len(began))
		}
		close(gate)
		wg.Wait()
	})
}

func TestStopWhileAdding(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		data := testData(9, 200)
		p := r.deal(data, 5000)
		ctx, cancel := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := r.s.AddPiece(ctx, p, pr)
			done <- err
		}()
		if _, err := pw.Write(data[:100]); err != nil {
			t.Fatal(err)
		}
		cancel()
		_ = pw.CloseWithError(context.Canceled)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		at := r.add(p, data)
		if at.Offset != 0 {
			t.Errorf("placed at %+v", at)
		}
		r.until(at.Sector, sector.Proving)
		r.read(at, data)
	})
}

// A place whose bytes never come, since the market gave the deal up or the process died, is
// freed, and the sector goes on with the pieces it has.
func TestPlaceIsGivenUp(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		a, b := testData(10, 200), testData(11, 200)
		at := r.add(r.deal(a, 5000), a)
		dying := errors.New("dying")
		r.dies = func(point string) error {
			if point == "added" {
				return dying
			}
			return nil
		}
		r.stop()
		r.close()
		r.open()
		if _, err := r.s.AddPiece(t.Context(), r.deal(b, 5000), bytes.NewReader(b)); !errors.Is(err, dying) {
			t.Fatal(err)
		}
		r.dies = nil
		r.close()
		r.open()
		r.run()
		if got := r.get(at.Sector); got.State != sector.AddPiece || len(got.Pieces) != 2 {
			t.Fatalf("%s with %d pieces", got.State, len(got.Pieces))
		}
		r.until(at.Sector, sector.Proving)
		if got := len(r.get(at.Sector).Deals()); got != 1 {
			t.Errorf("%d deals, want 1", got)
		}
		r.read(at, a)
	})
}
