// Package index finds where a message is on chain: by its CID, or by sender and nonce.
//
// It keeps a table of the messages of the chain below the head in SQLite. The table follows
// the head, goes back over reorgs, and can be dropped at any time: what it does not cover
// yet is read from the tipsets themselves, so answers never depend on how far it has come.
// It never decides anything about the chain.
//
// The api asks it (StateSearchMsg, StateWaitMsg), and so does chain/outbox. One goroutine,
// started by Run, writes the table. Start with index.go, then find.go.
package index
