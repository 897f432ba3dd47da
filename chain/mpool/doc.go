// Package mpool keeps the messages that wait for a block: the network's and our own
// (spec chain.md g).
//
// It checks what comes in against the head, keeps it in nonce order by sender, follows the
// head (what is applied leaves, what is reverted returns), selects messages for a block,
// and estimates gas. Our own messages are kept in SQLite and published again until they are
// on chain. It holds no keys, and assigns no nonces: that is chain/outbox.
//
// Everything in memory is guarded by one mutex that is never held over I/O. Run starts the
// goroutines, follows the head and publishes; it waits for them before it returns. Start
// with mpool.go, then add.go, head.go, select.go and gas.go.
package mpool
