package repo

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoDaemon: no daemon runs on the repo.
var ErrNoDaemon = errors.New("no daemon runs")

// Announce tells other processes how to reach this one: its RPC address and a token for
// everything. Close takes the address back.
func (r *Repo) Announce(addr, token string) error {
	if err := WriteFile(filepath.Join(r.dir, tokenFile), []byte(token), 0o600); err != nil {
		return err
	}
	return WriteFile(filepath.Join(r.dir, apiFile), []byte(addr), 0o600)
}

// Endpoint is what the daemon of a repo announced. It needs no lock. A daemon that was
// killed leaves its address behind, so nobody may answer there.
func Endpoint(dir string) (addr, token string, err error) {
	if err := exists(dir); err != nil {
		return "", "", err
	}
	a, err := readSmall(filepath.Join(dir, apiFile), 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("%w on %s: start it with lode daemon --repo %s", ErrNoDaemon, dir, dir)
	}
	if err != nil {
		return "", "", explain(err)
	}
	t, err := readSmall(filepath.Join(dir, tokenFile), 4<<10)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", explain(err)
	}
	return strings.TrimSpace(string(a)), strings.TrimSpace(string(t)), nil
}

// secretEntry is where the key store of Filecoin nodes keeps the key of tokens (spec api.md
// A.3).
const secretEntry = "auth-jwt-private"

const secretBytes = 32

type secretFile struct {
	Type       string
	PrivateKey []byte
}

// Secret is the key that signs API tokens. It is made at the first call and kept in the
// keystore.
func (r *Repo) Secret() ([]byte, error) {
	name := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(secretEntry))
	path := filepath.Join(r.KeystoreDir(), name)
	b, err := readSmall(path, 4<<10)
	if err == nil {
		var s secretFile
		if err := json.Unmarshal(b, &s); err != nil || len(s.PrivateKey) < secretBytes {
			return nil, fmt.Errorf("%w: the key of API tokens in %s cannot be read; remove the file, then all tokens made so far are void", ErrCorrupt, path)
		}
		return s.PrivateKey, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, explain(err)
	}
	s := secretFile{Type: "jwt-hmac-secret", PrivateKey: make([]byte, secretBytes)}
	if _, err := rand.Read(s.PrivateKey); err != nil {
		return nil, err
	}
	if b, err = json.Marshal(s); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.KeystoreDir(), 0o700); err != nil {
		return nil, explain(err)
	}
	return s.PrivateKey, WriteFile(path, b, 0o600)
}
