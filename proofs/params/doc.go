// Package params keeps the keys of proofs: it finds, generates, checks and removes them, and
// runs the ceremony that makes keys nobody can cheat with.
//
// It is the only package below proofs that opens files. Keys lie in one folder that all
// nodes and processes of a user share. A file there appears whole or not at all, is named by
// the digest of its verifying key, carries a digest of its contents, and is made again when
// that does not fit. Two processes never make the same key at once: the second waits.
//
// Keys come from a public seed, which is for development networks and is called insecure
// wherever it shows, or from a ceremony (ceremony.go). Which keys a network takes is the
// network's to say, by pinning digests.
//
// Read store.go, then generate.go; cache.go is about compiled circuits.
package params

import "github.com/consensys/gnark/constraint"

// Circuit is what keys are made for.
type Circuit interface {
	// Name is the same for as long as the constraints are.
	Name() string
	// Compile gives the same constraints each time. It takes up to a minute.
	Compile() (constraint.ConstraintSystem, error)
	// PublicInputs is how many values a statement has.
	PublicInputs() int
}
