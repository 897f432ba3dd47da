// Package poseidon is the hash of the sealed trees: Poseidon over the BLS12-381 scalar
// field in neptune's instance (spec: proofs 3).
//
// A Params is immutable and safe from many goroutines. Arity returns those that sealing
// uses, built once a process on first use; New builds any other. Two forms give the same
// output: plain.go is the definition, sparse.go the one that is fast enough to seal with;
// tests hold them against each other. Read params.go, then plain.go.
package poseidon
