// Package bitswap fetches and serves blocks by CID between connected peers.
//
// A node runs two: one under the prefix ChainPrefix over the chain store, one under no
// prefix over the client's content (spec chain.md f.5). Wants are broadcast to all connected
// peers, and again to each that connects later; given a Finder, an Exchange also looks for
// peers that announced a block, and connects to them. A fetched block is handed to the asker and not stored; storing is the asker's decision.
//
// Run owns boxo's goroutines.
package bitswap
