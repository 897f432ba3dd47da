// Package proving keeps a miner's power: it proves every deadline of every proving period,
// leaves out what it cannot read, declares recoveries, and proves for elections (spec
// markets.md C.4).
//
// The window loop and the election's WinningPoSt share nothing that one could wait for behind
// the other, nor do they wait for sealing. Deciding what to do for a deadline is a pure
// function of the chain (plan.go); Run does it. Messages go through the outbox under one key a
// deadline, period and batch, so a restart sends nothing twice.
//
// All goroutines belong to Run. Read proving.go, then plan.go.
package proving
