package wallet

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
)

var (
	// ErrNoKey: the wallet has no such key.
	ErrNoKey = errors.New("key is not in the wallet")
	// ErrLocked: the keystore is encrypted and the wallet is locked: Unlock first.
	ErrLocked = errors.New("wallet is locked")
	// ErrPassphrase: the passphrase is wrong.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrNoDefault: no default key is set.
	ErrNoDefault = errors.New("wallet has no default key")
)

// Options tell how to open a keystore.
type Options struct {
	// Passphrase unlocks the wallet at once; nil leaves an encrypted one locked.
	Passphrase []byte
	// Plain makes a new keystore unencrypted. It has no effect on one that exists.
	Plain bool
}

// KeyInfo is a private key as files and APIs carry it.
type KeyInfo struct {
	Type       crypto.SigType
	PrivateKey []byte
}

// Wallet is a keystore that is open. Safe from many goroutines.
type Wallet struct{}

var errSkeleton = errors.New("wallet: being written")

// Open opens a keystore directory, and makes it when it is not there.
func Open(dir string, opt Options) (*Wallet, error) { return nil, errSkeleton }

// New makes a key. The first one becomes the default.
func (w *Wallet) New(t crypto.SigType) (address.Address, error) { return address.Undef, errSkeleton }

// Has tells whether the wallet has the key of an address.
func (w *Wallet) Has(a address.Address) bool { return false }

// List gives the addresses of all keys, in order of their text.
func (w *Wallet) List() []address.Address { return nil }

// Sign signs bytes as they are with the key of a key address.
func (w *Wallet) Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error) {
	return nil, errSkeleton
}

// Import adds a key; one that is there already stays.
func (w *Wallet) Import(k KeyInfo) (address.Address, error) { return address.Undef, errSkeleton }

// Export gives a key away.
func (w *Wallet) Export(a address.Address) (KeyInfo, error) { return KeyInfo{}, errSkeleton }

// ParseKey reads a key in the form of an export: hexadecimal JSON, or the JSON itself.
func ParseKey(b []byte) (KeyInfo, error) { return KeyInfo{}, errSkeleton }

// Hex is the export form: the JSON in lower-case hexadecimal.
func (k KeyInfo) Hex() string { return "" }

// Default is the address that a message is sent from when none is given.
func (w *Wallet) Default() (address.Address, error) { return address.Undef, ErrNoDefault }

// SetDefault chooses the default.
func (w *Wallet) SetDefault(a address.Address) error { return errSkeleton }

// Delete moves a key to the keystore's trash.
func (w *Wallet) Delete(a address.Address) error { return errSkeleton }

// Lock forgets all key material in memory. A plain keystore cannot be locked.
func (w *Wallet) Lock() error { return errSkeleton }

// Unlock makes the keys usable.
func (w *Wallet) Unlock(passphrase []byte) error { return errSkeleton }

// Locked tells whether keys cannot be used now.
func (w *Wallet) Locked() bool { return false }

// Plain tells whether the keys on disk are unencrypted.
func (w *Wallet) Plain() bool { return false }
