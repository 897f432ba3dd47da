package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

const (
	// workFactor is the cost of trying a passphrase: 2^18 rounds of scrypt, about a second
	// and 256 MiB.
	workFactor = 18
	// maxWorkFactor bounds what a file may ask of the reader.
	maxWorkFactor = 20
)

// envelopeStart is how an encrypted file begins.
var envelopeStart = []byte("age-encryption.org/v1\n")

func isEnvelope(b []byte) bool { return bytes.HasPrefix(b, envelopeStart) }

func seal(plain, passphrase []byte, factor int) ([]byte, error) {
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(factor)
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, r)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func unseal(sealed, passphrase []byte) ([]byte, error) {
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxKeyBytes))
	if err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	return plain, nil
}
