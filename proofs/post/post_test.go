package post

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	winning  = abi.RegisteredPoStProof_StackedDrgWinning2KiBV1
	window   = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
	window11 = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1_1
	miner    = abi.ActorID(1000)
)

// rand has the top bits set, which both sides must clear.
var rand = abi.PoStRandomness(bytes.Repeat([]byte{0xf7}, 32))

type sector struct {
	info  proof.SectorInfo
	files porep.Files
}

var (
	sectorsOnce sync.Once
	sealed      []sector
)

// sectors returns three sealed sectors of 2 KiB, ascending by number. Tests leave them as
// they are.
func sectors(t testing.TB) []sector {
	t.Helper()
	sectorsOnce.Do(func() {
		for _, n := range []abi.SectorNumber{3, 4, 9} {
			s := poreptest.Zeros(t, porep.Task{Proof: abi.RegisteredSealProof_StackedDrg2KiBV1_1, Miner: miner, Number: n, Ticket: make([]byte, 32)})
			sealed = append(sealed, sector{s.Info(), s.Files})
		}
	})
	if len(sealed) != 3 {
		t.Fatal("the sectors could not be sealed")
	}
	return sealed
}

func write(t testing.TB, f porep.Files, name string, data []byte) {
	t.Helper()
	file, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
}

func infos(s []sector) (i []proof.SectorInfo) {
	for _, s := range s {
		i = append(i, s.info)
	}
	return i
}

func prove(t testing.TB, p abi.RegisteredPoStProof, s []sector) (v []*SectorProof) {
	t.Helper()
	for i, s := range s {
		one, err := ProveSector(context.Background(), p, s.info, i, rand, s.files)
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, one)
	}
	return v
}

func windowOf(s []proof.SectorInfo) proof.WindowPoStVerifyInfo {
	return proof.WindowPoStVerifyInfo{Randomness: rand, Prover: miner, ChallengedSectors: s}
}

func winningOf(s ...proof.SectorInfo) proof.WinningPoStVerifyInfo {
	return proof.WinningPoStVerifyInfo{Randomness: rand, Prover: miner, ChallengedSectors: s}
}

func TestWindow(t *testing.T) {
	s := sectors(t)
	for _, p := range []abi.RegisteredPoStProof{window, window11} {
		v := prove(t, p, s)
		if err := VerifyWindow(windowOf(infos(s)), v); err != nil {
			t.Fatal(err)
		}
		// The order in which sectors come does not matter, nor that one comes twice.
		again := []proof.SectorInfo{s[2].info, s[0].info, s[1].info, s[0].info}
		if err := VerifyWindow(windowOf(again), []*SectorProof{v[2], v[0], v[1], v[0]}); err != nil {
			t.Error(err)
		}
		st, err := CheckWindow(windowOf(infos(s)), v)
		if err != nil || st.Partitions() != 2 {
			t.Errorf("got %d partitions, %v", st.Partitions(), err)
		}
	}
	// The place in the proof counts in the old version alone.
	for p, same := range map[abi.RegisteredPoStProof]bool{window: false, window11: true} {
		first, err1 := ProveSector(context.Background(), p, s[1].info, 0, rand, s[1].files)
		second, err2 := ProveSector(context.Background(), p, s[1].info, 1, rand, s[1].files)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(first, second) != same {
			t.Errorf("post proof %d: two places have the same proof: %v", p, !same)
		}
	}
}

func TestWinning(t *testing.T) {
	s := sectors(t)
	v := prove(t, winning, s[:1])
	if len(v[0].Paths) != 66 {
		t.Errorf("%d paths", len(v[0].Paths))
	}
	if err := VerifyWinning(winningOf(s[0].info), v); err != nil {
		t.Fatal(err)
	}
	if err := VerifyWinning(winningOf(infos(s[:2])...), append(v, v[0])); err == nil {
		t.Error("two sectors were accepted")
	}
	if err := VerifyWindow(windowOf(infos(s[:1])), v); !errors.Is(err, ErrInvalid) {
		t.Errorf("as a window PoSt: got %v", err)
	}
	if err := VerifyWinning(winningOf(s[0].info), prove(t, window, s[:1])); !errors.Is(err, ErrInvalid) {
		t.Errorf("a window proof as a winning one: got %v", err)
	}
}

