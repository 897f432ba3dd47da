// Package porep seals sectors and proves that a replica is there: labels, trees, CommR, the
// vanilla proof and its direct check, and the way back from replica to data (spec: proofs
// 4.4 to 6).
//
// The steps are Label, Commit and Prove, in that order, each repeatable; they leave a
// sector's state in Files, which the caller owns. What Prove returns is what a proof system
// turns into a succinct proof; Verify checks it without one. Label and Unseal keep two
// layers of labels in memory, 64 bytes a node (so 16 MiB for a sector of 8 MiB); everything
// else streams. All goroutines end before a step returns. Read porep.go, then commit.go.
package porep
