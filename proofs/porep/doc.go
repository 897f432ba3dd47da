// Package porep seals sectors and proves that a replica is there: labels, trees, CommR, the
// vanilla proof and its direct check, and the way back from replica to data (spec: proofs
// 4.4 to 6).
//
// The steps are Label, Commit and Prove, in that order, each repeatable; they leave a
// sector's state in Files, which the caller owns. What Prove returns is what a proof system
// turns into a succinct proof; Verify checks it without one. Everything streams: memory is
// bounded by the cores, and by some 32 MiB for layers of small sectors, besides what the
// system keeps of mapped layers as long as it has nothing better to do with it. All goroutines end before a step
// returns. Read porep.go, then label.go and commit.go.
package porep
