// Package post proves that replicas are still there: which sectors and which of their nodes
// a proof of spacetime opens, the vanilla proof of a sector, and its direct check (spec:
// proofs 7).
//
// A Statement is what a window or winning PoSt claims, checked and put in order; proof
// systems build on it. ProveSector reads a sector's replica and tree R and nothing else, a
// few hundred nodes, so that it is done in a fraction of an epoch. Its goroutines end before
// it returns. Read statement.go, then post.go.
package post
