package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"

	"github.com/lodenet/lode/chain/types"
)

// Options for Init. The zero value is fine.
type Options struct {
	// Config is written instead of the defaults.
	Config *Config
	// Fill, when set, puts more into the repo before it appears: keys, pre-sealed sectors.
	// dir is the repo's temporary place; its layout is there already.
	Fill func(ctx context.Context, dir string) error
}

// Init makes a repo for a network. It checks that the genesis is whole and is the one that
// the network names. The repo appears at once, at the end: when Init fails or is killed there
// is none. dir must not exist or be empty.
func Init(ctx context.Context, dir string, net types.Network, genesis io.Reader, opt Options) (err error) {
	if err := net.Check(); err != nil {
		return err
	}
	if net.Genesis == "" {
		return fmt.Errorf("network %s: its network.toml names no genesis; take the one that lode network new wrote", net.Name)
	}
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			return explain(err)
		}
	case err != nil:
		return explain(err)
	case len(entries) > 0:
		return fmt.Errorf("%s %w: use it as it is, or choose another folder with --repo", dir, ErrExists)
	}

	tmp := dir + ".init"
	lock, err := freshDir(tmp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
		err = errors.Join(err, lock.Close())
	}()
	if err := build(ctx, tmp, net, genesis, opt); err != nil {
		return fmt.Errorf("init %s: %w", dir, explain(err))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return explain(err)
	}
	return explain(syncDir(filepath.Dir(dir)))
}

// freshDir makes an empty, locked folder in place of what a killed Init left there.
func freshDir(tmp string) (*os.File, error) {
	lock, err := takeLock(filepath.Join(tmp, lockFile), tmp)
	if err == nil { // a leftover; remove it while we have its lock
		if err := errors.Join(os.RemoveAll(tmp), lock.Close()); err != nil {
			return nil, explain(err)
		}
	} else if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("another lode init is at work: %w", err)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if err := os.RemoveAll(tmp); err != nil {
		return nil, explain(err)
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, explain(err)
	}
	lock, err = takeLock(filepath.Join(tmp, lockFile), tmp)
	if err != nil && !errors.Is(err, ErrLocked) { // on a full disk, for example
		err = errors.Join(err, os.RemoveAll(tmp))
	}
	return lock, err
}

func build(ctx context.Context, tmp string, net types.Network, genesis io.Reader, opt Options) error {
	for _, sub := range subdirs() {
		if err := os.MkdirAll(filepath.Join(tmp, sub), 0o700); err != nil {
			return err
		}
	}
	if err := writeGenesis(ctx, filepath.Join(tmp, genesisFile), net, genesis); err != nil {
		return err
	}
	cfg := DefaultConfig()
	if opt.Config != nil {
		cfg = *opt.Config
	}
	if err := cfg.Check(); err != nil {
		return err
	}
	settings, err := cfg.Encode()
	if err != nil {
		return err
	}
	netText, err := net.Encode()
	if err != nil {
		return err
	}
	db, err := openDB(ctx, filepath.Join(tmp, databaseFile))
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if opt.Fill != nil {
		if err := opt.Fill(ctx, tmp); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{configFile, settings},
		{networkFile, netText},
		{versionFile, fmt.Appendln(nil, Version)},
	} {
		if err := WriteFile(filepath.Join(tmp, f.name), f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeGenesis copies the CAR and checks every block of it on the way.
func writeGenesis(ctx context.Context, path string, net types.Network, r io.Reader) error {
	want, err := cid.Decode(net.Genesis)
	if err != nil {
		return fmt.Errorf("network %s: genesis: %w", net.Name, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // closed below when it matters
	br, err := car.NewBlockReader(io.TeeReader(ctxReader{ctx, r}, f))
	if err != nil {
		return fmt.Errorf("genesis: not a CAR file: %w", err)
	}
	if br.Version != 1 {
		return fmt.Errorf("genesis: CAR of version %d, version 1 is needed", br.Version)
	}
	if len(br.Roots) != 1 || !br.Roots[0].Equals(want) {
		return fmt.Errorf("%w: the CAR is of %v, network %s begins with %s; use the pair of files that lode network new wrote", ErrGenesis, br.Roots, net.Name, want)
	}
	var header []byte
	for {
		b, err := br.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("genesis: the CAR is cut off or damaged, fetch it again: %w", err)
		}
		if b.Cid().Equals(want) {
			header = bytes.Clone(b.RawData())
		}
	}
	if header == nil {
		return fmt.Errorf("%w: the CAR does not hold its root %s", ErrGenesis, want)
	}
	h, err := types.DecodeBlockHeader(header)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if h.Height != abi.ChainEpoch(0) || h.Timestamp != net.GenesisTime {
		return fmt.Errorf("%w: block %s is of epoch %d and time %d, network %s begins at %d", ErrGenesis, want, h.Height, h.Timestamp, net.Name, net.GenesisTime)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// ctxReader ends a long copy when the context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
