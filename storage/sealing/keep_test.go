package sealing

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/porep"
)

// Labelling is killed at every operation on files: the next run makes no layer again that was
// whole, and its files are those of a run that was not killed.
func TestKilledLabellingGoesOn(t *testing.T) {
	task := porep.Task{Proof: abi.RegisteredSealProof_StackedDrg2KiBV1_1, Miner: 1000, Number: 3, Ticket: make([]byte, 32)}
	commD := commp.ZeroPiece(2048)
	killed := errors.New("killed")
	layers := []string{porep.LayerFile(1), porep.LayerFile(2)}

	// label runs until so many operations were done, and tells which layers it began.
	label := func(root string, operations int) (began []string, err error) {
		d := folders{root: root, miner: 1000}
		d.fault = func(op, path string) error {
			if operations == 0 {
				return killed
			}
			operations--
			if name := strings.TrimSuffix(filepath.Base(path), temp); op == "create" && strings.HasPrefix(name, "sc-02-data-layer-") {
				began = append(began, name)
			}
			return nil
		}
		if err := d.clean(); err != nil {
			return nil, err
		}
		w, err := d.work(3)
		if err != nil {
			return nil, err
		}
		if err := porep.Label(context.Background(), task, commD, w, nil); err != nil {
			return began, err // a killed process tidies nothing up
		}
		return began, w.publish()
	}
	data := func() string {
		root := t.TempDir()
		d := folders{root: root, miner: 1000}
		require.NoError(t, d.make(3))
		require.NoError(t, os.WriteFile(d.path(3, porep.Unsealed), make([]byte, 2048), 0o600))
		return root
	}
	contents := func(root, name string) []byte {
		b, err := os.ReadFile(folders{root: root, miner: 1000}.path(3, name))
		require.NoError(t, err)
		return b
	}

	want := data()
	began, err := label(want, -1)
	require.NoError(t, err)
	require.Equal(t, layers, began)
	for operations := 0; ; operations++ {
		root := data()
		_, err := label(root, operations)
		if err == nil {
			require.Greater(t, operations, 12)
			break
		}
		require.ErrorIs(t, err, killed)
		journal, err := os.ReadFile(folders{root: root, miner: 1000}.path(3, porep.Journal))
		if !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
		}
		noted := strings.Count(string(journal), `"`)/2 - 3 // the digests, beside two names and an id
		began, err := label(root, -1)
		require.NoError(t, err, "after %d operations", operations)
		require.Equal(t, layers[max(0, noted):], append([]string{}, began...), "after %d operations", operations)
		for _, name := range append(layers, porep.TreeD) {
			require.Equal(t, contents(want, name), contents(root, name), "%s after %d operations", name, operations)
		}
	}
}

func TestKeep(t *testing.T) {
	d := folders{root: t.TempDir(), miner: 1000}
	w, err := d.work(3)
	require.NoError(t, err)
	for _, name := range []string{"kept", "lost"} {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("labels"), 0)
		require.NoError(t, err)
		m, err := f.(porep.Mapper).Map(6)
		require.NoError(t, err)
		require.Equal(t, "labels", string(m.Bytes()))
		require.NoError(t, m.Close())
		require.NoError(t, f.Close())
	}
	require.NoError(t, w.Keep("kept"))
	require.NoError(t, d.clean())
	files := readFiles{d, 3}
	f, err := files.Open("kept")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = files.Open("lost")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Error(t, w.Keep("never made"))
}
