// Package piece handles the bytes of a piece on their way to a sector: a reader that pads a
// payload with zeros to its piece's size, and a check of the piece commitment while bytes
// pass.
//
// It knows no deal, no sector and no file; storage/sealing reads through it. Downloads and
// their resuming are market/transfer's. Read padded.go, then check.go.
package piece
