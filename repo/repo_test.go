package repo_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/repo"
)

// genesis makes a network and the CAR of a genesis of one block and one object.
func genesis(t testing.TB, name string) (types.Network, []byte) {
	t.Helper()
	miner, err := address.NewIDAddress(1000)
	require.NoError(t, err)
	h := &types.BlockHeader{
		Miner: miner, Ticket: &types.Ticket{VRFProof: []byte(name)}, ElectionProof: &types.ElectionProof{},
		ParentWeight: big.Zero(), ParentStateRoot: types.EmptyArrayCid, ParentMessageReceipts: types.EmptyAMTCid,
		Messages: types.EmptyAMTCid, Timestamp: 1700000000, ParentBaseFee: big.NewInt(100),
	}
	b, err := h.ToStorageBlock()
	require.NoError(t, err)
	var car bytes.Buffer
	header := append([]byte("\xa2\x65roots\x81\xd8\x2a\x58\x27\x00"), b.Cid().Bytes()...)
	section(&car, append(header, "\x67version\x01"...))
	section(&car, append(b.Cid().Bytes(), b.RawData()...))
	section(&car, append(types.EmptyAMTCid.Bytes(), types.EmptyAMTBytes...))
	net := types.Devnet()
	net.Name, net.Genesis, net.GenesisTime = name, b.Cid().String(), h.Timestamp
	return net, car.Bytes()
}

func section(w *bytes.Buffer, b []byte) {
	w.Write(binary.AppendUvarint(nil, uint64(len(b))))
	w.Write(b)
}

func initRepo(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	net, car := genesis(t, "testnet")
	require.NoError(t, repo.Init(t.Context(), dir, net, bytes.NewReader(car), repo.Options{}))
	return dir
}

func TestInitAndOpen(t *testing.T) {
	dir := initRepo(t)
	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	net, car := genesis(t, "testnet")
	require.Equal(t, net, r.Network())
	require.Equal(t, repo.DefaultConfig(), r.Config())
	f, err := r.GenesisCAR()
	require.NoError(t, err)
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, car, got)
	for _, d := range []string{r.KeystoreDir(), r.ChainDir(), r.BlocksDir(), r.StagingDir(), filepath.Join(r.SectorsDir(), "cache")} {
		info, err := os.Stat(d)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), d)
	}
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	entries, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, entries, 1, "something was left beside the repo")
}

func TestInitIsAllOrNothing(t *testing.T) {
	net, car := genesis(t, "testnet")
	other, _ := genesis(t, "other")
	late := net
	late.GenesisTime++
	flipped := bytes.Clone(car)
	flipped[len(flipped)-1] ^= 1
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		net  types.Network
		car  io.Reader
		opt  repo.Options
		is   error
		text string
	}{
		"empty genesis":     {net: net, car: strings.NewReader(""), text: "not a CAR"},
		"text":              {net: net, car: strings.NewReader("hello, this is no CAR at all"), text: "not a CAR"},
		"cut off":           {net: net, car: bytes.NewReader(car[:len(car)-3]), text: "cut off or damaged"},
		"flipped bit":       {net: net, car: bytes.NewReader(flipped), text: "cut off or damaged"},
		"unreadable":        {net: net, car: io.MultiReader(bytes.NewReader(car[:90]), iotest.ErrReader(boom)), is: boom},
		"another network's": {net: other, car: bytes.NewReader(car), is: repo.ErrGenesis, text: "pair of files"},
		"another time":      {net: late, car: bytes.NewReader(car), is: repo.ErrGenesis},
		"no genesis":        {net: types.Devnet(), car: bytes.NewReader(car), text: "names no genesis"},
		"bad network":       {net: types.Network{}, car: bytes.NewReader(car), text: "network: name"},
		"bad settings":      {net: net, car: bytes.NewReader(car), opt: repo.Options{Config: &repo.Config{}}, text: "API.MaxRequestBytes"},
		"fill fails":        {net: net, car: bytes.NewReader(car), opt: repo.Options{Fill: func(context.Context, string) error { return boom }}, is: boom},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "repo")
			err := repo.Init(t.Context(), dir, c.net, c.car, c.opt)
			require.Error(t, err)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, err, c.text)
			entries, err := os.ReadDir(filepath.Dir(dir))
			require.NoError(t, err)
			require.Empty(t, entries, "something was left behind")
		})
	}
	t.Run("something is there", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600))
		require.ErrorIs(t, repo.Init(t.Context(), dir, net, bytes.NewReader(car), repo.Options{}), repo.ErrExists)
		b, err := os.ReadFile(filepath.Join(dir, "mine"))
		require.NoError(t, err)
		require.Equal(t, "x", string(b))
	})
	t.Run("context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, repo.Init(ctx, filepath.Join(t.TempDir(), "r"), net, bytes.NewReader(car), repo.Options{}), context.Canceled)
	})
	t.Run("full disk", func(t *testing.T) {
		err := repo.Init(t.Context(), filepath.Join(t.TempDir(), "r"), net, bytes.NewReader(car), repo.Options{
			Fill: func(_ context.Context, dir string) error {
				return &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}
			},
		})
		require.ErrorContains(t, err, "free some space")
	})
}

func TestInitInPlaceOfAKilledOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	net, car := genesis(t, "testnet")
	require.NoError(t, os.MkdirAll(filepath.Join(dir+".init", "keystore"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir+".init", "genesis.car"), car[:10], 0o600))
	require.NoError(t, repo.Init(t.Context(), dir, net, bytes.NewReader(car), repo.Options{}))
	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = os.Stat(dir + ".init")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A lock that cannot be taken for another reason is not blamed on another init.
func TestInitSaysWhyThereIsNoLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	net, car := genesis(t, "testnet")
	require.NoError(t, os.Mkdir(dir+".init", 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(dir+".init", "repo.lock"), 0o700)) // nothing can be written there
	err := repo.Init(t.Context(), dir, net, bytes.NewReader(car), repo.Options{})
	require.ErrorContains(t, err, "is a directory")
	require.NotContains(t, err.Error(), "another lode init")
}

func TestTwoInitsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	net, car := genesis(t, "testnet")
	err := repo.Init(t.Context(), dir, net, bytes.NewReader(car), repo.Options{
		Fill: func(ctx context.Context, _ string) error {
			err := repo.Init(ctx, dir, net, bytes.NewReader(car), repo.Options{})
			require.ErrorIs(t, err, repo.ErrLocked)
			return nil
		},
	})
	require.NoError(t, err)
}

func TestDamagedRepo(t *testing.T) {
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
	}
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, name))) }
	}
	for name, c := range map[string]struct {
		harm func(t *testing.T, dir string)
		is   error
		text string
	}{
		"no version":        {remove("version"), repo.ErrCorrupt, "put it back"},
		"version of text":   {write("version", "one"), repo.ErrCorrupt, "does not hold a number"},
		"empty version":     {write("version", ""), repo.ErrCorrupt, "does not hold a number"},
		"newer version":     {write("version", "99\n"), repo.ErrVersion, "newer lode"},
		"older version":     {write("version", "0\n"), repo.ErrVersion, ""},
		"huge version":      {write("version", strings.Repeat("1", 1000)), repo.ErrCorrupt, ""},
		"no settings":       {remove("config.toml"), repo.ErrCorrupt, "put the file back"},
		"settings of noise": {write("config.toml", "\x00\xff["), repo.ErrConfig, "line 1"},
		"unknown setting":   {write("config.toml", "[API]\n\nListenAdress = \"x\"\n"), repo.ErrConfig, `line 3: there is no setting "API.ListenAdress"`},
		"no network":        {remove("network.toml"), repo.ErrCorrupt, "network's operator"},
		"network of noise":  {write("network.toml", "]"), repo.ErrCorrupt, "network's operator"},
		"network, no genesis": {func(t *testing.T, dir string) {
			b, _ := types.Devnet().Encode()
			write("network.toml", string(b))(t, dir)
		}, repo.ErrCorrupt, "names no genesis"},
		"no genesis":     {remove("genesis.car"), repo.ErrCorrupt, "genesis.car"},
		"no database":    {remove("lode.db"), repo.ErrCorrupt, "lode.db"},
		"empty database": {write("lode.db", ""), repo.ErrCorrupt, "lode.db is empty"},
		"empty genesis":  {write("genesis.car", ""), repo.ErrCorrupt, "genesis.car is empty"},
		"no keystore":    {remove("keystore"), repo.ErrCorrupt, "keystore"},
		"no sectors":     {remove("sectors"), repo.ErrCorrupt, "sectors"},
		"somebody's folder": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.Mkdir(dir, 0o700))
			write("notes", "x")(t, dir)
		}, repo.ErrNoRepo, "lode init"},
		"nothing": {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) }, repo.ErrNoRepo, "lode init"},
		"a file": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		}, repo.ErrNoRepo, "it is a file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := initRepo(t)
			c.harm(t, dir)
			for range 2 { // the lock of the first try is given back
				_, err := repo.Open(dir, nil)
				require.ErrorIs(t, err, c.is)
				require.ErrorContains(t, err, c.text)
				require.NotErrorIs(t, err, repo.ErrLocked)
			}
		})
	}
}

