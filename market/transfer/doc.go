// Package transfer moves deal data from the client to the provider over HTTP (spec
// markets.md A.4): on plain connections, or on a stream of the libp2p connection that the
// two already have, which no NAT stands in the way of.
//
// The client runs a Server that gives each payload to whoever has its token; the provider
// calls Get, which goes on where an earlier call broke off. It keeps no state but the file.
// Start with server.go, then get.go.
package transfer
