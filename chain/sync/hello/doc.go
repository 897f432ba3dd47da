// Package hello is the greeting that makes two nodes peers: each tells the other its head
// and its genesis (spec chain.md f.2).
//
// It implements the handshake of network/peers, which decides about connections; a peer of
// another genesis is to be dropped. Heads that peers announce are handed to a callback, the
// syncer's, which must not block. The package fetches nothing itself.
//
// Streams are answered by libp2p's goroutines between the start and the end of Run, which
// waits for them.
package hello
