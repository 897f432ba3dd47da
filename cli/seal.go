package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/storage/offline"
)

const zeroBytes = "0000000000000000000000000000000000000000000000000000000000000000"

func (a *app) sealCmd() *cobra.Command {
	var dir, sector, ticket string
	var miner, number uint64
	var proofType int64
	return a.verb(verb{
		use: "seal FILE", short: "Seal a file in a folder, with no node",
		long: "Seal a file in a folder of its own, with no node and no network: pad it, label the graph, build the trees, and print the commitments. All files are left in the folder, for study.\n" +
			"After an interruption the same command goes on; layers that are whole are not made again. See docs/sealing.md.",
		example: "  lode seal photo.jpg --dir out\n  lode seal photo.jpg --dir out --sector-size 8MiB --miner 1000 --sector 7 --ticket " + zeroBytes,
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "folder for the sector's files (needed)")
			f.StringVar(&sector, "sector-size", "", "2KiB, 8MiB, 512MiB, 32GiB or 64GiB (default: the smallest that holds the file)")
			f.Int64Var(&proofType, "proof-type", -1, "number of a registered seal proof, in place of --sector-size")
			f.Uint64Var(&miner, "miner", 1000, "the miner's actor number")
			f.Uint64Var(&number, "sector", 1, "the sector's number")
			f.StringVar(&ticket, "ticket", zeroBytes, "the ticket, 32 bytes in hex")
		},
		run: func(ctx context.Context, args []string) error {
			o := offline.Options{Miner: abi.ActorID(miner), Number: abi.SectorNumber(number), Now: time.Now, Progress: a.progress()}
			var err error
			if o.Ticket, err = offline.ParseBytes(ticket); err != nil {
				return usagef("--ticket: %w", err)
			}
			if dir == "" {
				return usagef("name the folder for the sector's files with --dir")
			}
			if err := readable(args[0]); err != nil {
				return err
			}
			in, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer in.Close() // is only read
			info, err := in.Stat()
			if err != nil {
				return err
			}
			if o.Proof, err = sealProof(sector, proofType, info.Size()); err != nil {
				return err
			}
			s, err := offline.Seal(ctx, dir, in, info.Size(), o)
			if err != nil {
				return err
			}
			return a.showSealed(s)
		},
	})
}

func sealProof(sector string, proofType, payload int64) (abi.RegisteredSealProof, error) {
	switch {
	case proofType >= 0 && sector != "":
		return 0, usagef("--proof-type and --sector-size exclude each other")
	case proofType >= 0:
		return abi.RegisteredSealProof(proofType), nil
	case sector == "":
		return offline.ProofFor(payload)
	}
	n, err := parseSize(sector)
	if err != nil {
		return 0, err
	}
	return offline.ProofOf(n)
}

// progress says how far a step is, every tenth of it.
func (a *app) progress() func(step string, done, total int64) {
	last, tenth := "", int64(0)
	return func(step string, done, total int64) {
		if step != last {
			last, tenth = step, -1
		}
		if now := 10 * done / max(total, 1); now != tenth {
			tenth = now
			a.say("%s %d %%", step, 10*now)
		}
	}
}

func (a *app) showSealed(s *offline.Sector) error {
	files, err := s.Files()
	if err != nil {
		return err
	}
	out := &struct {
		*offline.Sector
		Memory offline.Memory `json:"memory"`
		Files  []offline.File `json:"files"`
	}{s, offline.MemoryUsed(), files}
	return a.show(out, func(w io.Writer) error {
		var times []string
		for _, step := range s.Steps {
			times = append(times, fmt.Sprintf("%s %.1f s", step.Name, step.Seconds))
		}
		err := fields(w, "CommP", s.Piece.String(), "Piece size", size(uint64(s.PieceSize)), "CommD", s.CommD.String(), "Replica id", s.ReplicaID.String(),
			"CommR", s.CommR.String(), "Took", strings.Join(times, ", "), "Memory", memory(out.Memory))
		if err != nil {
			return err
		}
		var rows [][]string
		for _, f := range files {
			rows = append(rows, []string{f.Path, size(uint64(f.Bytes))})
		}
		fmt.Fprintln(w)
		return grid(w, []string{"file", ">size"}, rows)
	})
}

// memory shows what a process used.
func memory(m offline.Memory) string {
	s := size(m.Own) + " of its own"
	if m.Peak > 0 {
		s = size(m.Peak) + " at most resident, mapped files included; " + s
	}
	return s
}

func (a *app) unsealCmd() *cobra.Command {
	var dir, out string
	var offset, length int64
	return a.verb(verb{
		use: "unseal", short: "Get a file back from a folder that lode seal made",
		long: "Decode a file, or a part of it, from the replica in a folder that lode seal made. Where the labels of the last layer are gone, they are made again, which takes as long as sealing them did.\n" +
			"A whole file is checked against CommP.",
		example: "  lode unseal --dir out -o photo.jpg\n  lode unseal --dir out --offset 1024 --length 100 > part",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "the sector's folder (needed)")
			f.StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
			f.Int64Var(&offset, "offset", 0, "first byte of the part")
			f.Int64Var(&length, "length", -1, "bytes of the part (default: up to the end)")
		},
		run: func(ctx context.Context, _ []string) error {
			if dir == "" {
				return usagef("name the sector's folder with --dir")
			}
			s, err := offline.Open(dir)
			if err != nil {
				return err
			}
			if length < 0 {
				length = s.Payload - offset
			}
			if out == "" {
				return s.Unseal(ctx, a.Out, offset, length)
			}
			return a.whole(out, func(w io.Writer) error { return s.Unseal(ctx, w, offset, length) })
		},
	})
}

// whole writes a file and tells programs of it.
func (a *app) whole(path string, write func(w io.Writer) error) error {
	if err := whole(path, write); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return a.show(struct {
		Output string
		Bytes  int64
	}{path, info.Size()}, func(io.Writer) error { return nil })
}

// whole writes a file that appears when it is whole, and not at all after an error.
func whole(path string, write func(w io.Writer) error) (err error) {
	tmp := path + ".part"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}
