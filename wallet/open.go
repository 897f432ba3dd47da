package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/filecoin-project/go-address"
)

// Entries of the keystore (spec chain.md a.5). The last two are lode's own: the one marks a
// keystore whose keys are in the clear, the other tells the right passphrase.
const (
	walletPrefix = "wallet-"
	trashPrefix  = "trash-"
	defaultEntry = "default"
	plainEntry   = "unencrypted"
	checkEntry   = "passphrase-check"
)

// Open opens a keystore directory, and makes it when it is not there. A keystore that
// another node left in the clear is encrypted when a passphrase is given. The address
// prefix of the process must have been set: it is in the names of files.
func Open(dir string, opt Options) (*Wallet, error) {
	store, err := openKeystore(dir)
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	w := &Wallet{
		store:  store,
		factor: workFactor,
		names:  map[address.Address][]string{},
		keys:   map[address.Address]KeyInfo{},
	}
	if opt.WorkFactor > 0 {
		w.factor = min(opt.WorkFactor, maxWorkFactor)
	}
	entries, err := store.entries()
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	if err := w.collect(entries); err != nil {
		return nil, fmt.Errorf("keystore %s: %w", dir, err)
	}
	if err := w.checkKeys(); err != nil {
		return nil, fmt.Errorf("keystore %s: %w", dir, err)
	}
	if err := w.start(entries, opt); err != nil {
		return nil, fmt.Errorf("keystore %s: %w", dir, err)
	}
	return w, nil
}

// start finds out how the keys are kept, and settles it for a keystore that is new here.
func (w *Wallet) start(entries []string, opt Options) error {
	switch {
	case slices.Contains(entries, checkEntry):
		if err := w.store.remove(plainEntry); err != nil { // encryptAll was cut short at its end
			return err
		}
		if opt.Passphrase != nil {
			return w.Unlock(opt.Passphrase)
		}
		return w.findDefault()
	case slices.Contains(entries, plainEntry):
		if opt.Passphrase != nil {
			return fmt.Errorf("%w: open it without a passphrase, or set one for it first", ErrPlain)
		}
		w.plain = true
		return w.findDefault()
	case opt.Passphrase != nil:
		return w.encryptAll(nil, opt.Passphrase)
	case opt.Plain:
		w.plain = true
		if err := w.store.write(plainEntry, []byte(`{"Type":"unencrypted","PrivateKey":""}`)); err != nil {
			return err
		}
		return w.findDefault()
	}
	return fmt.Errorf("%w: give one, or make it plain on purpose", ErrNoPassphrase)
}

// collect finds the keys by the names of entries. A key kept under the other network letter
// gets a copy under the current one.
func (w *Wallet) collect(entries []string) error {
	for _, e := range entries {
		text, ok := strings.CutPrefix(e, walletPrefix)
		if !ok {
			continue
		}
		a, err := address.NewFromString(text)
		if err != nil {
			return fmt.Errorf("entry %q: %w", e, err)
		}
		w.names[a] = append(w.names[a], e)
	}
	for a, names := range w.names {
		want := walletPrefix + a.String()
		if slices.Contains(names, want) {
			continue
		}
		content, err := w.store.read(names[0])
		if err != nil {
			return err
		}
		if err := w.store.write(want, content); err != nil {
			return err
		}
		w.names[a] = append([]string{want}, names...)
	}
	return nil
}

// checkKeys finds key files that are damaged, as far as that shows without a passphrase. A node
// without a key that it counts on would lose its rounds one by one.
func (w *Wallet) checkKeys() error {
	for a, names := range w.names {
		b, err := w.store.read(names[0])
		if err == nil && !isEnvelope(b) {
			_, err = parseOf(b, a)
		}
		if err != nil {
			return fmt.Errorf("key %s: %w; put the file %s back from a backup, or move it away to do without that key", a, err, w.store.path(names[0]))
		}
	}
	return nil
}

// findDefault finds whose copy the default entry is: by its bytes, which works locked as
// well, else by what is in it.
func (w *Wallet) findDefault() error {
	has, err := w.store.has(defaultEntry)
	if err != nil || !has {
		return err
	}
	content, err := w.store.read(defaultEntry)
	if err != nil {
		return err
	}
	w.mu.Lock()
	names, pass := w.names, w.passphrase
	w.mu.Unlock()
	for a, entries := range names {
		b, err := w.store.read(entries[0])
		if err != nil {
			return err
		}
		if bytes.Equal(b, content) {
			w.setDef(a)
			return nil
		}
	}
	if isEnvelope(content) {
		if pass == nil {
			return nil // Unlock looks again
		}
		if content, err = unseal(content, pass); err != nil {
			return fmt.Errorf("default key: %w", err)
		}
	}
	k, err := ParseKey(content)
	if err != nil {
		return fmt.Errorf("default key: %w", err)
	}
	a, err := k.Address()
	if err != nil || len(names[a]) == 0 {
		return err // the key was taken away by hand: no default
	}
	w.setDef(a)
	return nil
}

