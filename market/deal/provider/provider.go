package provider

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/pieces"
)

// Config is what an operator sets. The zero value of each field is a sensible default but
// for Miner and Staging, which are needed.
type Config struct {
	Miner   address.Address
	Sender  address.Address // publishes and pays collateral; undefined: the miner's worker
	Staging string          // folder of incoming data

	StagingBytes   uint64        // room for incoming data; 0: no limit
	PublishWait    time.Duration // how long a publish waits for more deals; 0: not at all
	PublishMax     int           // deals in one publish message; 0: 8
	Confidence     abi.ChainEpoch
	SealDuration   abi.ChainEpoch // a deal must start at least so long after the head
	MaxStartDelay  abi.ChainEpoch // and at most so long after that; 0: 14 days
	StartBuffer    abi.ChainEpoch // publish at the latest so long before the start
	Transfers      int            // at a time; 0: 20
	TransferTries  int            // 0: 15
	PublicOnly     bool           // refuse to fetch from private addresses
	Retry          time.Duration  // first wait before a step is tried again; 0: 5 s
	Poll           time.Duration  // how often sealing is asked how far it is; 0: 2 s
	RefuseOnline   bool
	RefuseOffline  bool
	RefuseVerified bool
	RefuseOthers   bool // deals that are not verified
	Blocked        []cid.Cid
}

// Piece is what sealing gets.
type Piece struct {
	CID            cid.Cid
	Size           abi.PaddedPieceSize
	DealID         abi.DealID
	PublishMessage cid.Cid
	Proposal       market.DealProposal
	KeepUnsealed   bool
}

// Placement is where a piece lies: offset and size are of padded bytes.
type Placement struct {
	Sector abi.SectorNumber
	Offset abi.PaddedPieceSize
	Size   abi.PaddedPieceSize
}

// SectorStatus is how far a sector is. Failed: it will never hold the deal.
type SectorStatus struct {
	State  string
	Failed bool
	Error  string
}

// Sealer puts pieces into sectors (storage/sealing).
type Sealer interface {
	// AddPiece is idempotent by deal id: a deal added before answers with its place and
	// reads nothing. r has the piece's unpadded bytes, all of them.
	AddPiece(ctx context.Context, p Piece, r io.Reader) (Placement, error)
	SectorStatus(ctx context.Context, n abi.SectorNumber) (SectorStatus, error)
}

// Provider takes deals for one miner.
type Provider struct {
	cfg    Config
	db     *sql.DB
	host   host.Host
	chain  deal.Chain
	outbox deal.Outbox
	keys   deal.Signer
	seal   Sealer
	index  *pieces.Index
	clk    clock.Clock
	log    *slog.Logger
}

// Deal is a deal as the provider's operator sees it.
type Deal struct {
	UUID uuid.UUID
}

// New builds a provider. It does nothing until Run.
func New(cfg Config, db *sql.DB, h host.Host, chain deal.Chain, outbox deal.Outbox, keys deal.Signer, seal Sealer, index *pieces.Index, clk clock.Clock, log *slog.Logger) (*Provider, error) {
	return &Provider{cfg, db, h, chain, outbox, keys, seal, index, clk, log}, nil
}
