// Package vm executes messages and whole tipsets natively: the actors of specs-actors run
// as Go code over a state tree, with the gas schedule, exit codes and fees of their network
// version (spec chain.md c.2, c.3, c.6, c.7 and d).
//
// The same input gives the same output on every machine. The package does no I/O but
// through the block store it is given, starts no goroutine, and keeps no state besides the
// actors' policy (SetNetwork), which specs-actors holds in package variables. Whatever a
// message contains, a VM answers with a receipt; an error means that this node could not
// execute (a block is missing, the context ended), never that a message was bad.
//
// Production networks run actors v8 at network version 16. The registry can be replaced, so
// that the public test vectors run older actors on the same machine.
//
// Start with vm.go (Env, VM), apply.go (one message), call.go (one call), runtime.go (what
// an actor sees) and tipset.go. The consensus engine, the genesis builder and gas
// estimation call it.
package vm
