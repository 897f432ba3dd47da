// Package commp computes the commitments of data: CommP of a piece as it streams past, and
// CommD of a sector from its pieces (spec: proofs 1.1 to 1.4).
//
// A Writer holds a buffer of 2 MiB and one node a tree row, whatever the piece's size. It
// hashes on all cores, in goroutines that end before its methods return. Read commp.go, then
// forest.go and commd.go.
package commp
