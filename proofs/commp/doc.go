// Package commp computes the commitments of data: CommP of a piece as it streams past, and
// CommD of a sector from its pieces (spec: proofs 1.1 to 1.4).
//
// A Writer holds a fixed buffer and one node a tree row, whatever the piece's size. Nothing
// here starts a goroutine. Read commp.go, then commd.go.
package commp
