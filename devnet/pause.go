package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lodenet/lode/clock"
)

// A devnet's clock stands still while no node of it runs. Every node writes the network's
// time to a file of its own while it runs; when the whole devnet starts again, the newest of
// these tells how long it was away, and that goes into the folder's pause file, which every
// node reads at its start.

const (
	pauseFile  = "pause.json"
	aliveDir   = "alive"
	aliveEvery = time.Second
)

type pause struct {
	// Pause is how far the network's clock is behind the machine's.
	Pause time.Duration `json:"pause_ns"`
}

// readPause reads the pause of a folder; a missing file is no pause.
func readPause(dir string) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join(dir, pauseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var p pause
	if err := json.Unmarshal(b, &p); err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Join(dir, pauseFile), err)
	}
	return p.Pause, nil
}

// resume sets the clock of a devnet of which no node runs to go on where it stopped: one
// second after the last sign of life.
func resume(dir string, now time.Time) error {
	last, err := lastAlive(dir)
	if err != nil || last.IsZero() {
		return err
	}
	b, err := json.Marshal(pause{now.Sub(last.Add(aliveEvery))})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, pauseFile), b)
}

func lastAlive(dir string) (time.Time, error) {
	entries, err := os.ReadDir(filepath.Join(dir, aliveDir))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, aliveDir, e.Name()))
		if err != nil {
			return time.Time{}, err
		}
		var t time.Time
		// A file that a power cut left half-written only means an older sign of life counts.
		if json.Unmarshal(b, &t) == nil && t.After(last) {
			last = t
		}
	}
	return last, nil
}

// KeepAlive writes the network's time to the folder until the context ends. A node of a
// devnet folder runs it.
func KeepAlive(ctx context.Context, dir, name string, clk clock.Clock) error {
	path := filepath.Join(dir, aliveDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for {
		b, err := json.Marshal(clk.Now())
		if err != nil {
			return err
		}
		if err := writeFile(path, b); err != nil {
			return err
		}
		if clock.Sleep(ctx, clk, aliveEvery) != nil {
			return nil
		}
	}
}

// writeFile replaces a small file in one step.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
