package porep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var task = Task{
	Proof: abi.RegisteredSealProof_StackedDrg2KiBV1_1, Miner: 1000, Number: 7,
	Ticket: bytes.Repeat([]byte{0xa5}, 32),
}

var seed = abi.InteractiveSealRandomness(bytes.Repeat([]byte{3}, 32))

// sealed is a sector that went through all steps.
type sealed struct {
	task         Task
	files        Files
	data         []byte // padded
	commD, commR cid.Cid
	proof        *Proof
}

func (s *sealed) statement() proof.SealVerifyInfo {
	return proof.SealVerifyInfo{
		SealProof: s.task.Proof, SectorID: abi.SectorID{Miner: s.task.Miner, Number: s.task.Number},
		Randomness: s.task.Ticket, InteractiveRandomness: seed, SealedCID: s.commR, UnsealedCID: s.commD,
	}
}

func write(t testing.TB, f Files, name string, data []byte) {
	t.Helper()
	if err := create(f, name, func(file File) error { _, err := file.WriteAt(data, 0); return err }); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, f Files, name string) []byte {
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
	if err := readFull(file, b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// filled is files with a sector's random data, and its CommD.
func filled(t testing.TB, p abi.RegisteredSealProof) (f Files, data []byte, commD cid.Cid) {
	t.Helper()
	size, err := p.SectorSize()
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, abi.PaddedPieceSize(size).Unpadded())
	rand.NewChaCha8([32]byte{1}).Read(payload)
	data = make([]byte, size)
	fr32.Pad(data, payload)
	w := commp.New()
	_, _ = w.Write(payload)
	commD, _, err = w.Sum()
	if err != nil {
		t.Fatal(err)
	}
	f = MemFiles()
	write(t, f, Unsealed, data)
	return f, data, commD
}

// progress fails the test when it goes back, and says where it ended.
func progress(t testing.TB) (Progress, func()) {
	var last, all int64
	return func(done, total int64) {
			if done < last || done > total {
				t.Errorf("progress goes from %d to %d of %d", last, done, total)
			}
			last, all = done, total
		}, func() {
			if last != all || all == 0 {
				t.Errorf("progress ends at %d of %d", last, all)
			}
		}
}

func sealAll(t testing.TB, task Task) *sealed {
	t.Helper()
	ctx := context.Background()
	s := &sealed{task: task}
	s.files, s.data, s.commD = filled(t, task.Proof)
	report, check := progress(t)
	if err := Label(ctx, task, s.commD, s.files, report); err != nil {
		t.Fatal(err)
	}
	check()
	report, check = progress(t)
	commR, err := Commit(ctx, task, s.commD, s.files, report)
	if err != nil {
		t.Fatal(err)
	}
	check()
	s.commR = commR
	if s.proof, err = Prove(ctx, task, s.commD, commR, seed, s.files); err != nil {
		t.Fatal(err)
	}
	return s
}

// small returns one sector of 2 KiB for all tests. They must leave it as it is.
func small(t testing.TB) *sealed {
	t.Helper()
	smallOnce.Do(func() { smallSector = sealAll(t, task) })
	if smallSector == nil {
		t.Fatal("the sector could not be sealed")
	}
	return smallSector
}

var (
	smallOnce   sync.Once
	smallSector *sealed
)

// testWhole takes a sealed sector through everything that reads it.
func testWhole(t *testing.T, s *sealed) {
	ctx := context.Background()
	if err := Verify(s.statement(), s.proof); err != nil {
		t.Fatal(err)
	}
	unseal := func(f Files, offset, length int64) []byte {
		t.Helper()
		var out bytes.Buffer
		if err := Unseal(ctx, s.task, s.commD, f, &out, offset, length); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	size := int64(len(s.data))
	// With all files, and with the replica alone.
	bare := MemFiles()
	write(t, bare, Sealed, read(t, s.files, Sealed))
	for name, f := range map[string]Files{"labels there": s.files, "labels gone": bare} {
		if got := unseal(f, 0, size); !bytes.Equal(got, s.data) {
			t.Errorf("%s: the whole sector is wrong", name)
		}
		for _, r := range [][2]int64{{size / 2, size / 4}, {384, 1024}, {size - 128, 128}, {0, 128}, {128, 0}, {size, 0}} {
			if size > 2048 && r[0]+r[1] > size/2 {
				continue // labels again take a while
			}
			if got := unseal(f, r[0], r[1]); !bytes.Equal(got, s.data[r[0]:r[0]+r[1]]) {
				t.Errorf("%s: %d bytes from %d are wrong", name, r[1], r[0])
			}
		}
	}
}

func TestSeal2KiB(t *testing.T) { testWhole(t, small(t)) }

func TestSeal8MiB(t *testing.T) {
	big := task
	big.Proof = abi.RegisteredSealProof_StackedDrg8MiBV1_1
	s := sealAll(t, big)
	testWhole(t, s)
	if got := len(read(t, s.files, TreeRFile(0, 1))); got != (512+64+8+1)*32 {
		t.Errorf("tree R has %d bytes", got)
	}
}

// The other kinds of seal proof differ in graph and challenges.
func TestSealKinds(t *testing.T) {
	for _, p := range []abi.RegisteredSealProof{
		abi.RegisteredSealProof_StackedDrg2KiBV1,
		abi.RegisteredSealProof_StackedDrg2KiBV1_1_Feat_SyntheticPoRep,
		abi.RegisteredSealProof_StackedDrg2KiBV1_2_Feat_NiPoRep,
	} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			other := task
			other.Proof = p
			s := sealAll(t, other)
			if err := Verify(s.statement(), s.proof); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Every bit of a proof is needed.
func TestVerifyRefusesFlips(t *testing.T) {
	s := small(t)
	flips := 0
	var walk func(v reflect.Value, at string)
	check := func(at string) {
		flips++
		if err := Verify(s.statement(), s.proof); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s changed: got %v", at, err)
		}
	}
	walk = func(v reflect.Value, at string) {
		switch n := v.Addr().Interface().(type) {
		case *merkle.Node:
			bit := (flips * 37) % 256
			n[bit/8] ^= 1 << (bit % 8)
			check(at)
			n[bit/8] ^= 1 << (bit % 8)
			return
		case *uint8:
			*n ^= 1
			check(at)
			*n ^= 1
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), at+"."+v.Type().Field(i).Name)
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), fmt.Sprintf("%s[%d]", at, i))
			}
			if v.Len() > 0 {
				whole := reflect.ValueOf(v.Interface())
				v.Set(whole.Slice(0, whole.Len()-1))
				check(at + " cut")
				v.Set(reflect.Append(whole.Slice(0, whole.Len()), whole.Index(0)))
				check(at + " grown")
				v.Set(whole)
			}
		}
	}
	walk(reflect.ValueOf(s.proof).Elem(), "proof")
	if flips < 500 {
		t.Errorf("only %d changes", flips)
	}
	if err := Verify(s.statement(), s.proof); err != nil {
		t.Fatalf("the proof did not come back: %v", err)
	}
	if err := Verify(s.statement(), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no proof: got %v", err)
	}
	if err := Verify(s.statement(), &Proof{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty proof: got %v", err)
	}
}

