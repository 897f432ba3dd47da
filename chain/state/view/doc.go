// Package view reads the state that actors v8 keep under a state root: actors, addresses,
// miners, power, deals.
//
// It only reads, holds nothing but the root, and is safe from many goroutines. Whoever
// needs a fact of the chain's state asks here; only chain/vm writes state. Start with View.
package view
