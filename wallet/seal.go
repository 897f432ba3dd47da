package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"
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

// Seal encrypts a key for keeping elsewhere: an armored age file under a passphrase.
func (k KeyInfo) Seal(passphrase []byte) ([]byte, error) {
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	sealed, err := seal(plain, passphrase, workFactor)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := armor.NewWriter(&buf)
	if _, err := w.Write(sealed); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Unseal reads what Seal has made. ErrPassphrase: another passphrase opens it.
func Unseal(b, passphrase []byte) (KeyInfo, error) {
	if len(b) > maxKeyBytes {
		return KeyInfo{}, fmt.Errorf("%w: %d bytes", ErrBadKey, len(b))
	}
	sealed, err := io.ReadAll(io.LimitReader(armor.NewReader(bytes.NewReader(b)), maxKeyBytes))
	if err != nil {
		return KeyInfo{}, fmt.Errorf("%w: not an armored age file", ErrBadKey)
	}
	plain, err := unseal(sealed, passphrase)
	if err != nil {
		return KeyInfo{}, err
	}
	return ParseKey(plain)
}

// Sealed tells whether bytes are an armored age file, as Seal makes.
func Sealed(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(b), []byte(armor.Header))
}

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
