package types

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/minio/blake2b-simd"
)

// Ticket chains randomness from block to block (spec chain.md e.4).
type Ticket struct {
	VRFProof []byte
}

// Hash is blake2b-256 of the proof: it orders the blocks of a tipset.
func (t *Ticket) Hash() [32]byte { return blake2b.Sum256(t.VRFProof) }

// ElectionProof shows how often a miner won at an epoch (spec chain.md e.4, e.5).
type ElectionProof struct {
	WinCount int64
	VRFProof []byte
}

// BeaconEntry is one round of the randomness beacon. Data is the beacon's signature.
type BeaconEntry struct {
	Round uint64
	Data  []byte
}

// BlockHeader is a block without its messages (spec chain.md b.2).
type BlockHeader struct {
	Miner                 address.Address // an ID address
	Ticket                *Ticket
	ElectionProof         *ElectionProof
	BeaconEntries         []BeaconEntry
	WinPoStProof          []proof.PoStProof
	Parents               []cid.Cid // in the parent tipset's canonical order
	ParentWeight          abi.TokenAmount
	Height                abi.ChainEpoch
	ParentStateRoot       cid.Cid // state after executing the parent tipset
	ParentMessageReceipts cid.Cid
	Messages              cid.Cid // of a MsgMeta
	BLSAggregate          *crypto.Signature
	Timestamp             uint64 // unix seconds
	BlockSig              *crypto.Signature
	ForkSignaling         uint64
	ParentBaseFee         abi.TokenAmount // attoFIL per gas unit, for this block's messages
}

// DecodeBlockHeader decodes a header; bytes after it are refused.
func DecodeBlockHeader(b []byte) (*BlockHeader, error) {
	var h BlockHeader
	if err := decodeAll(b, &h); err != nil {
		return nil, fmt.Errorf("decode block header: %w", err)
	}
	return &h, nil
}

// Serialize returns the CBOR form.
func (h *BlockHeader) Serialize() ([]byte, error) { return encode(h) }

// ToStorageBlock is the encoded form with its CID.
func (h *BlockHeader) ToStorageBlock() (blocks.Block, error) { return storageBlock(h) }

// Cid identifies the block.
func (h *BlockHeader) Cid() cid.Cid { return mustCid(h) }

// SigningBytes is what the miner's worker signs: the header without its signature.
func (h *BlockHeader) SigningBytes() ([]byte, error) {
	bare := *h
	bare.BlockSig = nil
	return bare.Serialize()
}

// LastBeacon is the last beacon entry of the block, or nil when it has none.
func (h *BlockHeader) LastBeacon() *BeaconEntry {
	if n := len(h.BeaconEntries); n > 0 {
		return &h.BeaconEntries[n-1]
	}
	return nil
}

// MsgMeta names the two message lists of a block, arrays of CIDs in the oldest array format
// (spec chain.md b.3).
type MsgMeta struct {
	BlsMessages   cid.Cid
	SecpkMessages cid.Cid
}

// Cid is what a header's Messages field holds.
func (m *MsgMeta) Cid() cid.Cid { return mustCid(m) }

// ToStorageBlock is the encoded form with its CID.
func (m *MsgMeta) ToStorageBlock() (blocks.Block, error) { return storageBlock(m) }

// BlockMsg is a block as gossip carries it: the header and the CIDs of its messages.
type BlockMsg struct {
	Header        *BlockHeader
	BlsMessages   []cid.Cid
	SecpkMessages []cid.Cid
}

// DecodeBlockMsg decodes a block announcement. Trailing bytes and a missing header are
// refused (spec chain.md f.4).
func DecodeBlockMsg(b []byte) (*BlockMsg, error) {
	var m BlockMsg
	if err := decodeAll(b, &m); err != nil {
		return nil, fmt.Errorf("decode block message: %w", err)
	}
	if m.Header == nil {
		return nil, errors.New("decode block message: no header")
	}
	return &m, nil
}

// Serialize returns the CBOR form.
func (m *BlockMsg) Serialize() ([]byte, error) { return encode(m) }

// Cid is the CID of the header.
func (m *BlockMsg) Cid() cid.Cid { return m.Header.Cid() }

// FullBlock is a block with its messages.
type FullBlock struct {
	Header        *BlockHeader
	BlsMessages   []*Message
	SecpkMessages []*SignedMessage
}

// Cid is the CID of the header.
func (b *FullBlock) Cid() cid.Cid { return b.Header.Cid() }

// BlockMessages are the messages of one block in execution form.
type BlockMessages struct {
	Miner         address.Address
	WinCount      int64
	BlsMessages   []ChainMsg
	SecpkMessages []ChainMsg
}

// lessBlock orders the blocks of a tipset: ascending ticket hash, then CID (spec c.1).
func lessBlock(a, b *BlockHeader) bool {
	if !bytes.Equal(a.Ticket.VRFProof, b.Ticket.VRFProof) {
		x, y := a.Ticket.Hash(), b.Ticket.Hash()
		return bytes.Compare(x[:], y[:]) < 0
	}
	return bytes.Compare(a.Cid().Bytes(), b.Cid().Bytes()) < 0
}
