// Package syncer brings the node to the heaviest chain and keeps it there (spec chain.md
// f.6, network.md F.7).
//
// Two ways lead in. A head that a peer announces becomes a target: its headers are walked
// back to a validated tipset, then messages are fetched and blocks validated oldest first,
// each tipset being offered to the store as it passes, so that an interruption loses
// nothing. A block that gossip brings while the node is at the head is completed with its
// messages and validated at once; when its parents are unknown it becomes a target.
//
// Only blocks that are provably invalid are remembered as bad. What is merely missing, too
// early, or our own trouble is tried again. The package judges no block itself: consensus
// does, through Engine.
//
// Run owns one goroutine that syncs targets and a few that complete gossip blocks. Read
// targets.go for what is synced next, walk.go and catchup.go for how, incoming.go for gossip.
package syncer
