// Package insecure is a proof system for tests and quick devnets in which anyone can make a
// proof of anything: a proof is a hash of the statement.
//
// It proves nothing to others, but it is honest to its user. Its Prover checks the vanilla
// proof before it answers, so a network under it still seals and stores for real; and its
// proofs are bound to the whole statement, so what is accepted was made for just this
// sector, this randomness, this miner. Proofs have the lengths of the real system's. A
// network that uses it says so. It keeps no state. Read insecure.go.
package insecure
