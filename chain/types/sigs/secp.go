package sigs

import (
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/filecoin-project/go-address"
	"github.com/minio/blake2b-simd"
)

const secpSignatureBytes = 65

func generateSecp() ([]byte, error) {
	k, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	return k.Serialize(), nil
}

func secpKey(private []byte) (*secp256k1.PrivateKey, error) {
	var s secp256k1.ModNScalar
	if len(private) != 32 || s.SetByteSlice(private) || s.IsZero() {
		return nil, errors.New("secp256k1 private key is not a 32-byte scalar of the group")
	}
	return secp256k1.NewPrivateKey(&s), nil
}

func secpPublic(private []byte) ([]byte, error) {
	k, err := secpKey(private)
	if err != nil {
		return nil, err
	}
	return k.PubKey().SerializeUncompressed(), nil
}

func signSecp(private, msg []byte) ([]byte, error) {
	k, err := secpKey(private)
	if err != nil {
		return nil, err
	}
	digest := blake2b.Sum256(msg)
	compact := ecdsa.SignCompact(k, digest[:], false) // 27+V, R, S
	return append(compact[1:], compact[0]-27), nil
}

func verifySecp(sig []byte, signer address.Address, msg []byte) error {
	if len(sig) != secpSignatureBytes || sig[64] > 3 {
		return fmt.Errorf("%w: not %d bytes with a recovery id of 0 to 3", ErrInvalid, secpSignatureBytes)
	}
	digest := blake2b.Sum256(msg)
	compact := append([]byte{27 + sig[64]}, sig[:64]...)
	pub, _, err := ecdsa.RecoverCompact(compact, digest[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	got, err := address.NewSecp256k1Address(pub.SerializeUncompressed())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if got != signer {
		return fmt.Errorf("%w: made by %s, not by %s", ErrInvalid, got, signer)
	}
	return nil
}
