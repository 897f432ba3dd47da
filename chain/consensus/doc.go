// Package consensus holds the rules of Expected Consensus: how heavy a tipset is, what its
// messages pay, which randomness it draws, who may make the next block, whether a block is
// valid, and what state a tipset leaves (spec chain.md c.5, d.10, e).
//
// Everything here follows from the chain, the beacon, the proof verifier and the clock that
// an Engine was given; it keeps only caches. It never moves the head and never fetches: a
// missing ancestor or state block is an error that is not ErrInvalid. It writes nothing but
// the state of executed tipsets.
//
// An Engine starts no goroutine that outlives a call. Start with engine.go and validate.go;
// rules.go lists every rule that can be broken. Sync, mining, the message pool and the api
// call it.
package consensus
