package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// DealLabel is the free text of a deal: text, or bytes that need not be text. In JSON text
// is a string and bytes are {"/":{"bytes":"<base64>"}} (spec markets.md A.2).
type DealLabel struct {
	Text  string
	Bytes []byte // non-nil: a label of bytes, Text is empty
}

type jsonBytes struct {
	Slash struct {
		Bytes string `json:"bytes"`
	} `json:"/"`
}

// MarshalJSON implements json.Marshaler.
func (l DealLabel) MarshalJSON() ([]byte, error) {
	if l.Bytes == nil {
		return json.Marshal(l.Text)
	}
	var j jsonBytes
	j.Slash.Bytes = base64.RawStdEncoding.EncodeToString(l.Bytes)
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *DealLabel) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*l = DealLabel{Text: text}
		return nil
	}
	var j jsonBytes
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("deal label: %w", err)
	}
	raw, err := base64.RawStdEncoding.DecodeString(j.Slash.Bytes)
	if err != nil {
		return fmt.Errorf("deal label: %w", err)
	}
	if raw == nil {
		raw = []byte{}
	}
	*l = DealLabel{Bytes: raw}
	return nil
}

// String shows the label to people.
func (l DealLabel) String() string {
	if l.Bytes != nil {
		return fmt.Sprintf("0x%x", l.Bytes)
	}
	return l.Text
}
