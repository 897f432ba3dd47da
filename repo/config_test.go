package repo_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/repo"
)

func TestConfigRoundTrip(t *testing.T) {
	want := repo.DefaultConfig()
	want.Libp2p.ConnMgrGrace = 90 * time.Second
	want.Mining = repo.MiningConfig{Enabled: true, Miner: "t01000"}
	b, err := want.Encode()
	require.NoError(t, err)
	got, err := repo.ParseConfig(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	empty, err := repo.ParseConfig(nil)
	require.NoError(t, err)
	require.Equal(t, repo.DefaultConfig(), empty)
}

func TestConfigErrorsNameLineAndKey(t *testing.T) {
	for text, want := range map[string]string{
		"[API]\nListenAddress = \"localhost:1\"":             `line 2: API.ListenAddress: "localhost:1" is not a multiaddr`,
		"[API]\n# c\nAllowedOrigins = [\"x\"]":               "line 3: API.AllowedOrigins",
		"API.MaxRequestBytes = 3":                            "line 1: API.MaxRequestBytes",
		"[Api]\nlistenaddress = \"x\"":                       "line 2: API.ListenAddress",
		"[Libp2p]\nConnMgrLow = 200":                         "ConnMgrHigh: 180 is below ConnMgrLow",
		"[Libp2p]\nConnMgrGrace = \"soon\"":                  "line 2",
		"[Libp2p]\nConnMgrGrace = \"-1s\"":                   "line 2: Libp2p.ConnMgrGrace: -1s is negative",
		"[Libp2p]\nConnMgrHigh = \"many\"":                   "line 2",
		"[Libp2p]\nBootstrap = [\"/ip4/1.2.3.4/tcp/5\"]":     "line 2: Libp2p.Bootstrap",
		"[Libp2p]\nListenAddresses = [\"/ip4/1.2.3/tcp/5\"]": "line 2: Libp2p.ListenAddresses",
		"[Libp2p]\nAnnounceAddresses = [\"here\"]":           "line 2: Libp2p.AnnounceAddresses",
		"[Libp2p]\nNoAnnounceAddresses = [\"here\"]":         "line 2: Libp2p.NoAnnounceAddresses",
		"[Libp2p]\nRelays = [\"/ip4/1.2.3.4/tcp/5\"]":        "line 2: Libp2p.Relays",
		"[Libp2p]\nDHT = \"sometimes\"":                      "line 2: Libp2p.DHT",
		"[Libp2p]\nMaxPeers = -1":                            "line 2: Libp2p.MaxPeers: -1 is negative",
		"[Heartbeat]\nBeatTarget = \"/ip4/1.2.3.4/tcp/5\"":   "line 2: Heartbeat.BeatTarget",
		"\n\n[Logging]\nLevel = \"loud\"":                    "line 4: Logging.Level",
		"[Logging]\nFormat = \"xml\"":                        "line 2: Logging.Format",
		"[Fees]\nDefaultMaxFee = \"much\"":                   "line 2",
		"[Fees]\nDefaultMaxFee = \"0\"":                      "line 2: Fees.DefaultMaxFee",
		"[Mining]\nEnabled = true":                           "without the address of a miner",
		"[Mining]\nMiner = \"me\"":                           "line 2: Mining.Miner",
		"[Dealmaking]\nPieceCidBlocklist = [\"x\"]":          "line 2: Dealmaking.PieceCidBlocklist",
		"[Retrieval]\nListenAddress = \"80\"":                "line 2: Retrieval.ListenAddress",
		"[Retrieval]\nPublicURL = \"me\"":                    "line 2: Retrieval.PublicURL",
		"[Retrieval]\nPublicURL = \"https://example.org/a\"": "has a path",
		"[Sealing]\nLabels = -1":                             "line 2: Sealing.Labels: -1 is negative",
		"[Storage]\nPath = 1":                                `line 1: there is no setting "Storage"`,
		"x = 1":                                              `line 1: there is no setting "x"`,
		"[API]\n[API]":                                       "line 2",
		"= 3":                                                "line 1",
	} {
		_, err := repo.ParseConfig([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(path, []byte("[Logging]\nLevel = \"warn\"\n"), 0o600))
	c, err := repo.LoadConfig(path, []string{
		"LODE_API_LISTENADDRESS=/ip4/127.0.0.1/tcp/0/http", "LODE_LIBP2P_CONNMGRGRACE=5s", "LODE_LIBP2P_CONNMGRHIGH=300",
		"LODE_FEES_DEFAULTMAXFEE=1 nanofil", "LODE_SEALING_ALWAYSKEEPUNSEALEDCOPY=false", "LODE_DEALMAKING_MAXSTAGINGDEALSBYTES=9",
		"LODE_API_ALLOWEDORIGINS=https://a.example, https://b.example",
		"LODE_PATH=/x", "LODE_API_INFO=token:/ip4/1.1.1.1/tcp/1", "LODE_VECTORS=1", "HOME=/", "LODE_LONG=1",
	})
	require.NoError(t, err)
	require.Equal(t, "warn", c.Logging.Level)
	require.Equal(t, "/ip4/127.0.0.1/tcp/0/http", c.API.ListenAddress)
	require.Equal(t, 5*time.Second, c.Libp2p.ConnMgrGrace)
	require.Equal(t, 300, c.Libp2p.ConnMgrHigh)
	require.Equal(t, "1 nanoFIL", c.Fees.DefaultMaxFee.Short())
	require.False(t, c.Sealing.AlwaysKeepUnsealedCopy)
	require.EqualValues(t, 9, c.Dealmaking.MaxStagingDealsBytes)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.API.AllowedOrigins)
	for _, bad := range []string{"LODE_API_LISTENADRESS=x", "LODE_LIBP2P_CONNMGRGRACE=x", "LODE_LIBP2P_CONNMGRHIGH=x",
		"LODE_SEALING_ALWAYSKEEPUNSEALEDCOPY=maybe", "LODE_LOGGING_LEVEL=loud", "LODE_SEALING_LABELS=-2"} {
		_, err := repo.LoadConfig(path, []string{bad})
		require.ErrorIs(t, err, repo.ErrConfig, bad)
	}
}

func FuzzParseConfig(f *testing.F) {
	b, err := repo.DefaultConfig().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("[API]\nx=1"))
	f.Add([]byte("a.b.c = [[{}]]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := repo.ParseConfig(b)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repo.ParseConfig(again); err != nil {
			t.Fatalf("%q became %q, which is refused: %v", b, again, err)
		}
	})
}
