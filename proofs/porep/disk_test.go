package porep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/mapped"
)

// diskFiles are files in a folder, mapped like those of a provider, for sectors that are too
// large for memory.
type diskFiles string

func (d diskFiles) Create(name string) (File, error) {
	return newDiskFile(os.Create(filepath.Join(string(d), name)))
}

func (d diskFiles) Open(name string) (File, error) {
	return newDiskFile(os.Open(filepath.Join(string(d), name)))
}

type diskFile struct{ *os.File }

func newDiskFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (f diskFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f diskFile) Map(size int64) (Memory, error) { return mapped.Map(f.File, size) }

// zeroSector is files with a sector's worth of zeros: on disk when it is large.
func zeroSector(t *testing.T, size abi.SectorSize) Files {
	t.Helper()
	if size <= 8<<20 {
		f := MemFiles()
		write(t, f, Unsealed, make([]byte, size))
		return f
	}
	f := diskFiles(t.TempDir())
	err := create(f, Unsealed, func(file File) error { return file.(diskFile).Truncate(int64(size)) })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// inTime is a context that ends before the test's time does, so that a large sector on a slow
// machine ends with a word on what to do, and what checks an error for that.
func inTime(t *testing.T) (context.Context, func(error)) {
	ctx := context.Background()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Minute))
		t.Cleanup(cancel)
	}
	return ctx, func(err error) {
		t.Helper()
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("not done in the test's time: give go test a longer -timeout")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A large sector, on disk, all the way and back.
func TestSeal512MiB(t *testing.T) {
	vectors.Huge(t, "seals 512 MiB")
	ctx, check := inTime(t)
	big := task
	big.Proof = abi.RegisteredSealProof_StackedDrg512MiBV1_1
	const size = 512 << 20
	s := &sealed{task: big, files: zeroSector(t, size), commD: commp.ZeroPiece(size)}
	start := time.Now()
	check(Label(ctx, big, s.commD, s.files, nil))
	labelled := time.Since(start)
	commR, err := Commit(ctx, big, s.commD, s.files, nil)
	check(err)
	t.Logf("labelled in %s, committed in %s", labelled, time.Since(start)-labelled)
	s.commR = commR
	p, err := Prove(ctx, big, s.commD, commR, seed, s.files)
	check(err)
	if err := Verify(s.statement(), p); err != nil {
		t.Error(err)
	}
	zeros := sha256.New()
	check(Unseal(ctx, big, s.commD, s.files, zeros, size/2, 1<<20))
	want := sha256.New()
	_, _ = io.Copy(want, bytes.NewReader(make([]byte, 1<<20)))
	if !bytes.Equal(zeros.Sum(nil), want.Sum(nil)) {
		t.Error("a part of it does not come back")
	}
}
