// Package offline seals a file in a folder of its own, unseals it, and makes and checks
// proofs of it, with no node, chain or network: for people who study the protocol.
//
// A Sector is what sector.json of the folder says; the sector's other files have the names of
// porep. A Document is a proof with all that is needed to check it, as one JSON file. Seal
// can be stopped at any moment and run again: whole layers are not made again. Everything is
// done by the caller's goroutine and what porep starts and ends. Read seal.go, then proof.go.
package offline
