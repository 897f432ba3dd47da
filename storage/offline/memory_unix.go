//go:build unix

package offline

import (
	"runtime"
	"syscall"
)

// peakMemory is the most memory that the process had resident at once.
func peakMemory() uint64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil || u.Maxrss < 0 {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return uint64(u.Maxrss) // the others count in KiB
	}
	return uint64(u.Maxrss) << 10
}
