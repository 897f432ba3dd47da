// Package sdr is the slow part of sealing: the stacked depth-robust graph, the labels of its
// nodes, and the encoding of data with the last layer's (spec: proofs 4).
//
// A Graph computes the parents of any node on its own, and never answers otherwise than
// before. Labels makes a layer from the one before, both of which it reads and writes
// through what it is given, and keeps a few windows of nodes in memory; a small graph it does
// in memory altogether. Its goroutines end before it returns. Read graph.go, then label.go,
// then layer.go, memory.go and pipeline.go.
package sdr
