package api

import (
	"context"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Client is the side of those who store and fetch data. Paths are on the node's machine.
type Client interface {
	// DataImport turns a file into a DAG and the pieces that its deals will carry. Importing
	// the same bytes again gives the same root.
	//
	//perm:admin
	DataImport(ctx context.Context, path string) (*DataRoot, error)
	// DataList lists what was imported, newest first.
	//
	//perm:read
	DataList(ctx context.Context) ([]*DataRoot, error)
	// DealMake proposes a deal for each piece of what was imported and returns them all. A
	// deal that exists for the same piece, provider and term is returned rather than made
	// again.
	//
	//perm:sign
	DealMake(ctx context.Context, order *DealOrder) ([]*ClientDeal, error)
	// DealList lists the deals made, newest first.
	//
	//perm:read
	DealList(ctx context.Context) ([]*ClientDeal, error)
	// DealGet is a deal as this node knows it.
	//
	//perm:read
	DealGet(ctx context.Context, id uuid.UUID) (*ClientDeal, error)
	// DealCheck asks the provider and the chain how a deal stands.
	//
	//perm:read
	DealCheck(ctx context.Context, id uuid.UUID) (*DealCheck, error)
	// DealAsk asks a provider for its terms.
	//
	//perm:read
	DealAsk(ctx context.Context, provider address.Address) (*Ask, error)
	// Retrieve fetches a DAG from a provider, verifies every block, and writes the file. The
	// last event has Done set, or Err; the channel is closed after it.
	//
	//perm:admin
	Retrieve(ctx context.Context, order *RetrieveOrder) (<-chan *RetrieveEvent, error)
	// MarketAddBalance moves money from a wallet to an address's escrow; it returns the
	// message.
	//
	//perm:sign
	MarketAddBalance(ctx context.Context, wallet, addr address.Address, amount abi.TokenAmount) (cid.Cid, error)
	// MarketWithdraw moves what is not locked back.
	//
	//perm:sign
	MarketWithdraw(ctx context.Context, wallet, addr address.Address, amount abi.TokenAmount) (cid.Cid, error)
}

// DataRoot is something imported.
type DataRoot struct {
	Root    cid.Cid
	Name    string
	Size    uint64 // bytes of the file
	Created time.Time
	Pieces  []DataPiece
}

// DataPiece is what one deal carries.
type DataPiece struct {
	PieceCID  cid.Cid
	PieceSize abi.PaddedPieceSize
	CARSize   uint64 // bytes transferred
}

// DealOrder asks for deals. Zero values mean what is said beside each.
type DealOrder struct {
	Root     cid.Cid
	Provider address.Address
	Wallet   address.Address // the default address
	// Addrs is where the provider is reached; empty is what the chain says.
	Addrs []peer.AddrInfo
	// Price is the most to pay in attoFIL per GiB and epoch; nil is what the provider asks.
	Price      *abi.TokenAmount
	Duration   abi.ChainEpoch // the shortest that the chain takes
	StartEpoch abi.ChainEpoch // as soon as sealing allows
	Collateral *abi.TokenAmount
	Verified   bool
	// RemoveUnsealed lets the provider drop the unsealed copy; retrieval is then slow.
	RemoveUnsealed bool
	SkipAnnounce   bool
}

// ClientDeal is a deal as the client sees it.
type ClientDeal struct {
	ID          uuid.UUID
	Created     time.Time
	Root        cid.Cid
	Piece       int // index among the pieces of Root
	Pieces      int
	Proposal    DealProposal
	State       string // of the client's machine
	Checkpoint  string // of the provider, when last heard
	Waiting     string // what the deal waits for, for people
	Err         string
	Sent        uint64 // bytes of Size
	Size        uint64
	PublishCid  *cid.Cid
	ChainDealID abi.DealID // known once PublishCid is; 0 is a real id
	Active      bool       // the sector that holds it is proven on chain
	Done        bool       // active or failed: nothing more will change by itself
}

// DealCheck is how a deal stands now.
type DealCheck struct {
	Deal *ClientDeal
	// Provider is what the provider answers; ProviderErr why it did not.
	Provider    *ProviderStatus
	ProviderErr string
	// Chain is nil until the deal is published.
	Chain *MarketDeal
}

// ProviderStatus is a provider's word on a deal.
type ProviderStatus struct {
	Checkpoint    string
	Err           string
	SealingStatus string
	PublishCid    *cid.Cid
	ChainDealID   abi.DealID
	Received      uint64
	Size          uint64
}

// RetrieveOrder asks for data. One of Provider and URLs must be set, unless the node knows a
// provider from its own deals.
type RetrieveOrder struct {
	Root     cid.Cid
	Path     string // inside the DAG
	Output   string // file to write; it must not exist
	Provider address.Address
	URLs     []string // gateways, tried in order
	// Bitswap asks connected peers and those found in the network's DHT, whoever they are,
	// instead of providers. Patience is how long to wait for a block that nobody sends; 0 is
	// a minute.
	Bitswap  bool
	Patience time.Duration
}

// RetrieveEvent is progress.
type RetrieveEvent struct {
	Bytes  uint64 // verified so far
	Total  uint64 // 0 when unknown
	Blocks uint64
	Source string // where the data comes from
	Done   bool
	Err    string
}
