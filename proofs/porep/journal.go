package porep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/lodenet/lode/proofs/fr32"
)

// journal says which layers are whole on disk. It is written anew, and kept, after each
// layer has been; so it never promises what is not there. Since it has the replica's
// identity, the layers of another ticket or other data are never taken for this one's.
type journal struct {
	ReplicaID string   `json:"replica_id"`
	Layers    []string `json:"layers"` // SHA-256 of the files, from layer 1 on

	keeper Keeper // nil: nothing can be kept
}

// maxJournal bounds what is read: 11 layers take 1 KiB.
const maxJournal = 1 << 14

// openJournal finds the layers that an earlier run left whole, and checks that they are.
// Damaged ones, and all after them, are to be made again.
func (s *sector) openJournal(ctx context.Context, f Files, c *counter) (*journal, error) {
	j := &journal{ReplicaID: hex.EncodeToString(s.id[:])}
	j.keeper, _ = f.(Keeper)
	if j.keeper == nil {
		return j, nil
	}
	old, err := readJournal(f)
	if err != nil {
		return nil, err
	}
	if old.ReplicaID != j.ReplicaID {
		return j, nil
	}
	for _, want := range old.Layers {
		layer := len(j.Layers) + 1
		if layer > s.Layers {
			break
		}
		got, err := s.hashLayer(ctx, f, layer)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrSize) || (err == nil && hex.EncodeToString(got[:]) != want) {
			break
		}
		if err != nil {
			return nil, err
		}
		j.Layers = append(j.Layers, want)
		c.add(int64(s.Nodes()))
	}
	return j, nil
}

// readJournal is empty when there is none, and when what is there is none: all that it
// could do is save work.
func readJournal(f Files) (j journal, err error) {
	file, err := f.Open(Journal)
	if errors.Is(err, fs.ErrNotExist) {
		return journal{}, nil
	}
	if err != nil {
		return journal{}, fmt.Errorf("open %s: %w", Journal, err)
	}
	defer file.Close() // is only read
	if json.NewDecoder(io.NewSectionReader(file, 0, maxJournal)).Decode(&j) != nil {
		return journal{}, nil
	}
	return j, nil
}

// whole notes down that a layer is.
func (j *journal) whole(f Files, layer int, sum digest) error {
	j.Layers = append(j.Layers, hex.EncodeToString(sum[:]))
	if j.keeper == nil {
		return nil
	}
	if err := j.keeper.Keep(LayerFile(layer)); err != nil {
		return fmt.Errorf("keep %s: %w", LayerFile(layer), err)
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	err = create(f, Journal, func(file File) error {
		_, err := file.WriteAt(b, 0)
		return err
	})
	if err == nil {
		err = j.keeper.Keep(Journal)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", Journal, err)
	}
	return nil
}

// hashLayer is the digest of a layer's file.
func (s *sector) hashLayer(ctx context.Context, f Files, layer int) (sum digest, err error) {
	err = open(f, LayerFile(layer), int64(s.SectorSize), func(file File) error {
		h, b := sha256.New(), make([]byte, min(int64(s.SectorSize), 1<<20))
		for at := int64(0); at < int64(s.Nodes())*fr32.NodeBytes; at += int64(len(b)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := readFull(file, b, at); err != nil {
				return err
			}
			h.Write(b)
		}
		sum = digest(h.Sum(nil))
		return nil
	})
	return sum, err
}
