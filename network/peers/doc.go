// Package peers is the session layer: who is connected, who has shaken hands, who behaves.
//
// A session belongs to a peer id, whatever its number of connections. It goes from
// Connected over Identified and the two halves of the handshake to Ready; only Ready peers
// are shown to the chain's protocols. Peers without the handshake protocol are guests. The
// handshake itself is an interface (chain/sync/hello has it), so nothing here knows a chain.
//
// Faults reported by others lower a peer's score; below the limit it is banned for a time.
// Bans refuse connections through libp2p's gater. One goroutine, started by Run, owns the
// sessions. Read session.go for the states, manager.go for the loop.
package peers
