package types

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/network"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

const (
	// BlockGasLimit is the largest sum of gas limits in one block, and the largest limit of
	// one message (spec chain.md c.4), in gas units.
	BlockGasLimit int64 = 10_000_000_000
	// BlockGasTarget is the gas a block should use; the base fee steers towards it (c.5).
	BlockGasTarget int64 = BlockGasLimit / 2
	// MaxBlockMessages is the largest number of messages in one block (c.4).
	MaxBlockMessages = 10_000
	// MaxMessageBytes is the largest encoding of a signed message that a pool takes (g.1).
	MaxMessageBytes = 64 << 10
)

// FilecoinPrecision is the number of attoFIL in one FIL.
var FilecoinPrecision = big.NewInt(1_000_000_000_000_000_000)

// TotalFilecoin is the number of attoFIL that exist: 2·10^9 FIL.
var TotalFilecoin = big.Mul(big.NewInt(2_000_000_000), FilecoinPrecision)

// MinimumBaseFee is the floor of the base fee, in attoFIL per gas unit (c.5).
var MinimumBaseFee = big.NewInt(100)

// InitialBaseFee is the base fee of the genesis block, in attoFIL per gas unit (c.5).
var InitialBaseFee = big.NewInt(100_000_000)

// zeroBLSAddress is the BLS address of the identity point, never a valid recipient (a.1).
var zeroBLSAddress = func() address.Address {
	key := make([]byte, address.BlsPublicKeyBytes)
	key[0] = 0xc0
	a, err := address.NewBLSAddress(key)
	if err != nil {
		panic(err) // the length is right by construction
	}
	return a
}()

// Message asks an actor to run a method, paid by the sender (spec chain.md b.1).
type Message struct {
	Version    uint64
	To         address.Address
	From       address.Address
	Nonce      uint64
	Value      abi.TokenAmount // attoFIL
	GasLimit   int64           // gas units
	GasFeeCap  abi.TokenAmount // attoFIL per gas unit
	GasPremium abi.TokenAmount // attoFIL per gas unit
	Method     abi.MethodNum
	Params     []byte
}

// ChainMsg is a message in the form in which a block lists it: *Message when the sender
// signs with BLS (the block carries one aggregate), *SignedMessage otherwise.
type ChainMsg interface {
	// Cid is the identity of the form on chain.
	Cid() cid.Cid
	// VMMessage is the unsigned message inside.
	VMMessage() *Message
	// ChainLength is the number of bytes that gas is charged for (spec chain.md a.4).
	ChainLength() int
	// ToStorageBlock is the encoded form with its CID.
	ToStorageBlock() (blocks.Block, error)
}

var (
	_ ChainMsg = (*Message)(nil)
	_ ChainMsg = (*SignedMessage)(nil)
)

// ErrMessageVersion: the message has a version other than 0.
var ErrMessageVersion = errors.New("message version is not 0")

// DecodeMessage decodes an unsigned message; bytes after it are refused.
func DecodeMessage(b []byte) (*Message, error) {
	var m Message
	if err := decodeAll(b, &m); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	if m.Version != 0 {
		return nil, ErrMessageVersion
	}
	return &m, nil
}

// Serialize returns the CBOR form.
func (m *Message) Serialize() ([]byte, error) { return encode(m) }

// ToStorageBlock implements ChainMsg.
func (m *Message) ToStorageBlock() (blocks.Block, error) { return storageBlock(m) }

// Cid is the CID of the unsigned form: what a sender signs, and what a tipset uses to tell
// messages apart (spec chain.md a.4).
func (m *Message) Cid() cid.Cid { return mustCid(m) }

// VMMessage implements ChainMsg.
func (m *Message) VMMessage() *Message { return m }

// ChainLength implements ChainMsg.
func (m *Message) ChainLength() int { return mustLen(m) }

// RequiredFunds is the most that the sender can be charged for gas, in attoFIL.
func (m *Message) RequiredFunds() abi.TokenAmount {
	if m.GasFeeCap.Int == nil {
		return big.Zero()
	}
	return big.Mul(m.GasFeeCap, big.NewInt(m.GasLimit))
}

// EqualCall tells whether both messages make the same call, whatever their gas fields.
func (m *Message) EqualCall(o *Message) bool {
	a, b := *m, *o
	for _, x := range []*Message{&a, &b} {
		x.GasLimit, x.GasFeeCap, x.GasPremium = 0, big.Zero(), big.Zero()
	}
	return a.Cid() == b.Cid()
}

