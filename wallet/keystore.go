package wallet

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tempPrefix begins the names of files being written; a crash may leave some. It is not
// base32, so it is never the name of an entry.
const tempPrefix = ".new-"

var entryNames = base32.StdEncoding.WithPadding(base32.NoPadding)

// keystore is a directory of named entries, each a file of mode 0600 that is replaced as a
// whole (spec chain.md a.5).
type keystore struct{ dir string }

func openKeystore(dir string) (keystore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keystore{}, err
	}
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	if err != nil {
		return keystore{}, err
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil {
			return keystore{}, err
		}
	}
	return keystore{dir}, nil
}

func (s keystore) path(entry string) string {
	return filepath.Join(s.dir, entryNames.EncodeToString([]byte(entry)))
}

// entries lists the names in the order of the files'. Files that are no entries are left alone.
func (s keystore) entries() ([]string, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		if name, err := entryNames.DecodeString(f.Name()); err == nil {
			names = append(names, string(name))
		}
	}
	return names, nil
}

func (s keystore) has(entry string) (bool, error) {
	_, err := os.Lstat(s.path(entry))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s keystore) read(entry string) ([]byte, error) {
	f, err := os.Open(s.path(entry))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if p := st.Mode().Perm(); p&0o077 != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o: others can read it; set it to 0600", f.Name(), p)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKeyBytes {
		return nil, fmt.Errorf("key file %s is longer than %d bytes", f.Name(), maxKeyBytes)
	}
	return b, nil
}

// write makes or replaces an entry; after a crash it is either the old or the new one.
func (s keystore) write(entry string, content []byte) error {
	f, err := os.CreateTemp(s.dir, tempPrefix) // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path(entry))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return s.sync()
}

func (s keystore) rename(from, to string) error {
	if err := os.Rename(s.path(from), s.path(to)); err != nil {
		return err
	}
	return s.sync()
}

func (s keystore) remove(entry string) error {
	if err := os.Remove(s.path(entry)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.sync()
}

// sync makes names durable.
func (s keystore) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// trashName is a name for a deleted key that is not taken.
func (s keystore) trashName(wallet string) (string, error) {
	base := trashPrefix + strings.TrimPrefix(wallet, walletPrefix)
	for i := range 1000 {
		name := base
		if i > 0 {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		taken, err := s.has(name)
		if err != nil {
			return "", err
		}
		if !taken {
			return name, nil
		}
	}
	return "", fmt.Errorf("trash of the keystore %s holds 1000 copies of one key", s.dir)
}
