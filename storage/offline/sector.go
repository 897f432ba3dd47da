package offline

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
)

// SectorFile is the file of a sector's folder that says what is in it.
const SectorFile = "sector.json"

// maxSectorFile bounds what is read of it.
const maxSectorFile = 1 << 20

// Bytes are 32 bytes that JSON has in hex.
type Bytes [32]byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(b) {
		return fmt.Errorf("%q is not 32 bytes in hex", text)
	}
	_, err := hex.Decode(b[:], text)
	return err
}

// String is the hex form.
func (b Bytes) String() string { return hex.EncodeToString(b[:]) }

// ParseBytes reads the hex form.
func ParseBytes(s string) (b Bytes, err error) { return b, b.UnmarshalText([]byte(s)) }

// Sector is what was sealed in a folder.
type Sector struct {
	Proof     abi.RegisteredSealProof `json:"seal_proof"`
	Miner     abi.ActorID             `json:"miner"`
	Number    abi.SectorNumber        `json:"sector"`
	Ticket    Bytes                   `json:"ticket"`
	Payload   int64                   `json:"payload_bytes"`
	Piece     cid.Cid                 `json:"comm_p"`
	PieceSize abi.PaddedPieceSize     `json:"piece_size"`
	CommD     cid.Cid                 `json:"comm_d"`
	ReplicaID Bytes                   `json:"replica_id"`
	CommR     cid.Cid                 `json:"comm_r"`
	Steps     []Step                  `json:"steps"`

	dir string
}

// Step is how long a part of sealing took.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// ErrNotSealed: the folder has no sector that is sealed to its end.
var ErrNotSealed = errors.New("no sealed sector here")

// Open reads a folder's sector.json.
func Open(dir string) (*Sector, error) {
	f, err := os.Open(filepath.Join(dir, SectorFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: it has no %s; lode seal makes one", dir, ErrNotSealed, SectorFile)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // is only read
	s := &Sector{dir: dir}
	if err := json.NewDecoder(io.LimitReader(f, maxSectorFile)).Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return s, nil
}

func (s *Sector) check() error {
	size, err := s.Proof.SectorSize()
	if err != nil {
		return fmt.Errorf("seal proof %d: %w", s.Proof, err)
	}
	if s.Payload < 1 || uint64(s.Payload) > uint64(abi.PaddedPieceSize(size).Unpadded()) {
		return fmt.Errorf("%d bytes of payload in a sector of %d", s.Payload, size)
	}
	return nil
}

func (s *Sector) task() porep.Task {
	return porep.Task{Proof: s.Proof, Miner: s.Miner, Number: s.Number, Ticket: s.Ticket[:]}
}

// File is a file of the sector with its length.
type File struct {
	Path  string
	Bytes int64
}

// Files lists the folder.
func (s *Sector) Files() (files []File, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, File{filepath.Join(s.dir, e.Name()), info.Size()})
	}
	return files, nil
}

// write makes sector.json, last of all.
func (s *Sector) write(d *folder) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := d.Create(SectorFile)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.Keep(SectorFile)
}

// seconds since a moment.
func seconds(from, to time.Time) float64 { return to.Sub(from).Round(time.Millisecond).Seconds() }

// chunks are the padded range that a range of payload is in.
func chunks(offset, length int64) (from, n int64) {
	first := offset / fr32.Unpadded
	last := (offset + length + fr32.Unpadded - 1) / fr32.Unpadded
	return first * fr32.Padded, (last - first) * fr32.Padded
}
