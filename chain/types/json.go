package types

import (
	"encoding/json"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
)

// In JSON, which comes from users, any field may be missing. An amount then counts as zero,
// so that nothing later meets a nil number. Output carries the CID as well, as far as the
// object can be encoded; input with it is read and the CID ignored.

type messageFields Message

type signedMessageJSON struct {
	Message   Message
	Signature crypto.Signature
	CID       *cid.Cid `json:",omitempty"`
}

// MarshalJSON writes the fields, and the CID of the unsigned form.
func (m Message) MarshalJSON() ([]byte, error) {
	out := struct {
		messageFields
		CID *cid.Cid `json:",omitempty"`
	}{messageFields: messageFields(m)}
	if c, err := CborCid(&m); err == nil {
		out.CID = &c
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the fields; a missing amount is zero.
func (m *Message) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, (*messageFields)(m)); err != nil {
		return err
	}
	fillZero(&m.Value, &m.GasFeeCap, &m.GasPremium)
	return nil
}

// MarshalJSON writes the message, the signature, and the CID on chain.
func (m SignedMessage) MarshalJSON() ([]byte, error) {
	out := signedMessageJSON{Message: m.Message, Signature: m.Signature}
	var c cid.Cid
	var err error
	if m.Signature.Type == crypto.SigTypeBLS {
		c, err = CborCid(&m.Message)
	} else {
		c, err = CborCid(&m)
	}
	if err == nil {
		out.CID = &c
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the message and the signature; a missing amount is zero.
func (m *SignedMessage) UnmarshalJSON(b []byte) error {
	var j signedMessageJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	fillZero(&j.Message.Value, &j.Message.GasFeeCap, &j.Message.GasPremium)
	m.Message, m.Signature = j.Message, j.Signature
	return nil
}

type headerFields BlockHeader

// UnmarshalJSON reads the fields; a missing amount is zero. What cannot be encoded, and so
// has no CID, is refused.
func (h *BlockHeader) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, (*headerFields)(h)); err != nil {
		return err
	}
	fillZero(&h.ParentWeight, &h.ParentBaseFee)
	_, err := h.Serialize()
	return err
}

func fillZero(amounts ...*abi.TokenAmount) {
	for _, a := range amounts {
		if a.Int == nil {
			*a = big.Zero()
		}
	}
}
