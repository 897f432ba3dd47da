// Package inbound is the gate for what gossip brings: it decodes a block or a message and has
// it judged by a cheap check. A block that passes is handed to the subscribers of a typed topic
// of network/dispatch; a message goes through such a topic to its check, which takes it into
// the pool. The verdict goes back to gossip, which passes the bytes on or not.
//
// It decides nothing itself. Run owns the goroutines that have messages checked; blocks are
// checked by those of gossip. Read inbound.go, then messages.go.
package inbound
