package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile replaces a file as a whole: readers see the old content or the new one, also
// after a crash at any point.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-")
	if err != nil {
		return explain(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(explain(err), f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readSmall reads a file that has at most so many bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, nil
}

// explain adds what a person can do about the usual failures of a disk.
func explain(err error) error {
	var what string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		what = "the disk is full: free some space and try again"
	case errors.Is(err, fs.ErrPermission):
		what = "check who owns the folder and its permissions"
	case errors.Is(err, syscall.EROFS):
		what = "the disk is mounted read-only: remount it, or use another folder with --repo"
	case errors.Is(err, syscall.EMFILE):
		what = "raise the limit of open files (ulimit -n)"
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, what)
}
