// Package prover makes long proofs in a child process of the same program, at a lower priority.
//
// A succinct proof of replication takes every core for minutes and gigabytes of memory, and
// nothing can stop it halfway. A winning PoSt must be made within an epoch. So a Prover makes
// winning PoSts in its own process, and hands all other proofs to children that the kernel
// gives what this process leaves, and a tenth at least. A child lives for one proof: its memory is gone
// afterwards, and killing it stops the work. It reads its job from standard input, writes its
// answer to standard output and what it has to say to standard error, which is logged. It
// ends when its standard input does, so that it does not outlive a parent that was killed.
//
// What a child answers is not believed: who asked verifies it, as with any other prover.
// Without a command to run as a child, all proofs are made in this process, as tests do.
//
// Read prover.go, then child.go for the parent's half and serve.go for the child's.
package prover
