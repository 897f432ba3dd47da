// Package gossip broadcasts blocks and messages with GossipSub.
//
// It owns the two topics of a network (spec chain.md f.4), their parameters and scores. What
// the bytes mean is the business of the validators it is given: a block or a message goes
// on to other peers only when its validator accepts it, and a validator is also how the node
// receives it. Own publications skip the validators.
//
// Run starts the router and stops it; Ready tells when the handlers are in place. Start
// reading at gossip.go.
package gossip
