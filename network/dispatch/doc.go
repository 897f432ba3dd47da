// Package dispatch carries messages from where they arrive to those who subscribed to them.
//
// A Topic is a typed key; publishing runs on the publisher's goroutine and never waits for a
// slow subscriber: each subscription has a queue bounded in messages and bytes, and what
// does not fit is dropped and counted (spec network.md C.4, D-01 to D-10). Dedup is a
// separate stage that remembers a message only once somebody has taken it. A Desk is for
// what was asked for: it ties each answer to its question and counts what nobody expects.
//
// The package knows nothing of networks or chains. A subscription owns one goroutine, which
// its Close ends and waits for. Read dispatch.go, then queue.go.
package dispatch
