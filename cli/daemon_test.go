package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/repo"
)

// locked is a buffer that a daemon writes to while the test reads.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// onRepo runs a real command line on a repo.
func onRepo(ctx context.Context, dir string, errOut *locked, args ...string) (int, string) {
	var out bytes.Buffer
	std := Std{In: strings.NewReader(""), Out: &out, Err: errOut, Env: []string{"HOME=" + dir}}
	code := Main(ctx, append([]string{"--repo", dir, "--timeout", "5m"}, args...), std)
	return code, out.String()
}

// startDaemon runs a daemon; the channel gives its exit code.
func startDaemon(ctx context.Context, dir string, log *locked, flags ...string) <-chan int {
	done := make(chan int, 1)
	go func() {
		var out bytes.Buffer
		done <- Main(ctx, append([]string{"--repo", dir, "daemon"}, flags...), Std{In: strings.NewReader(""), Out: &out, Err: log, Env: []string{"HOME=" + dir}})
	}()
	return done
}

// TestDaemon runs a miner of its own network through its life: start, mine, send, stop over
// the api, start again, stop by a signal.
func TestDaemon(t *testing.T) {
	net := newNetwork(t)
	dir := filepath.Join(t.TempDir(), "node")
	var log locked
	code, _ := onRepo(t.Context(), dir, &log, "init", "--network", net, "--preseal", filepath.Join(net, "miner-0"), "--no-passphrase",
		"--api-listen", "/ip4/127.0.0.1/tcp/0/http", "--listen", "/ip4/127.0.0.1/tcp/0")
	require.Zero(t, code, log.String())

	done := startDaemon(t.Context(), dir, &log)
	code, _ = onRepo(t.Context(), dir, &log, "wait-api")
	require.Zero(t, code, log.String())

	code, out := onRepo(t.Context(), dir, &log, "wallet", "default")
	require.Zero(t, code, log.String())
	code, out = onRepo(t.Context(), dir, &log, "--json", "send", strings.TrimSpace(out), "0.5", "--yes", "--wait")
	require.Zero(t, code, log.String())
	var sent struct {
		Height  int64
		Receipt struct{ ExitCode int64 }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &sent))
	require.Positive(t, sent.Height)

	// A message that fails on chain has an exit code of its own: no actor has method 99.
	code, _ = onRepo(t.Context(), dir, &log, "send", "t01000", "0", "--method", "99", "--yes", "--wait")
	require.NotZero(t, code)

	code, _ = onRepo(t.Context(), dir, &log, "stop")
	require.Zero(t, code, log.String())
	require.Zero(t, <-done, log.String())
	code, _ = onRepo(t.Context(), dir, &log, "chain", "head")
	require.Equal(t, exitUnreachable, code)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done = startDaemon(ctx, dir, &log)
	code, _ = onRepo(t.Context(), dir, &log, "wait-api")
	require.Zero(t, code, log.String())
	code, out = onRepo(t.Context(), dir, &log, "--json", "chain", "head")
	require.Zero(t, code, log.String())
	var head struct{ Height int64 }
	require.NoError(t, json.Unmarshal([]byte(out), &head))
	require.GreaterOrEqual(t, head.Height, sent.Height, "the chain was lost")
	cancel()
	select {
	case code := <-done:
		require.Zero(t, code, log.String())
	case <-time.After(5 * time.Minute):
		t.Fatal("the daemon does not stop")
	}
}

func TestDaemonWithoutItsPort(t *testing.T) {
	network := newNetwork(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() // the end of the test
	port := strings.TrimPrefix(l.Addr().String(), "127.0.0.1:")
	dir := filepath.Join(t.TempDir(), "node")
	var log locked
	code, _ := onRepo(t.Context(), dir, &log, "init", "--network", network, "--no-passphrase", "--api-listen", "/ip4/127.0.0.1/tcp/"+port+"/http", "--listen", "/ip4/127.0.0.1/tcp/0")
	require.Zero(t, code, log.String())
	require.Equal(t, exitError, <-startDaemon(t.Context(), dir, &log))
	require.Contains(t, log.String(), "address already in use")
	require.Contains(t, log.String(), "API.ListenAddress")
	r, err := repo.Open(dir, nil)
	require.NoError(t, err, "the failed start kept the lock")
	require.NoError(t, r.Close())
	_, err = os.Stat(filepath.Join(dir, "api"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A node of a devnet that can give no sign of life ends and says why: the clock of the network
// would be turned back at its next start.
func TestDaemonWithoutSignOfLife(t *testing.T) {
	network := newNetwork(t)
	dir, folder := filepath.Join(t.TempDir(), "node"), t.TempDir()
	var log locked
	code, _ := onRepo(t.Context(), dir, &log, "init", "--network", network, "--no-passphrase", "--api-listen", "/ip4/127.0.0.1/tcp/0/http", "--listen", "/ip4/127.0.0.1/tcp/0")
	require.Zero(t, code, log.String())
	require.NoError(t, os.WriteFile(filepath.Join(folder, "alive"), nil, 0o600)) // where a folder belongs
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	require.Equal(t, exitError, <-startDaemon(ctx, dir, &log, "--devnet", folder), log.String())
	require.NoError(t, ctx.Err(), "it went on")
	require.Contains(t, log.String(), "sign of life")
}

// TestL18OfflineDaemon: a node without a network answers, and says what it is.
func TestL18OfflineDaemon(t *testing.T) {
	net := newNetwork(t)
	dir := filepath.Join(t.TempDir(), "node")
	var log locked
	code, _ := onRepo(t.Context(), dir, &log, "init", "--network", net, "--no-passphrase", "--api-listen", "/ip4/127.0.0.1/tcp/0/http", "--listen", "/ip4/127.0.0.1/tcp/0")
	require.Zero(t, code, log.String())
	done := startDaemon(t.Context(), dir, &log, "--offline")
	code, _ = onRepo(t.Context(), dir, &log, "wait-api")
	require.Zero(t, code, log.String())

	code, out := onRepo(t.Context(), dir, &log, "net", "listen")
	require.Zero(t, code, log.String())
	require.Empty(t, out)
	code, out = onRepo(t.Context(), dir, &log, "status")
	require.Zero(t, code, log.String())
	require.Contains(t, out, "the node is offline")
	code, _ = onRepo(t.Context(), dir, &log, "ping", fakePeer.String(), "-c", "1")
	require.Equal(t, exitError, code)
	require.Contains(t, log.String(), "start it without --offline")

	at, err := os.ReadFile(filepath.Join(dir, "api"))
	require.NoError(t, err)
	port := strings.Split(strings.TrimSpace(string(at)), "/")[4]
	answer, err := http.Get("http://127.0.0.1:" + port + "/debug/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "lode_peer_bans 0")

	code, _ = onRepo(t.Context(), dir, &log, "stop")
	require.Zero(t, code, log.String())
	require.Zero(t, <-done, log.String())
}
