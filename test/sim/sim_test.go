package sim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// Three nodes, nothing happens but time.
func TestQuiet(t *testing.T) {
	w := create(t, 3, 2, 2)
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		w.wires = newWires()
		defer w.wires.net.Close()
		for i := range w.nodes {
			w.wires.slow(i, 25*time.Millisecond)
			w.start(i)
		}
		for h := range abi.ChainEpoch(20) {
			w.until(h + 1)
		}
		time.Sleep(2 * time.Second) // the blocks of an epoch are made at its beginning
		for i := range w.nodes {
			if a, b := w.head(0), w.head(i); !a.Equals(b) || a.Height() < 15 {
				t.Errorf("node 0 is at %s, node %d at %s", a, i, b)
			}
		}
		for i := range w.nodes {
			w.stop(i)
		}
	})
}
