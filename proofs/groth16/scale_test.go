package groth16

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	cs "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/internal/vectors"
)

// load is a circuit of any size with about as many terms a constraint as hashing has: two
// bits are mixed with sums of values before.
type load struct {
	Out  frontend.Variable `gnark:",public"`
	In   frontend.Variable
	Size int `gnark:"-"`
}

func (c *load) Define(api frontend.API) error {
	last := []frontend.Variable{c.In, api.Mul(c.In, c.In), c.In, c.In}
	for i := range c.Size {
		n := len(last)
		next := api.Mul(api.Add(last[n-1], last[n-2], last[n-3], i), api.Add(last[n-1], api.Mul(last[n-4], 7)))
		last = append(last[max(0, n-8):n:n], next)
	}
	api.AssertIsEqual(last[len(last)-1], c.Out)
	return nil
}

func (c *load) assign(in int64) *load {
	q := ecc.BLS12_381.ScalarField()
	x := big.NewInt(in)
	last := [4]*big.Int{x, new(big.Int).Mul(x, x), x, x}
	for i := range c.Size {
		l, r := new(big.Int).Add(last[3], last[2]), new(big.Int).Mul(last[0], big.NewInt(7))
		l.Add(l, last[1]).Add(l, big.NewInt(int64(i)))
		r.Add(r, last[3])
		last = [4]*big.Int{last[1], last[2], last[3], l.Mod(l.Mul(l, r), q)}
	}
	return &load{In: in, Out: last[3], Size: c.Size}
}

// TestScale makes keys for a circuit as large as the proof of replication of an 8 MiB
// sector and proves with them, and says what it takes.
func TestScale(t *testing.T) {
	vectors.Huge(t, "keys of 3.8 million constraints take minutes")
	circuit := &load{Size: 3_840_000}
	lap := stopwatch(t)
	ccs := compile(t, circuit)
	lap("compiled %d constraints", ccs.GetNbConstraints())
	path := filepath.Join(t.TempDir(), "key")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSecrets(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	vk, err := Setup(t.Context(), ccs, s, Label{Circuit: "load"}, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	lap("made keys of %d MiB", info.Size()>>20)
	derived, err := DeriveVerifyingKey(t.Context(), ccs, s)
	if err != nil || derived.Digest() != vk.Digest() {
		t.Fatalf("derived another verifying key, %v", err)
	}
	lap("derived the verifying key alone")
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(data)
	pk, err := OpenProvingKey(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	lap("opened the key")
	proof, inputs, err := pk.Prove(t.Context(), ccs, witnessOf(t, circuit.assign(3)))
	if err != nil {
		t.Fatal(err)
	}
	lap("proved")
	if ok, err := vk.Verify(inputs, proof); !ok {
		t.Errorf("the proof is refused: %v", err)
	}
	lap("verified")
}

// stopwatch logs how long things take, on the clock and on the cores, and the most memory
// that was resident meanwhile.
func stopwatch(t *testing.T) func(what string, args ...any) {
	start, used := time.Now(), cpu()
	return func(what string, args ...any) {
		t.Logf("%-40s %6.1f s, %6.1f s of CPU, peak %d MiB", fmt.Sprintf(what, args...), time.Since(start).Seconds(), cpu()-used, peak()>>20)
		start, used = time.Now(), cpu()
	}
}

func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peak is the most resident memory since it was last asked, where /proc tells.
func peak() (bytes int64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); n == 1 && err == nil {
			break
		}
	}
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // a kernel without it shows the peak of all
	return bytes << 10
}

// BenchmarkSetup compares with gnark's in the same run.
func BenchmarkSetup(b *testing.B) {
	ccs := compile(b, &load{Size: 1 << 15})
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			s, err := NewSecrets(rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			f, err := os.Create(filepath.Join(b.TempDir(), "key"))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := Setup(context.Background(), ccs, s, Label{}, f, nil); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gnark", func(b *testing.B) {
		for b.Loop() {
			if err := gnark.Setup(ccs.(*cs.R1CS), new(gnark.ProvingKey), new(gnark.VerifyingKey)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
