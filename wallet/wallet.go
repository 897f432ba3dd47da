package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/types/sigs"
)

var (
	// ErrNoKey: the wallet has no such key.
	ErrNoKey = errors.New("key is not in the wallet")
	// ErrLocked: the keystore is encrypted and the wallet is locked: Unlock first.
	ErrLocked = errors.New("wallet is locked")
	// ErrPassphrase: the passphrase is wrong.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrNoPassphrase: a new keystore needs a passphrase, or to be made plain on purpose.
	ErrNoPassphrase = errors.New("a new keystore needs a passphrase")
	// ErrPlain: the keystore is not encrypted, so it has no passphrase and cannot be locked.
	ErrPlain = errors.New("keystore is not encrypted")
	// ErrNoDefault: no default key is set.
	ErrNoDefault = errors.New("wallet has no default key")
)

// Options tell how to open a keystore.
type Options struct {
	// Passphrase unlocks the wallet at once; nil leaves an encrypted one locked.
	Passphrase []byte
	// Plain makes a new keystore unencrypted, and marks it so. It has no effect on one that
	// exists.
	Plain bool
	// WorkFactor is the logarithm of the rounds of scrypt that a new envelope takes; 0 is the
	// usual 18. Only tests have a reason to set it.
	WorkFactor int
}

// Wallet is a keystore that is open. Safe from many goroutines.
type Wallet struct {
	store  keystore // immutable after Open
	factor int      // immutable after Open

	// disk orders reads and changes of the directory, and work on envelopes; it is held over
	// both, since their order is what it is for. Taken before mu.
	disk sync.Mutex

	mu         sync.Mutex                   // held for memory only
	plain      bool                         // guarded by mu
	passphrase []byte                       // guarded by mu; nil: locked or plain
	names      map[address.Address][]string // guarded by mu; entries of each key
	keys       map[address.Address]KeyInfo  // guarded by mu; those that were opened
	def        address.Address              // guarded by mu
}

// New makes a key. The first one becomes the default.
func (w *Wallet) New(t crypto.SigType) (address.Address, error) {
	private, err := sigs.Generate(t)
	if err != nil {
		return address.Undef, err
	}
	return w.Import(KeyInfo{t, private})
}

// Has tells whether the wallet has the key of an address, locked or not.
func (w *Wallet) Has(a address.Address) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.names[a]) > 0
}

// List gives the addresses of all keys, in order of their text.
func (w *Wallet) List() []address.Address {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]address.Address, 0, len(w.names))
	for a := range w.names {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b address.Address) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// Sign signs bytes as they are with the key of a key address. ErrNoKey, ErrLocked.
func (w *Wallet) Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k, err := w.key(a)
	if err != nil {
		return nil, err
	}
	defer clear(k.PrivateKey)
	return sigs.Sign(k.Type, k.PrivateKey, msg)
}

// Export gives a key away.
func (w *Wallet) Export(a address.Address) (KeyInfo, error) { return w.key(a) }

// key opens a key; the caller gets a copy of its own.
func (w *Wallet) key(a address.Address) (KeyInfo, error) {
	if k, ok := w.opened(a); ok {
		return k, nil
	}
	w.disk.Lock()
	defer w.disk.Unlock()
	if k, ok := w.opened(a); ok { // by the one before us
		return k, nil
	}
	w.mu.Lock()
	names, pass, plain := w.names[a], w.passphrase, w.plain
	w.mu.Unlock()
	if len(names) == 0 {
		return KeyInfo{}, fmt.Errorf("%w: %s", ErrNoKey, a)
	}
	if pass == nil && !plain {
		return KeyInfo{}, fmt.Errorf("key %s: %w", a, ErrLocked)
	}
	k, err := w.load(names[0], a, pass)
	if err != nil {
		return KeyInfo{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[a] = KeyInfo{k.Type, slices.Clone(k.PrivateKey)}
	return k, nil
}

func (w *Wallet) opened(a address.Address) (KeyInfo, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, ok := w.keys[a]
	return KeyInfo{k.Type, slices.Clone(k.PrivateKey)}, ok
}

// load reads an entry and checks that it is the key of the address.
func (w *Wallet) load(entry string, a address.Address, pass []byte) (KeyInfo, error) {
	b, err := w.store.read(entry)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("key %s: %w", a, err)
	}
	if isEnvelope(b) {
		if b, err = unseal(b, pass); err != nil {
			return KeyInfo{}, fmt.Errorf("key %s: %w", a, err)
		}
	}
	k, err := parseOf(b, a)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("key %s: %w", a, err)
	}
	return k, nil
}

