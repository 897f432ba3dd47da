// Package registry says what the numbers of registered proofs stand for: sector sizes,
// layers, tree shapes, how many challenges and partitions (spec: proofs 2).
//
// It is a table; it computes nothing of a proof. Everything from sdr up reads it.
package registry
