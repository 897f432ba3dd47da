// Package merkle builds, stores and climbs the trees of a sector: the binary SHA-256 tree
// over its data and the octal Poseidon trees over columns and replica, which large sectors
// join from several base trees (spec: proofs 1.2 and 5).
//
// A Layout is one full tree in one file; it builds the file and finds paths in it. A Tree
// joins the base trees of a Shape. A Path is checked without either. Files and leaves are
// readers and writers of the caller's. Build uses all cores and returns when its workers
// have; nothing else starts a goroutine. Read layout.go, then path.go.
package merkle
