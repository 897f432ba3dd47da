package types

import (
	"encoding/base64"
	"fmt"
)

// Keys are what a network takes proofs by. They are part of what the network is: a node that
// knew others would see another chain.
type Keys struct {
	// InsecureSeed is the public seed that the keys were derived from. Where there is one,
	// anybody can make a proof of anything, and providers can make their proving keys. It is
	// empty when the keys come from a ceremony.
	InsecureSeed string `toml:"insecure_seed,omitempty"`
	// Verifying are the verifying keys by the name of their circuit.
	Verifying map[string]KeyBytes `toml:"verifying,omitempty"`
}

// NewKeys takes verifying keys by circuit, and the public seed they have, or "".
func NewKeys(seed string, verifying map[string][]byte) Keys {
	k := Keys{InsecureSeed: seed, Verifying: make(map[string]KeyBytes, len(verifying))}
	for name, b := range verifying {
		k.Verifying[name] = b
	}
	return k
}

// Bytes are the verifying keys by circuit.
func (k Keys) Bytes() map[string][]byte {
	out := make(map[string][]byte, len(k.Verifying))
	for name, b := range k.Verifying {
		out[name] = b
	}
	return out
}

// KeyBytes is an encoded verifying key; base64 in text.
type KeyBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (k KeyBytes) MarshalText() ([]byte, error) { return base64.StdEncoding.AppendEncode(nil, k), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *KeyBytes) UnmarshalText(b []byte) (err error) {
	*k, err = base64.StdEncoding.AppendDecode(nil, b)
	return err
}

// Bounds on the keys of a network file. The largest circuit of the protocol has 25,840 public
// inputs, of 96 bytes each.
const (
	maxKeys      = 64
	maxKeyName   = 128
	maxKeyBytes  = 4 << 20
	maxSeedBytes = 256
)

// check looks at sizes alone; what the bytes are is for the proof system to say.
func (k Keys) check() error {
	if len(k.Verifying) > maxKeys {
		return fmt.Errorf("%d verifying keys, at most %d", len(k.Verifying), maxKeys)
	}
	if len(k.InsecureSeed) > maxSeedBytes {
		return fmt.Errorf("insecure_seed of %d bytes, at most %d", len(k.InsecureSeed), maxSeedBytes)
	}
	for name, b := range k.Verifying {
		if name == "" || len(name) > maxKeyName {
			return fmt.Errorf("verifying key %.80q: its name has not 1 to %d bytes", name, maxKeyName)
		}
		if len(b) == 0 || len(b) > maxKeyBytes {
			return fmt.Errorf("verifying key %s has %d bytes, not 1 to %d", name, len(b), maxKeyBytes)
		}
	}
	return nil
}
