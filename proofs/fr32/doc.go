// Package fr32 turns bytes into field elements: the padding of payload so that every 32
// bytes are an element of the BLS12-381 scalar field, and the reading and writing of such
// elements (spec: proofs 0 and 1.1).
//
// It keeps no state beyond one stream's buffer and starts no goroutine. Everything that
// hashes, seals or stores sector data works on its output. Read fr32.go, then pad.go.
package fr32
