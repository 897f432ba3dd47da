// Package types holds the objects of the chain and their wire forms: messages, block
// headers, tipsets, receipts, the state root, and the parameters of a network.
//
// Encodings, CIDs and JSON forms are Filecoin's (spec chain.md a and b). The package does
// no I/O and knows no rule that needs state; rules of syntax that need nothing but the
// object itself (b.1, c.1) are here. Every other package may import it.
//
// Start with message.go, block.go and tipset.go. Signatures are in the sub-package sigs.
package types

//go:generate go run ./gen
