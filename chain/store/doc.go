// Package store keeps the chain: blocks and state by CID, the tipsets of the main chain by
// height, the head, the state of each tipset, bad blocks, and the cursors of followers. It
// lives in one Pebble database.
//
// It promises that a head is on disk before anyone hears of it, that everything the head
// needs was written before it, and that a follower sees each step of the chain, reorgs
// included, exactly once, however often the process is killed. It decides which of the
// validated tipsets is the head (spec chain.md e.11), but not what is valid nor how heavy a
// tipset is: consensus does.
//
// Nothing here starts a goroutine but AllKeysChan, whose goroutine ends with its context or
// with Close. Head changes are made by one caller at a time, under headMu; readers never
// wait for them.
//
// Start with store.go, then head.go and follow.go. The chain's other packages call it.
package store
