// Package livechain makes chains of real blocks for tests: a genesis with miners whose 2 KiB
// sectors are really sealed, elections that are really drawn, and blocks that pass every rule
// of consensus, on a clock that the test moves. Only the succinct proofs are insecure.
//
// It is for tests alone. Start with New and Mine.
package livechain
