package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGeneratedFilesAreFresh(t *testing.T) {
	proxy, doc, err := generate("..")
	require.NoError(t, err)
	for path, want := range map[string][]byte{"proxy_gen.go": proxy, docFile: doc} {
		got, err := os.ReadFile(filepath.Join("..", path))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s: run go generate in package api", path)
	}
}