// A proof holds for its own statement alone.
func TestVerifyRefusesOtherStatements(t *testing.T) {
	s := small(t)
	other := commitment.UnsealedCID(merkle.Node{1})
	for name, change := range map[string]func(*proof.SealVerifyInfo){
		"miner":           func(i *proof.SealVerifyInfo) { i.Miner++ },
		"number":          func(i *proof.SealVerifyInfo) { i.Number++ },
		"ticket":          func(i *proof.SealVerifyInfo) { i.Randomness = bytes.Repeat([]byte{1}, 32) },
		"short ticket":    func(i *proof.SealVerifyInfo) { i.Randomness = i.Randomness[:31] },
		"seed":            func(i *proof.SealVerifyInfo) { i.InteractiveRandomness = bytes.Repeat([]byte{9}, 32) },
		"short seed":      func(i *proof.SealVerifyInfo) { i.InteractiveRandomness = nil },
		"commD":           func(i *proof.SealVerifyInfo) { i.UnsealedCID = other },
		"commR":           func(i *proof.SealVerifyInfo) { i.SealedCID = commitment.SealedCID(merkle.Node{1}) },
		"commR undefined": func(i *proof.SealVerifyInfo) { i.SealedCID = cid.Undef },
		"CIDs swapped":    func(i *proof.SealVerifyInfo) { i.SealedCID, i.UnsealedCID = i.UnsealedCID, i.SealedCID },
		"size":            func(i *proof.SealVerifyInfo) { i.SealProof++ },
		"version":         func(i *proof.SealVerifyInfo) { i.SealProof -= 5 },
		"kind":            func(i *proof.SealVerifyInfo) { i.SealProof += 5 },
		"unknown proof":   func(i *proof.SealVerifyInfo) { i.SealProof = 20 },
		"negative proof":  func(i *proof.SealVerifyInfo) { i.SealProof = -1 },
	} {
		info := s.statement()
		change(&info)
		if err := Verify(info, s.proof); err == nil {
			t.Errorf("%s changed: the proof holds", name)
		}
	}
	info := s.statement()
	info.DealIDs = []abi.DealID{1, 2}
	if err := Verify(info, s.proof); err != nil {
		t.Errorf("deals are no part of the statement: %v", err)
	}
}

