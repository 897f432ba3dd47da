// Package commitment turns the commitments of data and replicas into CIDs and back
// (spec: proofs 1.5).
//
// It refuses a CID of another kind, and one whose digest is not a field element: such a
// commitment belongs to nothing. Everything that meets CommP, CommD or CommR as a CID goes
// through it.
package commitment
