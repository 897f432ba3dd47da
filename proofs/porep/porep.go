package porep

import (
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// Task says which sector is sealed, for whom and how.
type Task struct {
	Proof  abi.RegisteredSealProof
	Miner  abi.ActorID
	Number abi.SectorNumber
	Ticket abi.SealRandomness
}

// ReplicaID is what the sector's labels are bound to.
func (t Task) ReplicaID(commD cid.Cid) (fr32.Node, error) {
	s, err := newSector(t, commD)
	if err != nil {
		return fr32.Node{}, err
	}
	return s.id, nil
}

// Progress is told how much of a step's work is done, in nodes; done never falls and ends at
// total. It is called by one goroutine at a time and should return quickly. It may be nil.
type Progress func(done, total int64)

// ErrMismatch: data, files and commitments do not belong together.
var ErrMismatch = errors.New("does not match its commitment")

// sector is a task with everything that follows from it.
type sector struct {
	registry.Seal
	graph *sdr.Graph
	id    fr32.Node // replica ID
	commD fr32.Node
}

func newSector(t Task, commD cid.Cid) (*sector, error) {
	seal, err := registry.SealOf(t.Proof)
	if err != nil {
		return nil, err
	}
	return sectorOf(seal, t, commD)
}

func sectorOf(seal registry.Seal, t Task, commD cid.Cid) (*sector, error) {
	if len(t.Ticket) != 32 {
		return nil, fmt.Errorf("sector %d: a ticket of %d bytes, it has 32", t.Number, len(t.Ticket))
	}
	d, err := commitment.Unsealed(commD)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", t.Number, err)
	}
	graph, err := sdr.NewGraph(seal.PoRepID, seal.Nodes(), seal.Version)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", t.Number, err)
	}
	id := sdr.ReplicaID(registry.ProverID(t.Miner), t.Number, [32]byte(t.Ticket), d, seal.PoRepID)
	return &sector{Seal: seal, graph: graph, id: id, commD: d}, nil
}

// baseLeaves is how many leaves each of the n base trees has.
func (s *sector) baseLeaves() (leaves uint64, n int) {
	n = s.Shape.BaseTrees()
	return s.Nodes() / uint64(n), n
}

// Roots are what CommR is made of; the file Aux keeps them.
type Roots struct{ CommC, CommRLast merkle.Node }

// CommR is the replica's commitment.
func (r Roots) CommR() (fr32.Node, error) {
	return merkle.HashNodes([]merkle.Node{r.CommC, r.CommRLast})
}

// ReadRoots reads a sector's file Aux.
func ReadRoots(f Files) (r Roots, err error) {
	err = open(f, Aux, 2*fr32.NodeBytes, func(file File) error {
		var b [2 * fr32.NodeBytes]byte
		if err := readFull(file, b[:], 0); err != nil {
			return err
		}
		r = Roots{CommC: merkle.Node(b[:32]), CommRLast: merkle.Node(b[32:])}
		return nil
	})
	return r, err
}

// counter turns the work of single parts into a step's progress.
type counter struct {
	done, total int64
	report      Progress
}

func (c *counter) add(n int64) {
	c.done += n
	if c.report != nil {
		c.report(c.done, c.total)
	}
}
