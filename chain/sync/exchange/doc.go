// Package exchange asks peers for tipsets and their messages, and answers when asked (spec
// chain.md f.3).
//
// The client chooses peers by how quick and reliable they were, checks every answer against
// the question and the hashes of the chain, and reports what a peer did wrong. It judges
// form alone: whether a block is valid is the business of the consensus. The server reads
// the chain store and bounds what one peer, and all together, may ask for.
//
// One request takes one stream. The server's goroutines end with its Run. Read types.go for
// the wire, check.go for the rules of an answer.
package exchange
