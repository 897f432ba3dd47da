// Package mining makes blocks: for each round it draws the election, proves a winning sector,
// selects messages, and publishes at the round's time (spec chain.md e.12).
//
// Block is the pure part: everything that goes into a block in, the block out. Miner is the
// loop for one miner actor; it runs in the goroutine of Run, can be run again after it
// ended, validates a block of its own before it is shown, and never publishes what the slash
// filter refuses. Where the beacon is known before its epochs, a second goroutine, which Run
// waits for, makes winning PoSts ahead of their rounds. It decides nothing about the chain
// and reads all it needs through small interfaces.
//
// Start with miner.go, then round.go, ahead.go, block.go and slash.go.
package mining
