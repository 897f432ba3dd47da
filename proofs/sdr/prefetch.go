//go:build (amd64 || arm64) && !purego

package sdr

// prefetch has the processor fetch the labels of nodes from far, and does not wait for them as
// reading would. Whether they exist does not matter.
//
//go:noescape
func prefetch(labels []byte, nodes []uint32)