func (w *Wallet) setDef(a address.Address) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.def = a
}

// encode is the content of a new key's file; disk is held.
func (w *Wallet) encode(k KeyInfo) ([]byte, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	pass, plain := w.passphrase, w.plain
	w.mu.Unlock()
	switch {
	case plain:
		return b, nil
	case pass == nil:
		return nil, ErrLocked
	}
	return seal(b, pass, w.factor)
}

// Lock forgets all key material in memory. ErrPlain: there is no passphrase to come back with.
func (w *Wallet) Lock() error {
	w.disk.Lock() // after whoever uses the passphrase now
	defer w.disk.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plain {
		return ErrPlain
	}
	clear(w.passphrase)
	w.passphrase = nil
	for a, k := range w.keys {
		clear(k.PrivateKey)
		delete(w.keys, a)
	}
	return nil
}

// Unlock makes the keys usable. ErrPassphrase: it is another one. ErrPlain: it has none.
func (w *Wallet) Unlock(passphrase []byte) error {
	w.disk.Lock()
	defer w.disk.Unlock()
	if w.Plain() {
		return ErrPlain
	}
	if err := w.check(passphrase); err != nil {
		return err
	}
	w.mu.Lock()
	w.passphrase = slices.Clone(passphrase)
	known := w.def != address.Undef
	w.mu.Unlock()
	if known {
		return nil
	}
	return w.findDefault()
}

func (w *Wallet) check(passphrase []byte) error {
	b, err := w.store.read(checkEntry)
	if err != nil {
		return err
	}
	_, err = unseal(b, passphrase)
	return err
}

// Locked tells whether keys cannot be used now.
func (w *Wallet) Locked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.plain && w.passphrase == nil
}

// Plain tells whether the keys on disk are in the clear.
func (w *Wallet) Plain() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plain
}

// SetPassphrase encrypts every key anew and leaves the wallet unlocked; old is nil for a
// plain keystore. When it was cut short, call it again with the same arguments.
func (w *Wallet) SetPassphrase(old, passphrase []byte) error {
	w.disk.Lock()
	defer w.disk.Unlock()
	if w.Plain() {
		if old != nil {
			return ErrPlain
		}
	} else if err := w.check(old); err != nil {
		return err
	}
	return w.encryptAll(old, passphrase)
}

// encryptAll puts every key under the passphrase; disk is held, or the wallet is not shared
// yet. The check entry is written last, so an interrupted change still answers to the old
// passphrase and can be made again.
func (w *Wallet) encryptAll(old, passphrase []byte) error {
	if len(passphrase) == 0 {
		return fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	if err := w.findDefault(); err != nil && !errors.Is(err, ErrPassphrase) {
		return err
	}
	entries, err := w.store.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e, walletPrefix) || strings.HasPrefix(e, trashPrefix) {
			if err := w.encryptEntry(e, old, passphrase); err != nil {
				return fmt.Errorf("entry %q: %w", e, err)
			}
		}
	}
	w.mu.Lock()
	def := w.def
	w.mu.Unlock()
	if def != address.Undef {
		err = w.makeDefault(def)
	} else {
		err = w.store.remove(defaultEntry) // a copy of no key here, perhaps in the clear
	}
	if err != nil {
		return err
	}
	check, err := seal([]byte(`{"Type":"passphrase-check","PrivateKey":""}`), passphrase, w.factor)
	if err != nil {
		return err
	}
	if err := w.store.write(checkEntry, check); err != nil {
		return err
	}
	if err := w.store.remove(plainEntry); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plain, w.passphrase = false, slices.Clone(passphrase)
	return nil
}

func (w *Wallet) encryptEntry(entry string, old, passphrase []byte) error {
	b, err := w.store.read(entry)
	if err != nil {
		return err
	}
	if isEnvelope(b) {
		sealed := b
		if b, err = unseal(sealed, old); errors.Is(err, ErrPassphrase) {
			_, err = unseal(sealed, passphrase) // changed before the interruption?
			return err
		}
		if err != nil {
			return err
		}
	}
	if b, err = seal(b, passphrase, w.factor); err != nil {
		return err
	}
	return w.store.write(entry, b)
}
