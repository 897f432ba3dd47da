//go:build !unix

package offline

// peakMemory is not known here.
func peakMemory() uint64 { return 0 }
