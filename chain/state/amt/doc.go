// Package amt reads and writes the arrays of messages and receipts: index 0, 1, 2… to a
// CBOR value, in the oldest array format of Filecoin (spec chain.md b.3), which every
// network version uses for them.
//
// An array comes from the network when it is read, so its shape is checked against its
// count before anything is allocated, and a caller states how many items it will take.
// The arrays inside actor state are another format; the actors read those themselves.
//
// Read amt.go; store and vm call it.
package amt
