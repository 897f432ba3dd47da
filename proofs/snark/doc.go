// Package snark is the proof system "groth16": succinct proofs of replication and spacetime
// that are 192 bytes a partition and cost a few milliseconds to check.
//
// It joins circuit, which says what is proven, with groth16, which proves and verifies. A
// Verifier needs the verifying keys of a network alone. A Prover also needs proving keys,
// which it asks a Store for; it checks the vanilla proof before it spends minutes on it. What
// a Verifier answers depends on its keys and the statement, on nothing else, so that it is the
// same on every node.
//
// A PoSt is not bound to the prover's id by its circuit, as in the reference (spec: proofs
// 8.2): the chain binds it by drawing the randomness for the miner. A proof of replication is,
// by the replica id.
//
// Nothing here starts a goroutine. Read verify.go, then prove.go; keys.go is about the keys of new networks.
package snark
