// Package actorchain is a chain for tests of what a storage miner does: the real actors in
// the real VM from a real genesis, but no blocks, elections, fees or signatures. Messages are
// executed once an epoch; time is the test's.
//
// It also stands in for the outbox: a message is sent once a key, follows reorgs, and can be
// held back or spoilt. Only tests import it. Read chain.go, then outbox.go.
package actorchain
