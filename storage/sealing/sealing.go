package sealing

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/sector"
)

// ErrBusy: as many sectors as allowed are being sealed. Try again later.
var ErrBusy = errors.New("sealing pipeline is full")

// ErrNotUnsealed: nothing readable is left of the sector here.
var ErrNotUnsealed = errors.New("sector cannot be read")

// Piece is data to be sealed for a deal.
type Piece struct {
	CID  cid.Cid
	Size abi.PaddedPieceSize
	Deal DealInfo
}

// DealInfo names a published deal.
type DealInfo struct {
	DealID         abi.DealID
	PublishMessage cid.Cid
	Proposal       market.DealProposal // as published, with ID addresses
	KeepUnsealed   bool
}

// Placement is where a piece lies, in padded bytes.
type Placement struct {
	Sector       abi.SectorNumber
	Offset, Size abi.PaddedPieceSize
}

// Info is a sector for people to look at.
type Info struct {
	sector.Sector
	// Percent is how far the state's work is, 0 to 100; -1 when unknown.
	Percent int
	// Wake is when a waiting sector goes on by itself; zero when it does not.
	Wake time.Time
}

// Sealing is the owner of the pipeline.
type Sealing struct{ deps Deps }

// New checks what it is given; it does no I/O and starts nothing.
func New(d Deps, opt Options) (*Sealing, error) { return &Sealing{d}, d.check() }

var errTodo = errors.New("sealing: under construction")

// Run does the work until the context ends.
func (s *Sealing) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// AddPiece puts a piece of a published deal in a sector; r gives its unpadded bytes, which
// may be fewer than the piece's size: the rest is zeros. It returns when the bytes are on
// disk and checked against the CID. Called again for the same deal it returns the same
// placement, so a caller that was interrupted repeats it.
func (s *Sealing) AddPiece(ctx context.Context, p Piece, r io.Reader) (Placement, error) {
	return Placement{}, errTodo
}

// Pledge starts a sector without deals.
func (s *Sealing) Pledge(ctx context.Context) (abi.SectorNumber, error) { return 0, errTodo }

// Start seals a sector that waits for deals with what it has.
func (s *Sealing) Start(ctx context.Context, n abi.SectorNumber) error { return errTodo }

// Retry lets a failed sector go on at once.
func (s *Sealing) Retry(ctx context.Context, n abi.SectorNumber) error { return errTodo }

// Terminate ends a live sector before its time, which costs a fee.
func (s *Sealing) Terminate(ctx context.Context, n abi.SectorNumber) error { return errTodo }

// Remove deletes a sector that failed.
func (s *Sealing) Remove(ctx context.Context, n abi.SectorNumber) error { return errTodo }

// Sectors lists all sectors by number.
func (s *Sealing) Sectors(ctx context.Context) ([]Info, error) { return nil, errTodo }

// Sector is one sector; sector.ErrNotFound when there is none.
func (s *Sealing) Sector(ctx context.Context, n abi.SectorNumber) (Info, error) {
	return Info{}, errTodo
}

// Log is a sector's history.
func (s *Sealing) Log(ctx context.Context, n abi.SectorNumber) ([]sector.Entry, error) {
	return nil, errTodo
}

// ReadPiece gives the unpadded bytes of a piece of a sector; offset and size are padded and
// size is a power of two that offset is a multiple of. It reads the unsealed copy, or unseals.
func (s *Sealing) ReadPiece(ctx context.Context, n abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error) {
	return nil, errTodo
}

// ImportPreseal takes over the sectors that WritePreseal made. It can be repeated.
func (s *Sealing) ImportPreseal(ctx context.Context, dir string) error { return errTodo }

// Preseal is the file preseal.json of a folder of pre-sealed sectors.
type Preseal struct {
	Miner   abi.ActorID     `json:"miner"`
	Sectors []PresealSector `json:"sectors"`
}

// PresealSector is one pre-sealed sector. Its files lie in sectors/{unsealed,sealed,cache}.
type PresealSector struct {
	Number    abi.SectorNumber        `json:"number"`
	SealProof abi.RegisteredSealProof `json:"seal_proof"`
	Ticket    string                  `json:"ticket"` // hex
	CommD     cid.Cid                 `json:"comm_d"`
	CommR     cid.Cid                 `json:"comm_r"`
}

// WritePreseal seals count sectors without data, numbered from 0, in dir, and returns what
// it wrote in preseal.json. Sectors that are complete in dir are not sealed again. progress,
// when not nil, is told of the share done, 0 to 1.
func WritePreseal(ctx context.Context, dir string, miner abi.ActorID, network types.Network, count int, progress func(done float64)) (*Preseal, error) {
	return nil, errTodo
}

// ReadPreseal reads dir/preseal.json.
func ReadPreseal(dir string) (*Preseal, error) { return nil, errTodo }
