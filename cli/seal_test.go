package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/proofs/bench"
)

func TestSealUnsealProve(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	data := bytes.Repeat([]byte("lode "), 300)
	require.NoError(t, os.WriteFile(path("file"), data, 0o600))

	code, out, errOut := run(t, "", "seal", path("file"), "--dir", path("out"), "--sector", "7")
	require.Zero(t, code, errOut)
	require.Contains(t, errOut, "labels 100 %")
	for _, want := range []string{"CommP", "CommD", "Replica id", "CommR", "bagboea4b5abc", path("out/sealed"), "2 KiB"} {
		require.Contains(t, out, want)
	}
	code, _, errOut = run(t, "", "seal", path("file"), "--dir", path("out"))
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "another folder")

	code, out, errOut = run(t, "", "--json", "-q", "seal", path("file"), "--dir", path("again"), "--sector", "7")
	require.Zero(t, code, errOut)
	require.Empty(t, errOut)
	var sealed struct {
		CommR map[string]string `json:"comm_r"`
		Steps []any             `json:"steps"`
		Files []any             `json:"files"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &sealed))
	require.Len(t, sealed.Steps, 3)
	require.NotEmpty(t, sealed.CommR["/"])
	require.GreaterOrEqual(t, len(sealed.Files), 8)

	code, _, errOut = run(t, "", "unseal", "--dir", path("out"), "-o", path("back"))
	require.Zero(t, code, errOut)
	back, err := os.ReadFile(path("back"))
	require.NoError(t, err)
	require.Equal(t, data, back)
	for _, args := range [][]string{
		{"unseal", "--dir", path("out"), "-o", path("written"), "--json"},
		{"proof", "make", "--dir", path("out"), "--kind", "seal", "-o", path("written"), "--json"},
	} {
		code, out, errOut = run(t, "", args...)
		require.Zero(t, code, errOut)
		var v struct {
			Output string
			Bytes  int
		}
		require.NoError(t, json.Unmarshal([]byte(out), &v))
		b, err := os.ReadFile(path("written"))
		require.NoError(t, err)
		require.Equal(t, path("written"), v.Output)
		require.Len(t, b, v.Bytes)
	}

	code, out, _ = run(t, "", "unseal", "--dir", path("out"), "--offset", "5", "--length", "11")
	require.Zero(t, code)
	require.Equal(t, string(data[5:16]), out)

	for _, args := range [][]string{{"--kind", "seal"}, {"--kind", "window-post"}, {"--kind", "winning-post"}, {"--proofs", "insecure"}} {
		code, proof, errOut := run(t, "", append([]string{"proof", "make", "--dir", path("out")}, args...)...)
		require.Zero(t, code, errOut)
		code, out, errOut = run(t, proof, "proof", "verify", "-")
		require.Zero(t, code, errOut)
		require.Contains(t, out, "proof holds")
		code, out, errOut = run(t, proof, "proof", "verify", "-", "--json")
		require.Zero(t, code, errOut)
		require.Contains(t, out, `"holds": true`)
		code, _, errOut = run(t, strings.Replace(proof, `"sector": 7`, `"sector": 8`, 1), "proof", "verify", "-")
		require.Equal(t, exitError, code, "a proof of another sector holds")
		require.Contains(t, errOut, "does not hold")
	}

	keys := []string{"LODE_PARAMS=" + path("keys")}
	code, proof, errOut := runIn(t, keys, fakeNode(), "", "proof", "make", "--dir", path("out"), "--kind", "window-post", "--proofs", "groth16")
	require.Zero(t, code, errOut)
	require.Contains(t, errOut, "make keys")
	code, out, errOut = runIn(t, keys, fakeNode(), proof, "proof", "verify", "-")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "(groth16, by keys of a public seed, so anyone can forge it)")
	for args, text := range map[string]string{"groth16": "no such file", "vanilla": "--network is for", "insecure": "--network is for", "unheard": "no proof system"} {
		more := []string{"--network", path("none")}
		if args == "unheard" {
			more = nil
		}
		code, _, errOut = run(t, "", append([]string{"proof", "make", "--dir", path("out"), "--proofs", args}, more...)...)
		require.NotZero(t, code)
		require.Contains(t, errOut, text)
	}

	// What was damaged since gives no file.
	replica, err := os.ReadFile(path("out/sealed"))
	require.NoError(t, err)
	replica[40] ^= 1
	require.NoError(t, os.WriteFile(path("out/sealed"), replica, 0o600))
	code, _, errOut = run(t, "", "unseal", "--dir", path("out"), "-o", path("damaged"))
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "does not match its commitment")
	for _, name := range []string{"damaged", "damaged.part"} {
		_, err = os.Lstat(path(name))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

func TestSealRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, make([]byte, 3000), 0o600))
	out := filepath.Join(dir, "out")
	for _, c := range []struct {
		code int
		text string
		args []string
	}{
		{exitUsage, "--dir", []string{"seal", file}},
		{exitUsage, "--ticket", []string{"seal", file, "--dir", out, "--ticket", "12"}},
		{exitUsage, "not a size", []string{"seal", file, "--dir", out, "--sector-size", "big"}},
		{exitUsage, "exclude", []string{"seal", file, "--dir", out, "--sector-size", "8MiB", "--proof-type", "5"}},
		{exitError, "no sector has", []string{"seal", file, "--dir", out, "--sector-size", "4KiB"}},
		{exitError, "2032", []string{"seal", file, "--dir", out, "--sector-size", "2KiB"}},
		{exitError, "seal proof 77", []string{"seal", file, "--dir", out, "--proof-type", "77"}},
		{exitError, "no such file", []string{"seal", file + "x", "--dir", out}},
		{exitError, "not a file", []string{"seal", dir, "--dir", out}},
		{exitUsage, "--dir", []string{"unseal"}},
		{exitError, "lode seal makes one", []string{"unseal", "--dir", dir}},
		{exitUsage, "--dir", []string{"proof", "make"}},
		{exitUsage, "--randomness", []string{"proof", "make", "--dir", dir, "--randomness", "0"}},
		{exitError, "lode seal makes one", []string{"proof", "make", "--dir", dir}},
		{exitError, "not a proof", []string{"proof", "verify", file}},
		{exitError, "no such file", []string{"proof", "verify", file + "x"}},
	} {
		code, _, errOut := run(t, "", c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errOut)
		require.Contains(t, errOut, c.text, "%v", c.args)
	}
	_, err := os.Lstat(out)
	require.ErrorIs(t, err, os.ErrNotExist, "something refused left a folder")
}

func TestBenchProofs(t *testing.T) {
	dir := t.TempDir()
	const sealing = "--only=labels,hashes,pieces,sector"
	code, out, errOut := run(t, "", "bench", "proofs", sealing, "--sector-size", "2KiB", "--measure", "1ms", "--dir", dir)
	require.Zero(t, code, errOut)
	for _, want := range []string{"label layer 1", "Poseidon arity 8", "triplewz/poseidon", "CommP", "go-fil-commp-hashhash", "tree C", "sealing to CommR", "≥ 0.80", "≥ 2.00"} {
		require.Contains(t, out, want)
	}
	code, out, errOut = run(t, "", "--json", "-q", "bench", "proofs", sealing, "--measure", "1ms", "--dir", dir)
	require.Zero(t, code, errOut)
	var r struct {
		Rows []struct {
			Ratio float64 `json:"ratio"`
		} `json:"rows"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.NotEmpty(t, r.Rows)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "the bench left files behind")
	code, _, _ = run(t, "", "bench", "proofs", "--sector-size", "3KiB")
	require.Equal(t, exitError, code)
	code, _, errOut = run(t, "", "bench", "proofs", "--only", "snarks")
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "circuits")
}

// Every kind of row that there is.
func TestBenchTable(t *testing.T) {
	r := &bench.Report{SectorSize: 2048, Cores: 2, Rows: []bench.Row{
		{Name: "label layer 1", Rate: 940123, Unit: "labels/s", Cores: 2, Peer: "crypto/sha256", PeerRate: 1e6, Ratio: 0.94, Want: 0.8},
		{Name: "tree D", Rate: 667, Unit: "leaves/s", Cores: 2, Note: "96µs"},
		{Name: "PoRep of 2048 bytes", Rate: 1569333, Unit: bench.Constraints, Peer: "the reference", PeerRate: 2687921, Ratio: 0.584, AtMost: 1},
		{Name: "bits of any node", Rate: 388, Unit: bench.Constraints, Note: "strict here only", Peer: "the reference", PeerRate: 256, Ratio: 1.516},
		{Name: "prove replication", Skipped: "there are no keys"},
	}}
	var text strings.Builder
	require.NoError(t, benchTable(&text, r))
	asJSON, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	golden(t, "bench", text.String()+"\n"+string(asJSON)+"\n")
}
