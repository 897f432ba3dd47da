package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/heartbeat"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

// TestHeartbeatCollect: a node that reports is shown, until the collector is interrupted.
func TestHeartbeatCollect(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, log locked
	done := make(chan int, 1)
	key := filepath.Join(t.TempDir(), "key")
	go func() {
		done <- Main(ctx, []string{"heartbeat", "collect", "--json", "--key", key, "--metrics", "127.0.0.1:0"},
			Std{In: strings.NewReader(""), Out: &out, Err: &log, Env: []string{"HOME=/home/me"}})
	}()
	until(t, &log, func() bool { return strings.Contains(log.String(), "\n") })
	addr := strings.TrimPrefix(strings.Split(log.String(), "\n")[0], "collecting at ")
	target, err := host.ParseAddrs([]string{addr})
	require.NoError(t, err, log.String())

	h := hosttest.New(t, 1, host.Options{})
	beat := func(context.Context) (heartbeat.Beat, error) { return heartbeat.Beat{Height: 7, Nickname: "bee"}, nil }
	reporting, stop := context.WithCancel(t.Context())
	reported := make(chan error, 1)
	go func() {
		reported <- heartbeat.NewReporter(h, target[0], beat, heartbeat.Options{}, clock.System{}, hosttest.Quiet()).Run(reporting)
	}()
	until(t, &log, func() bool { return strings.Contains(out.String(), "\n") })
	stop()
	require.NoError(t, <-reported)
	var r heartbeat.Report
	require.NoError(t, json.NewDecoder(strings.NewReader(out.String())).Decode(&r), out.String())
	require.Equal(t, h.ID(), r.Peer)
	require.EqualValues(t, 7, r.Height)
	require.Equal(t, "bee", r.Nickname)
	cancel()
	require.Zero(t, <-done, log.String())

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() // the end of the test
	var o, e bytes.Buffer
	code := Main(t.Context(), []string{"heartbeat", "collect", "--metrics", l.Addr().String()}, Std{In: strings.NewReader(""), Out: &o, Err: &e})
	require.Equal(t, exitError, code)
	require.Contains(t, e.String(), "--metrics")
}

// until waits for something that another goroutine does. The limit only names what never came; a
// busy machine does not reach it.
func until(t *testing.T, log *locked, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for five minutes; the log: %s", log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
