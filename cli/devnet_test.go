package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/devnet"
)

// Down of a devnet says what it left, for people and for programs.
func TestDevnetDown(t *testing.T) {
	net := types.Devnet()
	net.Policy.SectorSize, net.Policy.MinPower = 2<<10, 2<<10
	dir := filepath.Join(t.TempDir(), "net")
	_, err := devnet.Found(t.Context(), dir, devnet.Spec{Network: net, Nodes: 2, Miners: 1, PresealedSectors: 1}, func(string, float64) {})
	require.NoError(t, err)

	code, out, errOut := run(t, "", "devnet", "down", "--dir", dir, "--json")
	require.Zero(t, code, errOut)
	var st struct {
		Dir   string
		Nodes []struct {
			Name    string
			PID     int
			Healthy bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &st))
	require.Equal(t, dir, st.Dir)
	require.Len(t, st.Nodes, 2)
	require.Zero(t, st.Nodes[0].PID)
	require.False(t, st.Nodes[0].Healthy)

	code, out, _ = run(t, "", "devnet", "down", "--dir", dir)
	require.Zero(t, code)
	require.Contains(t, out, "lode devnet up --dir "+dir)

	code, _, errOut = run(t, "", "devnet", "down", "--dir", filepath.Join(dir, "node-0"))
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "no devnet in this folder")
}

// What cannot be a network or a level of the log is refused before anything is made.
func TestDemoRefusesFlags(t *testing.T) {
	for _, c := range []struct {
		args, text string
		code       int
	}{
		{"--log loud", "debug, info, warn or error", exitUsage},
		{"--epoch 1500ms", "whole seconds", exitUsage},
		{"--proofs none", "there are groth16 and insecure", exitUsage},
		{"--sector-size 3KiB --proofs insecure", "sector size", exitError},
		{"--nodes 0 --proofs insecure", "at least one node", exitError},
	} {
		code, out, errOut := run(t, "", append([]string{"demo", "--json"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.code, code, c.args)
		require.Contains(t, errOut, c.text)
		require.Empty(t, out)
	}
}