func TestStepsRefuse(t *testing.T) {
	ctx := context.Background()
	s := small(t)
	fresh := func() Files {
		f := MemFiles()
		for _, name := range []string{Unsealed, Sealed, TreeD, Aux, LayerFile(1), LayerFile(2), TreeCFile(0, 1), TreeRFile(0, 1)} {
			write(t, f, name, read(t, s.files, name))
		}
		return f
	}
	without := func(name string) Files {
		f := fresh()
		delete(f.(*memFiles).files, name)
		return f
	}
	label := func(f Files) error { return Label(ctx, task, s.commD, f, nil) }
	commit := func(f Files) error { _, err := Commit(ctx, task, s.commD, f, nil); return err }
	prove := func(f Files) error { _, err := Prove(ctx, task, s.commD, s.commR, seed, f); return err }
	unseal := func(f Files) error { return Unseal(ctx, task, s.commD, f, io.Discard, 0, 2048) }
	for name, c := range map[string]struct {
		run  func(Files) error
		need []string
	}{
		"label":  {label, []string{Unsealed}},
		"commit": {commit, []string{Unsealed, LayerFile(1), LayerFile(2)}},
		"prove":  {prove, []string{TreeD, Aux, Sealed, LayerFile(1), LayerFile(2), TreeCFile(0, 1), TreeRFile(0, 1)}},
		"unseal": {unseal, []string{Sealed}},
	} {
		if err := c.run(fresh()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, file := range c.need {
			if err := c.run(without(file)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s without %s: got %v", name, file, err)
			}
			f := fresh()
			write(t, f, file, read(t, f, file)[:16])
			if err := c.run(f); !errors.Is(err, ErrSize) {
				t.Errorf("%s with a short %s: got %v", name, file, err)
			}
		}
	}

	f := fresh()
	data := read(t, f, Unsealed)
	data[100] ^= 1
	write(t, f, Unsealed, data)
	if err := label(f); !errors.Is(err, ErrMismatch) {
		t.Errorf("label of changed data: got %v", err)
	}
	f = fresh()
	replica := read(t, f, Sealed)
	replica[2000] ^= 1
	write(t, f, Sealed, replica)
	if err := unseal(f); !errors.Is(err, ErrMismatch) {
		t.Errorf("unseal of a changed replica: got %v", err)
	}
	f = without(LayerFile(2))
	if err := Unseal(ctx, Task{task.Proof, task.Miner + 1, task.Number, task.Ticket}, s.commD, f, io.Discard, 0, 2048); !errors.Is(err, ErrMismatch) {
		t.Errorf("unseal with another miner's labels: got %v", err)
	}
	for _, r := range [][2]int64{{-128, 128}, {0, -128}, {1, 128}, {0, 127}, {0, 2176}, {2048, 128}, {128, 1<<63 - 128}} {
		if err := Unseal(ctx, task, s.commD, s.files, io.Discard, r[0], r[1]); err == nil {
			t.Errorf("unseal of %d bytes from %d", r[1], r[0])
		}
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range map[string]error{
		"label":  Label(cancelled, task, s.commD, fresh(), nil),
		"unseal": Unseal(cancelled, task, s.commD, fresh(), io.Discard, 0, 128),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s cancelled: got %v", name, err)
		}
	}
	for name, bad := range map[string]Task{
		"proof 99":     {Proof: 99, Ticket: task.Ticket},
		"no ticket":    {Proof: task.Proof},
		"short ticket": {Proof: task.Proof, Ticket: make([]byte, 31)},
	} {
		if err := Label(ctx, bad, s.commD, fresh(), nil); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	if err := Label(ctx, task, s.commR, fresh(), nil); err == nil {
		t.Error("CommR in place of CommD was accepted")
	}
	if _, err := Prove(ctx, task, s.commD, s.commD, seed, fresh()); err == nil {
		t.Error("CommD in place of CommR was accepted")
	}
}

// failing is files whose Close or writes fail.
type failing struct {
	Files
	write, close error
}

func (f failing) Create(name string) (File, error) {
	file, err := f.Files.Create(name)
	return failingFile{file, f}, err
}

type failingFile struct {
	File
	with failing
}

func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if f.with.write != nil {
		return 0, f.with.write
	}
	return f.File.WriteAt(p, off)
}

func (f failingFile) Close() error { return f.with.close }

func TestStepsTellOfWriteErrors(t *testing.T) {
	full := errors.New("no space left")
	for name, with := range map[string]failing{"write": {write: full}, "close": {close: full}} {
		files, _, commD := filled(t, task.Proof)
		with.Files = files
		if err := Label(context.Background(), task, commD, with, nil); !errors.Is(err, full) {
			t.Errorf("label, %s: got %v", name, err)
		}
		if err := Label(context.Background(), task, commD, files, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Commit(context.Background(), task, commD, with, nil); !errors.Is(err, full) {
			t.Errorf("commit, %s: got %v", name, err)
		}
	}
}

func BenchmarkSeal2KiB(b *testing.B) {
	for b.Loop() {
		sealAll(b, task)
	}
}

func BenchmarkVerify2KiB(b *testing.B) {
	s := small(b)
	for b.Loop() {
		if err := Verify(s.statement(), s.proof); err != nil {
			b.Fatal(err)
		}
	}
}
