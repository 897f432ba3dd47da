package snark

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
	"github.com/lodenet/lode/proofs/post"
)

// BenchmarkWinning is a winning PoSt from the vanilla proof on, keys open. It makes missing
// keys in the usual folder.
func BenchmarkWinning(b *testing.B) {
	for name, t := range map[string]abi.RegisteredSealProof{"2KiB": sealType, "8MiB": abi.RegisteredSealProof_StackedDrg8MiBV1_1} {
		b.Run(name, func(b *testing.B) { benchWinning(b, t) })
	}
}

func benchWinning(b *testing.B, t abi.RegisteredSealProof) {
	dir, err := params.DefaultDir(os.Getenv)
	if err != nil {
		b.Fatal(err)
	}
	size, err := t.SectorSize()
	if err != nil {
		b.Fatal(err)
	}
	store := params.New(dir, nil)
	keys, err := MakeKeys(bg, store, size, []byte(params.DevnetSeed))
	if err != nil {
		b.Fatal(err)
	}
	v, err := NewVerifier(keys, size)
	if err != nil {
		b.Fatal(err)
	}
	p := NewProver(v, store, params.DevnetSeed)
	defer p.Release()
	kind, err := t.RegisteredWinningPoStProof()
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Warm(bg, kind); err != nil {
		b.Fatal(err)
	}
	s, w := benchSector(b, t)
	begun := processorTime(b)
	for b.Loop() {
		if s.Proofs, err = p.ProveWinningPoSt(bg, s, w); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((processorTime(b)-begun).Seconds()/float64(b.N), "cpu-s/op")
	if ok, err := v.VerifyWinningPoSt(bg, s); !ok || err != nil {
		b.Fatalf("got %v, %v", ok, err)
	}
}

// processorTime is what this process had of all cores, which other programs change little.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchSector seals a sector of zeros and proves it without a succinct proof.
func benchSector(b *testing.B, t abi.RegisteredSealProof) (proof.WinningPoStVerifyInfo, []proofs.PoStWitness) {
	b.Helper()
	sector := poreptest.Zeros(b, porep.Task{Proof: t, Miner: miner, Number: 1, Ticket: ticket})
	kind, err := t.RegisteredWinningPoStProof()
	if err != nil {
		b.Fatal(err)
	}
	s := proof.WinningPoStVerifyInfo{
		Randomness: random, Prover: miner,
		ChallengedSectors: []proof.SectorInfo{sector.Info()},
	}
	vanilla, err := post.ProveSector(bg, kind, s.ChallengedSectors[0], 0, random, sector.Files)
	if err != nil {
		b.Fatal(err)
	}
	return s, []proofs.PoStWitness{vanilla}
}

// BenchmarkVerifySeals is a batch of 1, 10 and 100 seals of one partition.
func BenchmarkVerifySeals(b *testing.B) {
	g := readGolden(b)
	v := g.verifier(b)
	for _, n := range []int{1, 10, 100} {
		all := make([]proof.SealVerifyInfo, n)
		for i := range all {
			all[i] = g.Seal
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := v.VerifySeals(bg, all); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
