package types

import (
	"encoding/json"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
)

// The JSON forms of messages carry the CID of the form on chain besides the fields, for
// readers that have no CBOR; it is ignored on input (spec api.md A.5).

type jsonMessage Message

type jsonMessageOut struct {
	*jsonMessage
	CID cid.Cid
}

// MarshalJSON implements json.Marshaler.
func (m Message) MarshalJSON() ([]byte, error) {
	c, err := CborCid(&m)
	if err != nil {
		c = cid.Undef // a message without its amounts has none
	}
	return json.Marshal(jsonMessageOut{(*jsonMessage)(&m), c})
}

// UnmarshalJSON implements json.Unmarshaler. Amounts that are left out are zero.
func (m *Message) UnmarshalJSON(b []byte) error {
	var j jsonMessage
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	fillZero(&j.Value, &j.GasFeeCap, &j.GasPremium)
	*m = Message(j)
	return nil
}

type jsonSignedMessage SignedMessage

type jsonSignedMessageOut struct {
	*jsonSignedMessage
	CID cid.Cid
}

// MarshalJSON implements json.Marshaler.
func (m SignedMessage) MarshalJSON() ([]byte, error) {
	c := cid.Undef
	if b, err := m.ToStorageBlock(); err == nil {
		c = b.Cid()
	}
	return json.Marshal(jsonSignedMessageOut{(*jsonSignedMessage)(&m), c})
}

// UnmarshalJSON implements json.Unmarshaler. Amounts that are left out are zero.
func (m *SignedMessage) UnmarshalJSON(b []byte) error {
	var j jsonSignedMessage
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	fillZero(&j.Message.Value, &j.Message.GasFeeCap, &j.Message.GasPremium)
	*m = SignedMessage(j)
	return nil
}

type jsonHeader BlockHeader

// UnmarshalJSON implements json.Unmarshaler. Amounts that are left out are zero; a header
// that cannot be encoded, and so has no CID, is refused.
func (h *BlockHeader) UnmarshalJSON(b []byte) error {
	var j jsonHeader
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	fillZero(&j.ParentWeight, &j.ParentBaseFee)
	*h = BlockHeader(j)
	_, err := h.Serialize()
	return err
}

// fillZero keeps nil numbers out: what comes from users may lack any field.
func fillZero(amounts ...*abi.TokenAmount) {
	for _, a := range amounts {
		if a.Int == nil {
			*a = big.Zero()
		}
	}
}
