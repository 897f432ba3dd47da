// Package sdr is the slow part of sealing: the stacked depth-robust graph, the labels of its
// nodes, and the encoding of data with the last layer's (spec: proofs 4).
//
// A Graph is immutable and computes the parents of any node on its own. Labels keeps one
// layer and the one before it in memory, 64 bytes a node; its goroutines end before it
// returns. It reads and writes no file. Read graph.go, then label.go, then layer.go.
package sdr
