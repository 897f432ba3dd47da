package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// KeyType is a kind of key.
type KeyType string

// The kinds of keys.
const (
	KeyBLS       KeyType = "bls"
	KeySecp256k1 KeyType = "secp256k1"
)

// UnmarshalJSON takes the name or the old number.
func (k *KeyType) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"secp256k1"`, "1":
		*k = KeySecp256k1
	case `"bls"`, "2":
		*k = KeyBLS
	default:
		return fmt.Errorf("key type %.20s is not \"bls\" or \"secp256k1\"", b)
	}
	return nil
}

// KeyInfo is a secret key. BLS scalars are little-endian.
type KeyInfo struct {
	Type       KeyType
	PrivateKey []byte
}

// Hex is the usual text form: the JSON in hex.
func (k KeyInfo) Hex() (string, error) {
	b, err := json.Marshal(k)
	return hex.EncodeToString(b), err
}

// ParseKeyInfo reads the hex form or the plain JSON.
func ParseKeyInfo(text string) (*KeyInfo, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("key: nothing there")
	}
	raw := []byte(text)
	if !strings.HasPrefix(text, "{") {
		var err error
		if raw, err = hex.DecodeString(text); err != nil {
			return nil, errors.New("key: neither JSON nor hex") // and nothing of the text, which may be a secret
		}
	}
	var k KeyInfo
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if k.Type == "" || len(k.PrivateKey) != 32 {
		return nil, fmt.Errorf("key: type %q with %d bytes is not a key of this network", k.Type, len(k.PrivateKey))
	}
	return &k, nil
}
