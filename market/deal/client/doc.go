// Package client is the client's side of storage deals (spec markets.md A): it checks a deal
// against the provider's terms, locks the money, signs and proposes, serves the data to the
// provider, and follows the deal on the provider and on chain until it ends.
//
// A deal is a row whose life is a pure machine (machine.go); a worker (worker.go) does what
// the machine asks for, so a kill at any line goes on from the row: escrow is added once,
// and a proposal whose answer was lost is asked about before it is made again. Run owns
// every goroutine: one worker a deal that is not active yet, the transfer server, and one
// sweep over active deals. Start with client.go, then check.go and machine.go.
package client
