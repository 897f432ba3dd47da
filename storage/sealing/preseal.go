package sealing

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/storage/sector"
)

// presealFile names the list of a folder of pre-sealed sectors.
const presealFile = "preseal.json"

// presealSectors is the folder, beside the list, that has the layout of <repo>/sectors.
const presealSectors = "sectors"

// Preseal is the file preseal.json of a folder of pre-sealed sectors.
type Preseal struct {
	Miner   abi.ActorID     `json:"miner"`
	Sectors []PresealSector `json:"sectors"`
}

// PresealSector is one pre-sealed sector without data. Its files lie in
// sectors/{unsealed,sealed,cache}. Its ticket is zeros: a genesis has no chain to draw from.
type PresealSector struct {
	Number    abi.SectorNumber        `json:"number"`
	SealProof abi.RegisteredSealProof `json:"seal_proof"`
	Ticket    string                  `json:"ticket"` // hex
	CommD     cid.Cid                 `json:"comm_d"`
	CommR     cid.Cid                 `json:"comm_r"`
}

// presealEpoch is the epoch that pre-sealed tickets count as drawn at (spec chain.md h.2).
const presealEpoch = -1

// WritePreseal seals count sectors without data, numbered from 0, in dir, and returns what
// it wrote in preseal.json. Sectors that are in the list already are not sealed again.
// progress, when not nil, is told of the share done, 0 to 1.
func WritePreseal(ctx context.Context, dir string, miner abi.ActorID, network types.Network, count int, progress func(done float64)) (*Preseal, error) {
	proof, err := network.SealProof()
	if err != nil {
		return nil, err
	}
	p, err := ReadPreseal(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = &Preseal{Miner: miner}, nil
	}
	if err != nil {
		return nil, err
	}
	if p.Miner != miner {
		return nil, fmt.Errorf("%s: the sectors are those of miner t0%d, not t0%d; give another folder", dir, p.Miner, miner)
	}
	if progress == nil {
		progress = func(float64) {}
	}
	files := folders{root: filepath.Join(dir, presealSectors), miner: miner}
	for i := range count {
		n := abi.SectorNumber(i)
		if i < len(p.Sectors) {
			if p.Sectors[i].Number != n || p.Sectors[i].SealProof != proof {
				return nil, fmt.Errorf("%s: sector %d is of another kind; give another folder", dir, i)
			}
			continue
		}
		part := func(from, to float64) porep.Progress {
			return func(done, total int64) {
				if total > 0 {
					progress((float64(i) + from + (to-from)*float64(done)/float64(total)) / float64(count))
				}
			}
		}
		sec, err := preseal(ctx, files, proof, n, part(0, 0.4), part(0.4, 1))
		if err != nil {
			return nil, fmt.Errorf("pre-seal sector %d: %w", n, err)
		}
		p.Sectors = append(p.Sectors, sec)
		if err := p.write(dir); err != nil {
			return nil, err
		}
	}
	progress(1)
	return p, nil
}

func preseal(ctx context.Context, files folders, proof abi.RegisteredSealProof, n abi.SectorNumber, one, two porep.Progress) (PresealSector, error) {
	size, err := proof.SectorSize()
	if err != nil {
		return PresealSector{}, err
	}
	t := porep.Task{Proof: proof, Miner: files.miner, Number: n, Ticket: make([]byte, 32)}
	commD := commp.ZeroPiece(abi.PaddedPieceSize(size))
	w, err := files.work(n)
	if err != nil {
		return PresealSector{}, err
	}
	defer w.discard()
	data, err := w.Create(porep.Unsealed)
	if err != nil {
		return PresealSector{}, err
	}
	if f, ok := data.(*file); ok {
		err = f.Truncate(int64(size))
	}
	if err = errors.Join(err, data.Close()); err != nil {
		return PresealSector{}, err
	}
	if err := porep.Label(ctx, t, commD, w, one); err != nil {
		return PresealSector{}, err
	}
	commR, err := porep.Commit(ctx, t, commD, w, two)
	if err != nil {
		return PresealSector{}, err
	}
	if err := w.publish(); err != nil {
		return PresealSector{}, err
	}
	return PresealSector{n, proof, hex.EncodeToString(t.Ticket), commD, commR}, files.keep(n)
}

// write replaces the list.
func (p *Preseal) write(dir string) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, presealFile)
	if err := os.WriteFile(path+temp, append(b, '\n'), 0o644); err != nil {
		return err
	}
	if err := syncFile(path + temp); err != nil {
		return err
	}
	if err := os.Rename(path+temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// ReadPreseal reads dir/preseal.json; the error is fs.ErrNotExist when there is none.
func ReadPreseal(dir string) (*Preseal, error) {
	path := filepath.Join(dir, presealFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var p Preseal
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &p, nil
}

// ImportPreseal takes over the sectors that WritePreseal made: they are proving from the
// genesis on. Their files are linked or copied. It can be repeated.
func (s *Sealing) ImportPreseal(ctx context.Context, dir string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	p, err := ReadPreseal(dir)
	if err != nil {
		return fmt.Errorf("pre-sealed sectors: %w", err)
	}
	if p.Miner != s.miner {
		return fmt.Errorf("pre-sealed sectors in %s are those of miner t0%d, this is t0%d", dir, p.Miner, s.miner)
	}
	from := folders{root: filepath.Join(dir, presealSectors), miner: p.Miner}
	for _, ps := range p.Sectors {
		ticket, err := hex.DecodeString(ps.Ticket)
		if err != nil || len(ticket) != 32 {
			return fmt.Errorf("pre-sealed sector %d: ticket %q is not 32 bytes in hex", ps.Number, ps.Ticket)
		}
		if ps.SealProof != s.proof {
			return fmt.Errorf("pre-sealed sector %d: proof type %d, the network has %d", ps.Number, ps.SealProof, s.proof)
		}
		sec := sector.New(s.miner, ps.Number, ps.SealProof)
		sec.State, sec.Ticket, sec.TicketEpoch = sector.Proving, ticket, presealEpoch
		sec.CommD, sec.CommR = ps.CommD, ps.CommR
		for _, f := range sector.Fillers(0, s.size) {
			f.CID = commp.ZeroPiece(f.Size)
			sec.Pieces = append(sec.Pieces, f)
		}
		if _, err := s.store.Get(ctx, ps.Number); errors.Is(err, sector.ErrNotFound) {
			if err := s.takeFiles(from, ps.Number); err != nil {
				return fmt.Errorf("pre-sealed sector %d: %w", ps.Number, explain(err))
			}
		}
		if err := s.store.Import(ctx, sec); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sealing) takeFiles(from folders, n abi.SectorNumber) error {
	if err := s.files.make(n); err != nil {
		return err
	}
	cached, err := os.ReadDir(from.cache(n))
	if err != nil {
		return err
	}
	names := []string{porep.Unsealed, porep.Sealed}
	for _, e := range cached {
		names = append(names, e.Name())
	}
	for _, name := range names {
		if err := take(from.path(n, name), s.files.path(n, name)); err != nil {
			return err
		}
	}
	return syncDir(s.files.cache(n))
}

// take links a file, or copies it where that cannot be.
func take(from, to string) error {
	_ = os.Remove(to + temp)
	if os.Link(from, to+temp) != nil {
		if err := copyFile(from, to+temp); err != nil {
			return err
		}
	}
	if err := os.Rename(to+temp, to); err != nil {
		return err
	}
	return syncDir(dirOf(to))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