// Trimmed or not, randomness is the same to both sides.
func TestRandomnessIsTrimmed(t *testing.T) {
	s := sectors(t)
	trimmed := slices.Clone(rand)
	trimmed[31] &= 0x3f
	v, err := ProveSector(context.Background(), window, s[0].info, 0, trimmed, s[0].files)
	if err != nil || !reflect.DeepEqual(v, prove(t, window, s[:1])[0]) {
		t.Errorf("other proofs, %v", err)
	}
	a, err1 := WinningSectors(miner, rand, 1000)
	b, err2 := WinningSectors(miner, trimmed, 1000)
	if err := errors.Join(err1, err2); err != nil || !slices.Equal(a, b) || len(a) != 1 || a[0] >= 1000 {
		t.Errorf("got %v and %v, %v", a, b, err)
	}
}

func TestVerifyRefusesFlips(t *testing.T) {
	s := sectors(t)
	for _, p := range []abi.RegisteredPoStProof{winning, window} {
		v := prove(t, p, s[:1])
		verify := func() error {
			if p == winning {
				return VerifyWinning(winningOf(s[0].info), v)
			}
			return VerifyWindow(windowOf(infos(s[:1])), v)
		}
		refused := func(what string, i int) {
			t.Helper()
			if err := verify(); !errors.Is(err, ErrInvalid) {
				t.Errorf("post proof %d: %s %d changed: got %v", p, what, i, err)
			}
		}
		for i := range v[0].Paths {
			path := &v[0].Paths[i]
			path.Leaf[i%32] ^= 1
			refused("leaf", i)
			path.Leaf[i%32] ^= 1
			for j := range path.Elements {
				e := &path.Elements[j]
				e.Siblings[i%7][j] ^= 4
				refused("sibling", i)
				e.Siblings[i%7][j] ^= 4
				e.Position ^= 1
				refused("position", i)
				e.Position ^= 1
			}
		}
		for i, n := range []*merkle.Node{&v[0].CommC, &v[0].CommRLast} {
			n[5] ^= 1
			refused("root", i)
			n[5] ^= 1
		}
		v[0].Sector++
		refused("sector", 0)
		v[0].Sector--
		v[0].Paths[0], v[0].Paths[1] = v[0].Paths[1], v[0].Paths[0]
		refused("order", 0)
		v[0].Paths[0], v[0].Paths[1] = v[0].Paths[1], v[0].Paths[0]
		all := v[0].Paths
		v[0].Paths = all[1:]
		refused("number", 0)
		v[0].Paths = all
		if err := verify(); err != nil {
			t.Fatalf("the proof did not come back: %v", err)
		}
	}
}

func TestVerifyRefusesOtherStatements(t *testing.T) {
	s := sectors(t)
	v := prove(t, window, s[:2])
	for name, change := range map[string]func(*proof.WindowPoStVerifyInfo){
		"randomness":       func(i *proof.WindowPoStVerifyInfo) { i.Randomness = make([]byte, 32) },
		"short randomness": func(i *proof.WindowPoStVerifyInfo) { i.Randomness = rand[:31] },
		"number":           func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[0].SectorNumber = 1 },
		"commR":            func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[0].SealedCID = s[2].info.SealedCID },
		"undefined commR":  func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[0].SealedCID = cid.Undef },
		"commD":            func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[0].SealedCID = commp.ZeroPiece(2048) },
		"size":             func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[1].SealProof++ },
		"unknown seal":     func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[1].SealProof = 77 },
		"conflict":         func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors[1].SectorNumber = s[0].info.SectorNumber },
		"no sectors":       func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors = nil },
		"one less":         func(i *proof.WindowPoStVerifyInfo) { i.ChallengedSectors = i.ChallengedSectors[:1] },
		"order": func(i *proof.WindowPoStVerifyInfo) {
			slices.Reverse(i.ChallengedSectors) // while the proofs stay
		},
	} {
		info := windowOf(infos(s[:2]))
		change(&info)
		if err := VerifyWindow(info, v); err == nil {
			t.Errorf("%s changed: the proofs hold", name)
		}
	}
	for name, v := range map[string][]*SectorProof{
		"none": nil, "nil": {nil, nil}, "second nil": {v[0], nil}, "one": v[:1], "empty": {{}, {}},
		"kinds mixed": {v[0], prove(t, window11, s[:2])[1]},
	} {
		if err := VerifyWindow(windowOf(infos(s[:2])), v); err == nil {
			t.Errorf("%s: the proofs hold", name)
		}
	}
}

