package wallet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/types/sigs"
)

// maxKeyBytes bounds what is read as keys: several of them fit, no attack does.
const maxKeyBytes = 64 << 10

// ErrBadKey: the bytes are not a private key in a known form.
var ErrBadKey = errors.New("not a private key")

// KeyInfo is a private key as files and APIs carry it (spec chain.md a.5). Its JSON form has
// a name or a number as type, and writes a name.
type KeyInfo struct {
	Type       crypto.SigType
	PrivateKey []byte // 32 bytes; BLS: little-endian, secp256k1: big-endian
}

type keyInfoJSON struct {
	Type       json.RawMessage
	PrivateKey []byte
}

// MarshalJSON writes the type as a name.
func (k KeyInfo) MarshalJSON() ([]byte, error) {
	var name string
	switch k.Type {
	case crypto.SigTypeSecp256k1:
		name = `"secp256k1"`
	case crypto.SigTypeBLS:
		name = `"bls"`
	default:
		return nil, fmt.Errorf("%w: %d", sigs.ErrKeyType, k.Type)
	}
	return json.Marshal(keyInfoJSON{json.RawMessage(name), k.PrivateKey})
}

// UnmarshalJSON reads the type as a name or a number.
func (k *KeyInfo) UnmarshalJSON(b []byte) error {
	var j keyInfoJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	switch string(j.Type) {
	case `"secp256k1"`, "1":
		k.Type = crypto.SigTypeSecp256k1
	case `"bls"`, "2":
		k.Type = crypto.SigTypeBLS
	default:
		return fmt.Errorf("%w: %.40q", sigs.ErrKeyType, j.Type)
	}
	k.PrivateKey = j.PrivateKey
	return nil
}

// Address is the key address of the key; an error means that the bytes are no such key.
func (k KeyInfo) Address() (address.Address, error) {
	a, err := sigs.Address(k.Type, k.PrivateKey)
	if err != nil {
		return address.Undef, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	return a, nil
}

// Hex is the export form: the JSON in lower-case hexadecimal, on one line.
func (k KeyInfo) Hex() (string, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// ParseKey reads one key; see ParseKeys.
func ParseKey(b []byte) (KeyInfo, error) {
	keys, err := ParseKeys(b)
	if err != nil {
		return KeyInfo{}, err
	}
	if len(keys) != 1 {
		return KeyInfo{}, fmt.Errorf("%w: %d keys where one is wanted", ErrBadKey, len(keys))
	}
	return keys[0], nil
}

// ParseKeys reads an export: the hexadecimal form, its JSON, or the JSON of 2019 nodes with
// several keys in it. Each key has been checked to be one. Errors wrap ErrBadKey and hold no
// part of the input, which may be a secret.
func ParseKeys(b []byte) ([]KeyInfo, error) {
	if len(b) > maxKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadKey, len(b))
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: nothing there", ErrBadKey)
	}
	if b[0] != '{' {
		raw := make([]byte, hex.DecodedLen(len(b)))
		if _, err := hex.Decode(raw, b); err != nil {
			return nil, fmt.Errorf("%w: neither hexadecimal nor JSON", ErrBadKey)
		}
		b = raw
	}
	keys, err := keysFromJSON(b)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if _, err := k.Address(); err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
	}
	return keys, nil
}

// keysFromJSON reads one KeyInfo, or the object of go-filecoin with an array of them.
func keysFromJSON(b []byte) ([]KeyInfo, error) {
	var bundle struct {
		KeyInfo []struct {
			PrivateKey []byte
			SigType    crypto.SigType
		}
	}
	if err := json.Unmarshal(b, &bundle); err != nil {
		return nil, fmt.Errorf("%w: JSON of another shape", ErrBadKey)
	}
	if len(bundle.KeyInfo) > 0 {
		keys := make([]KeyInfo, len(bundle.KeyInfo))
		for i, k := range bundle.KeyInfo {
			keys[i] = KeyInfo{k.SigType, k.PrivateKey}
		}
		return keys, nil
	}
	var one KeyInfo
	if err := json.Unmarshal(b, &one); err != nil {
		if errors.Is(err, sigs.ErrKeyType) {
			return nil, fmt.Errorf("%w: %w", ErrBadKey, sigs.ErrKeyType)
		}
		return nil, fmt.Errorf("%w: JSON of another shape", ErrBadKey)
	}
	return []KeyInfo{one}, nil
}
