// Package sealing turns pieces into sectors that the chain accepts: it owns the sectors'
// files, the jobs that make them and the messages that announce them (spec markets.md C).
//
// What happens next is decided by storage/sector; this package does it. Jobs are rows of the
// river queue in the node's database, inserted in the transaction that changes the sector, so
// a kill at any moment loses nothing: at the next start an interrupted job begins again. Jobs
// can be repeated: files are written under temporary names, synced and renamed, and messages
// carry idempotency keys.
//
// The package never decides a deal, never proves spacetime (storage/proving does), and never
// holds a key. All goroutines belong to Run. Read sealing.go, then stages.go.
package sealing
