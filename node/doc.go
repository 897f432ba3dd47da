// Package node puts a node together: it builds every part from the ground floor up, joins
// those that need each other, starts them in order and stops them in reverse.
//
// It has no logic of its own. New is constructor calls in reading order; the files beside it
// are the joints: chain.go reads the chain for storage and market, sends.go lets them send
// through the outbox, inbound.go leads gossip through the dispatcher to the pool and the
// syncer, and api_*.go answer the api by calling one part each.
//
// Every goroutine belongs to a part of the node's lifecycle.Group or of a role. Start with
// node.go.
package node
