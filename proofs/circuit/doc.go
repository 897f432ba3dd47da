// Package circuit states what the succinct proofs say: the circuits of replication and of
// spacetime, their public inputs and their witnesses (spec: proofs 8).
//
// It proves and verifies nothing, and keeps no keys. A Statement is the shape of one proof,
// and compiles to a constraint system of gnark; the Inputs functions give a verifier the
// public inputs from what is claimed; the Witness functions give a prover all values from a
// vanilla proof. Everything is deterministic and safe from many goroutines.
//
// Circuits use no commitment, lookup or emulated field of gnark's, so that a Groth16 proof is
// three points. Read porep.go and post.go for the statements, then the gadgets: path.go,
// datapath.go, label.go, and below them sha256.go, word.go, boolean.go, poseidon.go, node.go.
package circuit
