// Package pieces knows which blocks lie in which piece and where each piece is kept, and
// serves blocks and pieces from it.
//
// The deal provider writes the index when a piece is in a sector; retrieval and bitswap read
// through it. It owns its two tables and starts nothing. Start with Index, then Blocks.
package pieces
