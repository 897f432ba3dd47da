// Package proofs names what the rest of lode asks of a proof system: a Verifier, which the
// chain uses, and a Prover, which a provider uses.
//
// A proof system is a package of its own (snark, or insecure for tests) that implements both.
// What is below them is the same for all systems, from the ground up: fr32 (bytes as field
// elements), commitment (CIDs), poseidon, merkle (trees), registry (what the numbers of
// registered proofs stand for), commp (pieces), sdr (graph and labels), porep (sealing) and
// post (proving again and again). bench measures them. Nothing here opens a file, reads a
// clock or draws randomness, with two exceptions: params, which keeps keys in files, and the
// prover of groth16, whose proofs are random.
package proofs