func TestProveSectorRefuses(t *testing.T) {
	ctx := context.Background()
	s := sectors(t)[0]
	copied := func() porep.Files {
		f := porep.MemFiles()
		for _, name := range []string{porep.Sealed, porep.Aux, porep.TreeRFile(0, 1)} {
			write(t, f, name, contents(t, s.files, name))
		}
		return f
	}
	if _, err := ProveSector(ctx, window, s.info, 0, rand, copied()); err != nil {
		t.Fatalf("these files are all that it needs: %v", err)
	}
	for _, name := range []string{porep.Sealed, porep.Aux, porep.TreeRFile(0, 1)} {
		f := copied()
		b := contents(t, f, name)
		write(t, f, name, b[:len(b)-1])
		if _, err := ProveSector(ctx, window, s.info, 0, rand, f); !errors.Is(err, porep.ErrSize) {
			t.Errorf("%s short: got %v", name, err)
		}
		for i := range b {
			b[i] ^= 0x10 // every byte, so that every challenge meets it
		}
		write(t, f, name, b)
		if _, err := ProveSector(ctx, window, s.info, 0, rand, f); err == nil {
			t.Errorf("%s damaged: a proof was made", name)
		}
	}
	f := copied()
	b := contents(t, f, porep.Sealed)
	for i := 0; i < len(b); i += 32 {
		b[i] ^= 1
	}
	write(t, f, porep.Sealed, b)
	if _, err := ProveSector(ctx, window, s.info, 0, rand, f); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged replica: got %v", err)
	}
	if _, err := ProveSector(ctx, window, s.info, 0, rand, porep.MemFiles()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no files: got %v", err)
	}
	other := s.info
	other.SealedCID = commitment.SealedCID(merkle.Node{1})
	if _, err := ProveSector(ctx, window, other, 0, rand, s.files); !errors.Is(err, ErrDamaged) {
		t.Errorf("another CommR: got %v", err)
	}
	for name, run := range map[string]func() (*SectorProof, error){
		"unknown proof":    func() (*SectorProof, error) { return ProveSector(ctx, 15, s.info, 0, rand, s.files) },
		"other size":       func() (*SectorProof, error) { return ProveSector(ctx, window+1, s.info, 0, rand, s.files) },
		"negative index":   func() (*SectorProof, error) { return ProveSector(ctx, window, s.info, -1, rand, s.files) },
		"winning index 1":  func() (*SectorProof, error) { return ProveSector(ctx, winning, s.info, 1, rand, s.files) },
		"short randomness": func() (*SectorProof, error) { return ProveSector(ctx, window, s.info, 0, rand[:5], s.files) },
	} {
		if _, err := run(); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	if _, err := WinningSectors(miner, rand, 0); err == nil {
		t.Error("a choice among no sectors")
	}
	if _, err := WinningSectors(miner, nil, 1); err == nil {
		t.Error("a choice by no randomness")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ProveSector(cancelled, window, s.info, 0, rand, s.files); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func contents(t testing.TB, f porep.Files, name string) []byte {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := file.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := file.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkProveSector(b *testing.B) {
	s := sectors(b)[0]
	for name, p := range map[string]abi.RegisteredPoStProof{"winning": winning, "window": window} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ProveSector(context.Background(), p, s.info, 0, rand, s.files); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
