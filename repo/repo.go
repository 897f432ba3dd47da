package repo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lodenet/lode/chain/types"
)

// Version is the layout that this program writes and reads.
const Version = 1

// The names inside a repo.
const (
	versionFile  = "version"
	configFile   = "config.toml"
	networkFile  = "network.toml"
	genesisFile  = "genesis.car"
	lockFile     = "repo.lock"
	apiFile      = "api"
	tokenFile    = "token"
	databaseFile = "lode.db"
	keystoreDir  = "keystore"
	blocksDir    = "blocks"
	stagingDir   = "staging"
	chainDir     = "chain"
	sectorsDir   = "sectors"
)

var (
	// ErrNoRepo: there is no repo at that place.
	ErrNoRepo = errors.New("no repo")
	// ErrExists: Init found something there already and left it alone.
	ErrExists = errors.New("exists already")
	// ErrCorrupt: the repo is damaged. The text says what and what to do.
	ErrCorrupt = errors.New("damaged repo")
	// ErrVersion: the repo was written by another version of lode.
	ErrVersion = errors.New("version of the repo does not fit")
	// ErrGenesis: the genesis is not the one that network.toml names.
	ErrGenesis = errors.New("genesis does not match")
)

// Repo is an open repo. It holds the lock until Close.
type Repo struct {
	dir     string
	config  Config
	network types.Network
	lock    *os.File
}

// Open locks a repo and reads its settings; env, in the form of os.Environ, may override
// them (LODE_API_LISTENADDRESS=…). A repo that another process has gives *LockedError.
func Open(dir string, env []string) (_ *Repo, err error) {
	if err := exists(dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(filepath.Join(dir, lockFile), dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	r := &Repo{dir: dir, lock: lock}
	if err := checkVersion(dir); err != nil {
		return nil, err
	}
	if r.config, err = LoadConfig(filepath.Join(dir, configFile), env); err != nil {
		return nil, err
	}
	if r.network, err = Network(dir); err != nil {
		return nil, err
	}
	for _, need := range []string{genesisFile, databaseFile, keystoreDir, sectorsDir} {
		info, err := os.Stat(filepath.Join(dir, need))
		if err == nil && info.Size() == 0 && !info.IsDir() {
			// SQLite takes an empty file for a new database, and what was signed would be forgotten.
			err = fmt.Errorf("%s is empty", need)
		}
		if err != nil {
			return nil, fmt.Errorf("%w at %s: %w; put it back from a backup, or start over with lode init in an empty folder", ErrCorrupt, dir, err)
		}
	}
	for _, sub := range subdirs() {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, explain(err)
		}
	}
	return r, nil
}

// exists tells a repo from an empty place and from somebody else's folder.
func exists(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w at %s: make one with lode init --repo %s", ErrNoRepo, dir, dir)
	case err != nil:
		return explain(err)
	case !info.IsDir():
		return fmt.Errorf("%w at %s: it is a file; name a folder with --repo", ErrNoRepo, dir)
	}
	_, err = os.Stat(filepath.Join(dir, versionFile))
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return explain(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return explain(err)
	}
	for _, e := range entries {
		if e.Name() == networkFile || e.Name() == databaseFile || e.Name() == keystoreDir {
			return fmt.Errorf("%w at %s: the file %q is missing; put it back from a backup (it holds the number %d)", ErrCorrupt, dir, versionFile, Version)
		}
	}
	return fmt.Errorf("%w at %s: make one with lode init --repo DIR in an empty folder", ErrNoRepo, dir)
}

func checkVersion(dir string) error {
	b, err := readSmall(filepath.Join(dir, versionFile), 64)
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrCorrupt, dir, err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	switch {
	case err != nil:
		return fmt.Errorf("%w at %s: the file %q does not hold a number; put it back from a backup", ErrCorrupt, dir, versionFile)
	case v > Version:
		return fmt.Errorf("%w: %s has version %d and this lode knows %d; use the newer lode that wrote it", ErrVersion, dir, v, Version)
	case v < Version:
		return fmt.Errorf("%w: %s has version %d, which no release of lode wrote", ErrVersion, dir, v)
	}
	return nil
}

// Network reads the network.toml of a repo; no lock is needed.
func Network(dir string) (types.Network, error) {
	b, err := readSmall(filepath.Join(dir, networkFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		if e := exists(dir); e != nil {
			return types.Network{}, e
		}
	}
	if err != nil {
		return types.Network{}, fmt.Errorf("%w at %s: %w; put it back from a backup or from the network's operator", ErrCorrupt, dir, err)
	}
	n, err := types.ParseNetwork(b)
	if err != nil {
		return types.Network{}, fmt.Errorf("%w at %s: %s: %w; put it back from a backup or from the network's operator", ErrCorrupt, dir, networkFile, err)
	}
	if n.Genesis == "" {
		return types.Network{}, fmt.Errorf("%w at %s: %s names no genesis; put it back from the network's operator", ErrCorrupt, dir, networkFile)
	}
	return n, nil
}

// Dir is the repo's folder.
func (r *Repo) Dir() string { return r.dir }

// Config are the settings, as read at Open.
func (r *Repo) Config() Config { return r.config }

// Network is the network that the repo belongs to.
func (r *Repo) Network() types.Network { return r.network }

// GenesisCAR opens the network's genesis; the caller closes it.
func (r *Repo) GenesisCAR() (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(r.dir, genesisFile))
	if err != nil {
		return nil, explain(err)
	}
	return f, nil
}

// DB opens the database that all parts share: one connection, so nobody may hold rows or a
// transaction open while calling another part. The caller closes it before the repo, by CloseDB.
func (r *Repo) DB(ctx context.Context) (*sql.DB, error) {
	return openDB(ctx, filepath.Join(r.dir, databaseFile))
}

// KeystoreDir holds keys.
func (r *Repo) KeystoreDir() string { return filepath.Join(r.dir, keystoreDir) }

// ChainDir holds blocks and state of the chain.
func (r *Repo) ChainDir() string { return filepath.Join(r.dir, chainDir) }

// BlocksDir holds the client's imported DAGs.
func (r *Repo) BlocksDir() string { return filepath.Join(r.dir, blocksDir) }

// StagingDir holds the data of deals that come in.
func (r *Repo) StagingDir() string { return filepath.Join(r.dir, stagingDir) }

// SectorsDir holds unsealed/, sealed/ and cache/.
func (r *Repo) SectorsDir() string { return filepath.Join(r.dir, sectorsDir) }

// Close removes the api file and gives the lock back. It may be called again.
func (r *Repo) Close() error {
	if r.lock == nil {
		return nil
	}
	err := os.Remove(filepath.Join(r.dir, apiFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, r.lock.Close())
	r.lock = nil
	return err
}

func subdirs() []string {
	return []string{
		keystoreDir, blocksDir, stagingDir, chainDir,
		filepath.Join(sectorsDir, "unsealed"), filepath.Join(sectorsDir, "sealed"), filepath.Join(sectorsDir, "cache"),
	}
}
