// Package provider is the storage provider's side of deals (spec markets.md A): it answers
// proposals, fetches and checks the data, publishes the deal, hands the piece to sealing,
// indexes its blocks, and follows the sector until the deal is active.
//
// A deal is a row whose life is a pure machine (machine.go); a worker (worker.go) does what
// the machine asks for and feeds back what happened, so a kill at any line goes on from the
// row. Run owns every goroutine: one worker a live deal, one publisher, and one that keeps the
// index true to the sectors that there are. It knows nothing of how a sector is sealed. Start
// with provider.go, then machine.go.
package provider