func TestEmptyFoldersComeBack(t *testing.T) {
	dir := initRepo(t)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "staging")))
	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	require.DirExists(t, r.StagingDir())
	require.NoError(t, r.Close())
}

func TestLockWithinAProcess(t *testing.T) {
	dir := initRepo(t)
	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	_, err = repo.Open(dir, nil)
	var locked *repo.LockedError
	require.ErrorAs(t, err, &locked)
	require.ErrorIs(t, err, repo.ErrLocked)
	require.Equal(t, os.Getpid(), locked.PID)
	require.ErrorContains(t, err, "another folder with --repo")
	require.NoError(t, r.Close())
	r, err = repo.Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, r.Close())
}

// TestLockAcrossProcesses holds the repo in a child, which is this test again, and kills it.
func TestLockAcrossProcesses(t *testing.T) {
	if dir := os.Getenv("REPO_HOLD"); dir != "" {
		r, err := repo.Open(dir, nil)
		if err != nil {
			os.Stdout.WriteString("error " + err.Error() + "\n")
			return
		}
		defer r.Close() // this process is about to be killed
		os.Stdout.WriteString("held\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	dir := initRepo(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockAcrossProcesses$")
	cmd.Env = append(os.Environ(), "REPO_HOLD="+dir)
	_, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 5)
	_, err = io.ReadFull(out, line)
	require.NoError(t, err)
	require.Equal(t, "held\n", string(line))

	_, err = repo.Open(dir, nil)
	var locked *repo.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, cmd.Process.Pid, locked.PID)

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	r, err := repo.Open(dir, nil)
	require.NoError(t, err, "the lock outlived its process")
	require.NoError(t, r.Close())
}

func TestEndpoint(t *testing.T) {
	dir := initRepo(t)
	_, _, err := repo.Endpoint(dir)
	require.ErrorIs(t, err, repo.ErrNoDaemon)
	require.ErrorContains(t, err, "lode daemon")
	_, _, err = repo.Endpoint(filepath.Join(dir, "nowhere"))
	require.ErrorIs(t, err, repo.ErrNoRepo)

	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, r.Announce("/ip4/127.0.0.1/tcp/5/http", "secret"))
	addr, token, err := repo.Endpoint(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"/ip4/127.0.0.1/tcp/5/http", "secret"}, []string{addr, token})
	info, err := os.Stat(filepath.Join(dir, "token"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, r.Close())
	_, _, err = repo.Endpoint(dir)
	require.ErrorIs(t, err, repo.ErrNoDaemon)
}

func TestSecret(t *testing.T) {
	dir := initRepo(t)
	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	defer r.Close() // the end of the test
	a, err := r.Secret()
	require.NoError(t, err)
	require.Len(t, a, 32)
	b, err := r.Secret()
	require.NoError(t, err)
	require.Equal(t, a, b)
	// lotus: unpadded base32 of "auth-jwt-private".
	path := filepath.Join(r.KeystoreDir(), "MF2XI2BNNJ3XILLQOJUXMYLUMU")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	_, err = r.Secret()
	require.ErrorIs(t, err, repo.ErrCorrupt)
}
