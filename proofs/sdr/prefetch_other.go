//go:build !(amd64 || arm64) || purego

package sdr

// prefetch does nothing here.
func prefetch([]byte, []uint32) {}
