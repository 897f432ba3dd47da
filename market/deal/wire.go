package deal

import (
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
)

//go:generate go run ./gen

// The protocols of storage deals (spec markets.md A.1). On each the opener writes one CBOR
// map and reads one.
const (
	ProtocolDeal121 protocol.ID = "/fil/storage/mk/1.2.1"
	ProtocolDeal120 protocol.ID = "/fil/storage/mk/1.2.0"
	ProtocolStatus  protocol.ID = "/fil/storage/status/1.2.0"
	ProtocolAsk     protocol.ID = "/fil/storage/ask/1.1.0"
)

// Params proposes a deal (DealParams of spec markets.md A.3).
type Params struct {
	DealUUID           []byte // 16 bytes, chosen by the client
	Transfer           Transfer
	IsOffline          bool
	DealDataRoot       cid.Cid // root of the payload, for the index only
	SkipIPNIAnnounce   bool
	ClientDealProposal market.ClientDealProposal
	RemoveUnsealedCopy bool
}

// Transfer tells how the provider gets the data.
type Transfer struct {
	Size     uint64 // bytes that will be transferred, before padding
	Type     string // "http", "libp2p"; empty when offline
	Params   []byte // JSON of TransferParams
	ClientID string
}

// TransferParams is the JSON inside Transfer.Params; the names are upstream's.
type TransferParams struct {
	URL     string
	Headers map[string]string
}

// Response answers Params. Message says why when it is not accepted.
type Response struct {
	Message  string
	Accepted bool
}

// StatusRequest asks for a deal's status; the signature is by the deal's client key over the
// 16 bytes of the UUID.
type StatusRequest struct {
	DealUUID  []byte
	Signature crypto.Signature
}

// StatusResponse answers StatusRequest. With Error set, the rest but DealUUID is empty.
type StatusResponse struct {
	Error          string
	DealUUID       []byte
	IsOffline      bool
	DealStatus     *Status
	TransferSize   uint64
	NBytesReceived uint64
}

// Status is how far a deal has come.
type Status struct {
	Error             string
	Status            string // a Checkpoint
	Proposal          market.DealProposal
	PublishCid        *cid.Cid
	ChainDealID       abi.DealID // 0 until known
	SealingStatus     string
	SignedProposalCid cid.Cid
}

// AskRequest asks for a miner's terms.
type AskRequest struct {
	Miner address.Address
}

// AskResponse carries the terms; nil when the miner is not the one asked.
type AskResponse struct {
	Ask *SignedAsk
}

// SignedAsk is an ask signed by the miner's worker over the CBOR of the ask.
type SignedAsk struct {
	Ask       *Ask
	Signature *crypto.Signature
}

// Ask is what a provider charges and takes. Prices are attoFIL per GiB and epoch, sizes are
// padded piece sizes.
type Ask struct {
	Price         abi.TokenAmount
	VerifiedPrice abi.TokenAmount
	MinPieceSize  abi.PaddedPieceSize
	MaxPieceSize  abi.PaddedPieceSize
	Miner         address.Address
	Timestamp     abi.ChainEpoch
	Expiry        abi.ChainEpoch
	SeqNo         uint64
}

// Checkpoint names how far a deal has come on the provider's side (spec markets.md A.6).
// A deal that failed is Complete, with an error.
type Checkpoint string

// The checkpoints, in order.
const (
	Accepted         Checkpoint = "Accepted"
	Transferred      Checkpoint = "Transferred"
	Published        Checkpoint = "Published"
	PublishConfirmed Checkpoint = "PublishConfirmed"
	AddedPiece       Checkpoint = "AddedPiece"
	Indexed          Checkpoint = "IndexedAndAnnounced"
	Complete         Checkpoint = "Complete"
)
