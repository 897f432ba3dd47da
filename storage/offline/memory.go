package offline

import "runtime"

// Memory is what the process used.
type Memory struct {
	// Peak is the most that was resident at once, with mapped files, which the system drops
	// when it needs the room; 0 where that is not known.
	Peak uint64 `json:"peak_resident_bytes"`
	// Own is what the program took for itself, which mapped files are no part of.
	Own uint64 `json:"own_bytes"`
}

// MemoryUsed tells how much memory the process has used so far.
func MemoryUsed() Memory {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{Peak: peakMemory(), Own: m.Sys}
}
