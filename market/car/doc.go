// Package car reads and writes CARv1 streams (spec chain.md i): a header with roots, then
// sections of a CID and a block.
//
// It works on readers and writers, checks every hash it reads, and allocates no more than
// one block of MaxBlock bytes. Writers of pieces, the index and retrieval use it.
package car
