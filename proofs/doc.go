// Package proofs names what the rest of lode asks of a proof system: a Verifier, which the
// chain uses, and a Prover, which a provider uses.
//
// A proof system is a package of its own (proofs/insecure; proofs/groth16 later) that
// implements both. The replicas, trees and vanilla proofs below them are the same for all
// systems: fr32, poseidon, merkle, sdr, porep, post. Nothing here opens a file, reads a
// clock or draws randomness.
package proofs
