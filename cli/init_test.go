package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/wallet"
)

// newNetwork makes a network of small sectors: one miner, one account.
func newNetwork(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "net")
	code, out, errOut := run(t, "", "network", "new", "--json", "--out", dir, "--name", "testnet", "--proofs", "insecure", "--sector-size", "2KiB", "--epoch", "1s", "--start-in", "1s")
	require.Zero(t, code, errOut)
	var v struct {
		Network struct{ Name, Genesis string }
		Members []newMember
	}
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.Equal(t, "testnet", v.Network.Name)
	require.NotEmpty(t, v.Network.Genesis)
	require.Len(t, v.Members, 2)
	require.Equal(t, "t01000", v.Members[0].Miner)
	require.Empty(t, v.Members[1].Miner)
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, left, 1, "something was left beside the network")
	return dir
}

func TestNetworkThenInit(t *testing.T) {
	net := newNetwork(t)
	code, out, _ := run(t, "", "network", "info", net)
	require.Zero(t, code)
	require.Contains(t, out, "proves nothing to anyone")

	dir := filepath.Join(t.TempDir(), "node")
	code, out, errOut := run(t, "", "--repo", dir, "init", "--json", "--network", net, "--preseal", filepath.Join(net, "miner-0"), "--no-passphrase", "--listen", "/ip4/127.0.0.1/tcp/0")
	require.Zero(t, code, errOut)
	var b struct{ Repo, Network, Peer, Address, Miner string }
	require.NoError(t, json.Unmarshal([]byte(out), &b))
	require.Equal(t, "t01000", b.Miner)

	m, err := devnet.ReadMember(filepath.Join(net, "miner-0"))
	require.NoError(t, err)
	require.Equal(t, m.Keys[0].Address.String(), b.Address)
	keys, err := wallet.Open(filepath.Join(dir, "keystore"), wallet.Options{})
	require.NoError(t, err)
	require.True(t, keys.Plain())
	require.Len(t, keys.List(), len(m.Keys))

	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	require.Equal(t, repo.MiningConfig{Enabled: true, Miner: "t01000"}, r.Config().Mining)
	require.Equal(t, []string{"/ip4/127.0.0.1/tcp/0"}, r.Config().Libp2p.ListenAddresses)
	require.FileExists(t, filepath.Join(dir, "preseal", "preseal.json"))

	// A second daemon on the same repo is refused while we have it.
	code, _, errOut = run(t, "", "--repo", dir, "daemon")
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "repo is in use")
	require.Contains(t, errOut, "another folder with --repo")
	require.NoError(t, r.Close())

	code, _, errOut = run(t, "", "--repo", dir, "init", "--network", net, "--no-passphrase")
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "exists already")

	code, out, _ = run(t, "", "--repo", dir, "config", "show")
	require.Zero(t, code)
	require.Contains(t, out, `Miner = "t01000"`)
	code, out, _ = run(t, "", "--repo", dir, "network", "info")
	require.Zero(t, code)
	require.Contains(t, out, "testnet")
}

func TestInitWithPassphraseAndKey(t *testing.T) {
	net := newNetwork(t)
	tmp := t.TempDir()
	secret := filepath.Join(tmp, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("open sesame\n"), 0o600))
	key := filepath.Join(tmp, "key")
	k, err := devnet.ReadMember(filepath.Join(net, "account-0"))
	require.NoError(t, err)
	text, err := wallet.KeyInfo{Type: k.Keys[0].Type, PrivateKey: k.Keys[0].Private}.Hex()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte(text+"\n"), 0o600))

	dir := filepath.Join(tmp, "node")
	code, out, errOut := run(t, "", "--repo", dir, "init", "--network", filepath.Join(net, "network.toml"), "--passphrase-file", secret, "--import-key", key)
	require.Zero(t, code, errOut)
	require.Contains(t, out, k.Keys[0].Address.String())
	keys, err := wallet.Open(filepath.Join(dir, "keystore"), wallet.Options{Passphrase: []byte("open sesame")})
	require.NoError(t, err)
	require.False(t, keys.Plain())
	require.True(t, keys.Has(k.Keys[0].Address))

	// Without its passphrase the node does not start.
	code, _, errOut = run(t, "", "--repo", dir, "daemon")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "LODE_PASSPHRASE_FILE")
	require.NoError(t, os.WriteFile(secret, []byte("wrong"), 0o600))
	code, _, errOut = run(t, "", "--repo", dir, "daemon", "--passphrase-file", secret)
	require.Equal(t, exitError, code)
	require.Contains(t, strings.ToLower(errOut), "passphrase")
	r, err := repo.Open(dir, nil)
	require.NoError(t, err, "the lock of the failed start was kept")
	require.NoError(t, r.Close())
}

func TestInitBadInput(t *testing.T) {
	net := newNetwork(t)
	tmp := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(tmp, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return p
	}
	empty, noise := write("empty", ""), write("noise", "\x00noise")
	other := newNetwork(t)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no such network":     {[]string{"--network", filepath.Join(tmp, "none"), "--no-passphrase"}, exitError, "no such file"},
		"empty network":       {[]string{"--network", empty, "--no-passphrase"}, exitError, "network:"},
		"network of noise":    {[]string{"--network", noise, "--no-passphrase"}, exitError, "noise"},
		"empty genesis":       {[]string{"--network", net, "--genesis", empty, "--no-passphrase"}, exitError, "not a CAR"},
		"other genesis":       {[]string{"--network", net, "--genesis", filepath.Join(other, "genesis.car"), "--no-passphrase"}, exitError, "genesis does not match"},
		"no such member":      {[]string{"--network", net, "--preseal", tmp, "--no-passphrase"}, exitError, "not a folder that lode network new wrote"},
		"key of noise":        {[]string{"--network", net, "--import-key", noise, "--no-passphrase"}, exitError, "noise"},
		"empty passphrase":    {[]string{"--network", net, "--passphrase-file", empty}, exitError, "is empty"},
		"bad api address":     {[]string{"--network", net, "--api-listen", "localhost", "--no-passphrase"}, exitError, "API.ListenAddress"},
		"no such passphrase":  {[]string{"--network", net, "--passphrase-file", filepath.Join(tmp, "none")}, exitError, "no such file"},
		"no terminal to type": {[]string{"--network", net}, exitUsage, "--no-passphrase"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "node")
			code, _, errOut := run(t, "", append([]string{"--repo", dir, "init"}, c.args...)...)
			require.Equal(t, c.code, code, errOut)
			require.Contains(t, errOut, c.want)
			left, err := os.ReadDir(filepath.Dir(dir))
			require.NoError(t, err)
			require.Empty(t, left, "something was left behind")
		})
	}
}

func TestNetworkNewLeavesNothingBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	code, _, errOut := run(t, "", "network", "new", "--out", dir, "--proofs", "insecure", "--sector-size", "2KiB", "--miners", "0")
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "miners")
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Empty(t, left)
}
