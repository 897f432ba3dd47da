package dag_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/boxo/ipld/merkledag"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/car"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/repo"
	"pgregory.net/rapid"
)

func openStore(t testing.TB) *dag.Store {
	t.Helper()
	db := sql.OpenDB(repo.Connector(filepath.Join(t.TempDir(), "lode.db")))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	s, err := dag.Open(context.Background(), db, &types.MemBlocks{}, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// join puts a file together from the CARs of its pieces alone.
func join(t testing.TB, s *dag.Store, imp *dag.Import, limit uint64) []byte {
	t.Helper()
	ctx := context.Background()
	var store types.MemBlocks
	for _, p := range imp.Pieces {
		st, err := s.Open(ctx, imp.Root, p.Index)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(st)
		if err != nil {
			t.Fatal(err)
		}
		st.Close()
		if uint64(len(data)) != p.CARSize || p.CARSize > limit {
			t.Fatalf("piece %d: %d bytes, the plan says %d, a piece holds %d", p.Index, len(data), p.CARSize, limit)
		}
		w := commp.New()
		w.Write(data)
		c, size, err := w.Sum()
		if err != nil || !c.Equals(p.CID) || size != p.PieceSize {
			t.Fatalf("piece %d: commitment %s of %d, got %s of %d (%v)", p.Index, p.CID, p.PieceSize, c, size, err)
		}
		r, err := car.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Roots) != 1 || !r.Roots[0].Equals(imp.Root) {
			t.Fatalf("piece %d: roots %v, want %s", p.Index, r.Roots, imp.Root)
		}
		for {
			sec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data[sec.Offset:sec.Offset+uint64(len(sec.Data))], sec.Data) {
				t.Fatalf("piece %d: block %s is not at %d", p.Index, sec.Cid, sec.Offset)
			}
			b, _ := blocks.NewBlockWithCid(bytes.Clone(sec.Data), sec.Cid)
			if err := store.Put(ctx, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cat(t, &store, imp.Root)
}

// cat is the plainest reader of a file's DAG.
func cat(t testing.TB, from types.Blocks, c cid.Cid) []byte {
	t.Helper()
	b, err := from.Get(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Prefix().Codec == cid.Raw {
		return b.RawData()
	}
	n, err := merkledag.DecodeProtobuf(b.RawData())
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, l := range n.Links() {
		out = append(out, cat(t, from, l.Cid)...)
	}
	return out
}

func content(n int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	r.Read(b)
	return b
}

func TestImportSizes(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		sector abi.SectorSize
		pieces int
	}{
		{"one byte", 1, 8 << 20, 1},
		{"one chunk", 256 << 10, 8 << 20, 1},
		{"chunk and a byte", 256<<10 + 1, 8 << 20, 1},
		{"over a sector", 9 << 20, 8 << 20, 2},
		{"several sectors", 20 << 20, 8 << 20, 3},
		{"small sectors", 10_000, 2 << 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStore(t)
			want := content(c.size, 1)
			imp, err := s.Import(context.Background(), c.name, bytes.NewReader(want), uint64(c.size), dag.Options{SectorSize: c.sector})
			if err != nil {
				t.Fatal(err)
			}
			if imp.Size != uint64(c.size) || (c.pieces != 0 && len(imp.Pieces) != c.pieces) {
				t.Fatalf("got %d bytes in %d pieces, want %d in %d", imp.Size, len(imp.Pieces), c.size, c.pieces)
			}
			if got := join(t, s, imp, uint64(c.sector)/128*127); !bytes.Equal(got, want) {
				t.Fatal("the file came back different")
			}
			again, err := s.Get(context.Background(), imp.Root)
			if err != nil || len(again.Pieces) != len(imp.Pieces) || again.Pieces[0] != imp.Pieces[0] {
				t.Fatalf("read back %+v (%v), want %+v", again, err, imp)
			}
		})
	}
}

func TestEmptyFile(t *testing.T) {
	s := openStore(t)
	if _, err := s.Import(t.Context(), "nothing", bytes.NewReader(nil), 0, dag.Options{SectorSize: 8 << 20}); !errors.Is(err, dag.ErrEmpty) {
		t.Errorf("got %v, want %v", err, dag.ErrEmpty)
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("imports: %v, %v", all, err)
	}
}

func TestNoRoom(t *testing.T) {
	s := openStore(t)
	full := errors.New("full")
	var asked uint64
	room := func(n uint64) error { asked = n; return full }
	if _, err := s.Import(t.Context(), "big", bytes.NewReader(content(1000, 1)), 1000, dag.Options{SectorSize: 8 << 20, Room: room}); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	if asked < 1000 {
		t.Errorf("asked for room for %d bytes, the file has 1000", asked)
	}
}

// TestAnyFile is the property that matters: any content, any cut, comes back the same.
func TestAnyFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := openStore(t)
		size := rapid.IntRange(1, 60_000).Draw(rt, "size")
		sector := abi.SectorSize(1 << rapid.IntRange(11, 15).Draw(rt, "sector bits"))
		want := content(size, rapid.Uint64Range(0, 100).Draw(rt, "seed"))
		if rapid.Bool().Draw(rt, "repeats") { // equal leaves, also in different pieces
			for i := 256; i < len(want); i++ {
				want[i] = want[i%256]
			}
		}
		imp, err := s.Import(context.Background(), "x", bytes.NewReader(want), 0, dag.Options{SectorSize: sector})
		if err != nil {
			rt.Fatal(err)
		}
		if got := join(t, s, imp, uint64(sector)/128*127); !bytes.Equal(got, want) {
			rt.Fatal("the file came back different")
		}
	})
}

