package sigs

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
)

var (
	// ErrInvalid: the signature does not fit the message and the key.
	ErrInvalid = errors.New("signature is invalid")
	// ErrKeyType: the key type is not one that signs here.
	ErrKeyType = errors.New("unknown key type")
)

// Generate makes a new private key.
func Generate(t crypto.SigType) ([]byte, error) {
	switch t {
	case crypto.SigTypeSecp256k1:
		return generateSecp()
	case crypto.SigTypeBLS:
		var seed [48]byte
		if _, err := rand.Read(seed[:]); err != nil {
			return nil, err
		}
		return blsKeyFromSeed(seed[:]), nil
	}
	return nil, fmt.Errorf("%w: %d", ErrKeyType, t)
}

// KeyFromSeed derives a BLS private key from public bytes. Only devnets and tests use it:
// whoever knows the seed has the key.
func KeyFromSeed(seed []byte) []byte { return blsKeyFromSeed(expandSeed(seed)) }

// Address is the key address of a private key.
func Address(t crypto.SigType, private []byte) (address.Address, error) {
	switch t {
	case crypto.SigTypeSecp256k1:
		pub, err := secpPublic(private)
		if err != nil {
			return address.Undef, err
		}
		return address.NewSecp256k1Address(pub)
	case crypto.SigTypeBLS:
		pub, err := blsPublic(private)
		if err != nil {
			return address.Undef, err
		}
		return address.NewBLSAddress(pub)
	}
	return address.Undef, fmt.Errorf("%w: %d", ErrKeyType, t)
}

// Sign signs the message bytes as they are; what they must be for a message, a block or a
// deal is stated in spec chain.md a.4.
func Sign(t crypto.SigType, private, msg []byte) (*crypto.Signature, error) {
	var data []byte
	var err error
	switch t {
	case crypto.SigTypeSecp256k1:
		data, err = signSecp(private, msg)
	case crypto.SigTypeBLS:
		data, err = signBLS(private, msg)
	default:
		err = fmt.Errorf("%w: %d", ErrKeyType, t)
	}
	if err != nil {
		return nil, err
	}
	return &crypto.Signature{Type: t, Data: data}, nil
}

// Verify checks a signature by a key address. It returns an error that wraps ErrInvalid
// when the signature is bad in any way.
func Verify(sig *crypto.Signature, signer address.Address, msg []byte) error {
	if sig == nil {
		return fmt.Errorf("%w: it is missing", ErrInvalid)
	}
	switch {
	case sig.Type == crypto.SigTypeSecp256k1 && signer.Protocol() == address.SECP256K1:
		return verifySecp(sig.Data, signer, msg)
	case sig.Type == crypto.SigTypeBLS && signer.Protocol() == address.BLS:
		return VerifyAggregate(sig.Data, [][]byte{signer.Payload()}, [][]byte{msg})
	}
	return fmt.Errorf("%w: type %d does not fit signer %s", ErrInvalid, sig.Type, signer)
}