// CheckSyntax applies the rules for inclusion in a block that need no state (spec chain.md
// b.1). minGas is the on-chain charge for the message, in gas units.
func (m *Message) CheckSyntax(minGas int64, nv network.Version) error {
	switch {
	case m.Version != 0:
		return ErrMessageVersion
	case m.To == address.Undef:
		return errors.New("recipient is empty")
	case m.To == zeroBLSAddress && nv >= network.Version7:
		return errors.New("recipient is the zero BLS address")
	case !addressAllowed(m.To, nv):
		return fmt.Errorf("recipient %s has a protocol not valid at network version %d", m.To, nv)
	case m.From == address.Undef:
		return errors.New("sender is empty")
	case !addressAllowed(m.From, nv):
		return fmt.Errorf("sender %s has a protocol not valid at network version %d", m.From, nv)
	case m.Value.Int == nil || m.Value.Sign() < 0:
		return errors.New("value is negative or missing")
	case m.Value.GreaterThan(TotalFilecoin):
		return errors.New("value is more than all that exists")
	case m.GasFeeCap.Int == nil || m.GasFeeCap.Sign() < 0:
		return errors.New("gas fee cap is negative or missing")
	case m.GasPremium.Int == nil || m.GasPremium.Sign() < 0:
		return errors.New("gas premium is negative or missing")
	case m.GasPremium.GreaterThan(m.GasFeeCap):
		return fmt.Errorf("gas premium %s is above the fee cap %s", m.GasPremium, m.GasFeeCap)
	case m.GasLimit <= 0:
		return fmt.Errorf("gas limit %d is not positive", m.GasLimit)
	case m.GasLimit > BlockGasLimit:
		return fmt.Errorf("gas limit %d is above a block's %d", m.GasLimit, BlockGasLimit)
	case m.GasLimit < minGas:
		return fmt.Errorf("gas limit %d is below the %d that carrying the message costs", m.GasLimit, minGas)
	}
	return nil
}

func addressAllowed(a address.Address, nv network.Version) bool {
	switch a.Protocol() {
	case address.ID, address.SECP256K1, address.Actor, address.BLS:
		return true
	case address.Delegated:
		return nv >= network.Version18
	}
	return false
}

// SignedMessage is a message with its sender's signature over the unsigned CID's bytes.
type SignedMessage struct {
	Message   Message
	Signature crypto.Signature
}

// DecodeSignedMessage decodes a signed message; bytes after it are refused.
func DecodeSignedMessage(b []byte) (*SignedMessage, error) {
	var m SignedMessage
	if err := decodeAll(b, &m); err != nil {
		return nil, fmt.Errorf("decode signed message: %w", err)
	}
	if m.Message.Version != 0 {
		return nil, ErrMessageVersion
	}
	return &m, nil
}

// Serialize returns the CBOR form.
func (m *SignedMessage) Serialize() ([]byte, error) { return encode(m) }

// ToStorageBlock implements ChainMsg: a BLS message is kept unsigned (spec chain.md a.4).
func (m *SignedMessage) ToStorageBlock() (blocks.Block, error) {
	if m.Signature.Type == crypto.SigTypeBLS {
		return m.Message.ToStorageBlock()
	}
	return storageBlock(m)
}

// Cid is the identity on chain: of the unsigned form for BLS, of the whole otherwise.
func (m *SignedMessage) Cid() cid.Cid {
	if m.Signature.Type == crypto.SigTypeBLS {
		return m.Message.Cid()
	}
	return mustCid(m)
}

// VMMessage implements ChainMsg.
func (m *SignedMessage) VMMessage() *Message { return &m.Message }

// ChainLength implements ChainMsg.
func (m *SignedMessage) ChainLength() int {
	if m.Signature.Type == crypto.SigTypeBLS {
		return m.Message.ChainLength()
	}
	return mustLen(m)
}

// Size is the length of the signed form in bytes, as gossip carries it.
func (m *SignedMessage) Size() int { return mustLen(m) }

// MessageReceipt is what a message left behind (three fields up to network version 17,
// spec chain.md b.5).
type MessageReceipt struct {
	ExitCode int64 // an exitcode.ExitCode
	Return   []byte
	GasUsed  int64
}

// Equals compares all fields.
func (r *MessageReceipt) Equals(o *MessageReceipt) bool {
	return r.ExitCode == o.ExitCode && r.GasUsed == o.GasUsed && bytes.Equal(r.Return, o.Return)
}