func TestStreamSeeks(t *testing.T) {
	s := openStore(t)
	ctx := context.Background()
	imp, err := s.Import(ctx, "x", bytes.NewReader(content(20_000, 3)), 0, dag.Options{SectorSize: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range imp.Pieces {
		st, err := s.Open(ctx, imp.Root, p.Index)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(st)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at <= len(whole); at += 37 {
			if _, err := st.Seek(int64(at), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			n := min(100, len(whole)-at)
			got := make([]byte, n)
			if _, err := io.ReadFull(st, got); err != nil {
				t.Fatalf("at %d: %v", at, err)
			}
			if !bytes.Equal(got, whole[at:at+n]) {
				t.Fatalf("piece %d differs at %d", p.Index, at)
			}
		}
		if end, err := st.Seek(0, io.SeekEnd); err != nil || end != int64(len(whole)) {
			t.Fatalf("end at %d (%v), want %d", end, err, len(whole))
		}
		st.Close()
	}
}

func TestRepeatedChunksAreStoredOnce(t *testing.T) {
	s := openStore(t)
	imp, err := s.Import(context.Background(), "zeros", bytes.NewReader(make([]byte, 30<<20)), 0, dag.Options{SectorSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if len(imp.Pieces) != 1 || imp.Pieces[0].CARSize > 1<<20 {
		t.Fatalf("30 MiB of zeros take %d pieces, the first of %d bytes", len(imp.Pieces), imp.Pieces[0].CARSize)
	}
	if got := join(t, s, imp, 8<<20); len(got) != 30<<20 {
		t.Fatalf("%d bytes came back", len(got))
	}
}

func TestBadFiles(t *testing.T) {
	s := openStore(t)
	dir := t.TempDir()
	opt := dag.Options{SectorSize: 8 << 20}
	_, err := s.ImportFile(context.Background(), filepath.Join(dir, "none"), opt)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	_, err = s.ImportFile(context.Background(), dir, opt)
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	_, err = s.Import(context.Background(), "x", bytes.NewReader(make([]byte, 5000)), 0, dag.Options{SectorSize: 2 << 10, ChunkSize: 4096})
	if !errors.As(err, &dag.ErrTooLarge{}) {
		t.Errorf("chunk larger than a sector: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Import(ctx, "x", bytes.NewReader(make([]byte, 5000)), 0, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if l, err := s.List(context.Background()); err != nil || len(l) != 0 {
		t.Errorf("after failures the list has %d (%v)", len(l), err)
	}
}

func TestRaise(t *testing.T) {
	s := openStore(t)
	imp, err := s.Import(context.Background(), "x", bytes.NewReader([]byte{1}), 0, dag.Options{SectorSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	st, _ := s.Open(context.Background(), imp.Root, 0)
	data, _ := io.ReadAll(st)
	w := commp.New()
	w.Write(append(data, make([]byte, 1016-len(data))...))
	want, size, err := w.Sum()
	if err != nil || size != 1024 {
		t.Fatal(size, err)
	}
	got, err := imp.Pieces[0].Raise(1024)
	if err != nil || !got.CID.Equals(want) || got.PieceSize != 1024 {
		t.Fatalf("got %s of %d (%v), want %s", got.CID, got.PieceSize, err, want)
	}
}