// parseOf reads the key of an address.
func parseOf(b []byte, a address.Address) (KeyInfo, error) {
	k, err := ParseKey(b)
	if err != nil {
		return KeyInfo{}, err
	}
	if got, err := k.Address(); err != nil || got != a {
		return KeyInfo{}, fmt.Errorf("%w: the file holds another key", ErrBadKey)
	}
	return k, nil
}

// Import adds a key; one that is there already stays. The first one becomes the default.
func (w *Wallet) Import(k KeyInfo) (address.Address, error) {
	a, err := k.Address()
	if err != nil {
		return address.Undef, err
	}
	w.disk.Lock()
	defer w.disk.Unlock()
	if w.Has(a) {
		return a, nil
	}
	content, err := w.encode(k)
	if err != nil {
		return address.Undef, err
	}
	entry := walletPrefix + a.String()
	if err := w.store.write(entry, content); err != nil {
		return address.Undef, fmt.Errorf("keep key %s: %w", a, err)
	}
	w.mu.Lock()
	first := len(w.names) == 0
	w.names[a] = []string{entry}
	w.mu.Unlock()
	if first {
		return a, w.makeDefault(a)
	}
	return a, nil
}

// Default is the address that a message is sent from when none is given. ErrNoDefault: none
// is set, or it is not known while the wallet is locked.
func (w *Wallet) Default() (address.Address, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.def == address.Undef {
		return address.Undef, ErrNoDefault
	}
	return w.def, nil
}

// SetDefault chooses the default.
func (w *Wallet) SetDefault(a address.Address) error {
	w.disk.Lock()
	defer w.disk.Unlock()
	if !w.Has(a) {
		return fmt.Errorf("%w: %s", ErrNoKey, a)
	}
	return w.makeDefault(a)
}

// makeDefault copies the key's file as it is; disk is held.
func (w *Wallet) makeDefault(a address.Address) error {
	w.mu.Lock()
	entry := w.names[a][0]
	w.mu.Unlock()
	content, err := w.store.read(entry)
	if err != nil {
		return fmt.Errorf("default key: %w", err)
	}
	if err := w.store.write(defaultEntry, content); err != nil {
		return fmt.Errorf("default key: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.def = a
	return nil
}

// Delete moves a key to the keystore's trash, where its file stays.
func (w *Wallet) Delete(a address.Address) error {
	w.disk.Lock()
	defer w.disk.Unlock()
	w.mu.Lock()
	names, isDefault := w.names[a], w.def == a
	w.mu.Unlock()
	if len(names) == 0 {
		return fmt.Errorf("%w: %s", ErrNoKey, a)
	}
	if isDefault {
		if err := w.store.remove(defaultEntry); err != nil {
			return fmt.Errorf("delete key %s: %w", a, err)
		}
	}
	for _, name := range names {
		trash, err := w.store.trashName(name)
		if err == nil {
			err = w.store.rename(name, trash)
		}
		if err != nil {
			return fmt.Errorf("delete key %s: %w", a, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.names, a)
	clear(w.keys[a].PrivateKey)
	delete(w.keys, a)
	if isDefault {
		w.def = address.Undef
	}
	return nil
}
