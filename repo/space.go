package repo

import (
	"errors"
	"fmt"
	"syscall"
)

// Reserve is how many bytes of the disk a node leaves free: what its databases need to write
// what they have begun, and to stop in order.
const Reserve = 64 << 20

// ErrNoSpace: the disk has too little room. Free some and try again.
var ErrNoSpace = errors.New("not enough disk space")

// Room is ErrNoSpace when the repo's disk would have less than Reserve left after so many
// bytes more.
func (r *Repo) Room(bytes uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(r.dir, &st); err != nil {
		return fmt.Errorf("disk of %s: %w", r.dir, err)
	}
	return room(r.dir, st.Bavail*uint64(st.Bsize), bytes)
}

func room(dir string, free, bytes uint64) error {
	if free >= Reserve && free-Reserve >= bytes {
		return nil
	}
	return fmt.Errorf("%w: %s has %s free, %s are needed and %s stay in reserve; free some space or use another disk with --repo",
		ErrNoSpace, dir, mib(free), mib(bytes), mib(Reserve))
}

func mib(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
