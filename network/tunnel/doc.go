// Package tunnel carries TCP connections over libp2p streams to services of other peers.
//
// It owns two registries, services offered here (Listen) and ports forwarded from here
// (Forward), and the streams that run through both. On the wire it is what Kubo's ipfs p2p
// is: after the protocol has been negotiated the bytes of the connection follow, unframed
// (spec network.md D.2). It differs where Kubo loses something: each direction ends on its
// own, so a reply is not cut when the request has ended; data that was cut never looks whole,
// because both ends are reset; only peers of an offer's list reach its target; and both
// registries survive a restart.
//
// It opens no connection to a target for a peer that the offer does not allow, never exceeds
// its limits, and knows nothing of the chain. The api calls it; it calls the host it was
// given.
//
// One goroutine, started by Run, owns both registries and starts all others; all have ended
// when Run returns. Read offer.go and forward.go, then link.go.
package tunnel
