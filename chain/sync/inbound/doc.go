// Package inbound is the gate for what gossip brings: it decodes a block or a message, has
// it judged by a cheap check, and hands what passes to the subscribers of a typed topic of
// network/dispatch. The verdict goes back to gossip, which passes the bytes on or not.
//
// It decides nothing itself and starts no goroutine.
package inbound
