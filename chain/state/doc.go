// Package state holds the state tree: the actors of the network by ID address, with
// snapshots that can be reverted, and the addresses that the init actor knows (spec
// chain.md b.6, d.1).
//
// A Tree is used by one goroutine, for the execution of messages of one epoch or of a few.
// A Buffer keeps what such an execution writes until it is known what of it the new root
// reaches; only that is stored. Neither charges gas: the VM does. Sub-packages: amt, the
// arrays of messages and receipts; view, typed reading of actors v8 state.
//
// Start with tree.go. The VM and the genesis builder call it.
package state
