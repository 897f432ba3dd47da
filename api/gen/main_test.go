package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProxyIsFresh(t *testing.T) {
	want, err := Generate("..")
	require.NoError(t, err)
	got, err := os.ReadFile("../proxy_gen.go")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go generate in package api")
}
