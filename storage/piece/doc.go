// Package piece handles the bytes of pieces before they are sealed: readers that pad a
// payload with zeros to its piece's size, a check of the piece commitment while bytes pass,
// and a folder of staged files that are written in parts, survive a crash, and can be
// resumed.
//
// It knows no deal and no sector; the market stages and storage/sealing reads. Nothing runs
// here but the caller's own goroutines. Read padded.go, then staging.go.
package piece
