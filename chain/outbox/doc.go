// Package outbox sends our own messages: each intent exactly once.
//
// An intent is a row in SQLite before anything happens. Its nonce is assigned under one
// lock, the signed bytes are stored before they are pushed, and the row is followed through
// reorgs until it is final: pushed again when lost, given a higher fee under a ceiling when
// stuck. A crash at any line resumes from the row. It never makes a second message for an
// intent other than one with the same nonce, so at most one of them can be on chain.
//
// Everything that sends (api, storage, market) sends here. One goroutine, started by Run,
// follows the rows. Start with outbox.go, then send.go and follow.go.
package outbox
