// Package host makes the libp2p host of a node: TCP and QUIC, noise and TLS, yamux, with
// limits on connections, streams and memory.
//
// A host is built without listening, so that every protocol handler is in place before the
// first connection comes in; Run opens the addresses and closes them again (spec network.md
// L-11, L-12). The package knows neither peers' behaviour (network/peers) nor the chain.
package host
