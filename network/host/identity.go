package host

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// keyType is the name of the identity in a keystore (spec chain.md a.5).
const keyType = "libp2p-host"

// maxKeyFile bounds what is read of an identity file.
const maxKeyFile = 4 << 10

// keyFile is the JSON of an identity file.
type keyFile struct {
	Type       string
	PrivateKey []byte // libp2p's protobuf form
}

// NewKey makes an identity from a source of randomness.
func NewKey(random io.Reader) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(random)
	if err != nil {
		return nil, fmt.Errorf("generate the libp2p identity: %w", err)
	}
	return key, nil
}

// RandomKey makes an identity that is kept nowhere.
func RandomKey() (crypto.PrivKey, error) { return NewKey(rand.Reader) }

// Identity reads the key of a file, and makes key and file when there is none. The file has
// the keystore's form and must be readable by its owner alone.
func Identity(path string) (crypto.PrivKey, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = RandomKey(); err != nil {
		return nil, err
	}
	if err := writeKey(path, key); err != nil {
		return nil, fmt.Errorf("libp2p identity %s: %w", path, err)
	}
	return key, nil
}

func readKey(path string) (crypto.PrivKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("libp2p identity: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("libp2p identity %s: %w", path, err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("libp2p identity %s: others may read it (mode %o): run chmod 600 on it", path, st.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("libp2p identity %s: %w", path, err)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("libp2p identity %s: %w (restore it, or delete it to get a new peer id)", path, err)
	}
	return key, nil
}

func parseKey(b []byte) (crypto.PrivKey, error) {
	var k keyFile
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, err
	}
	if k.Type != keyType {
		return nil, fmt.Errorf("key of type %q, not %q", k.Type, keyType)
	}
	return crypto.UnmarshalPrivateKey(k.PrivateKey)
}

// writeKey leaves either no file or a whole one.
func writeKey(path string, key crypto.PrivKey) error {
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return err
	}
	b, err := json.Marshal(keyFile{Type: keyType, PrivateKey: raw})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".identity-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
