package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/stretchr/testify/require"
)

// victimDir names the store of the process that TestKill kills.
const victimDir = "STORE_TEST_VICTIM"

// victim makes blocks on disk until it is killed, and says each head that was announced.
func victim(dir string) {
	ctx := context.Background()
	s, err := Open(dir, Options{MemTableBytes: 64 << 10})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	if s.Head() == nil {
		genesis(noT{}, s)
	}
	f, err := s.Follow(ctx, "victim", FromGenesis())
	if err != nil {
		fmt.Println("follow:", err)
		os.Exit(1)
	}
	for salt := uint64(0); ; salt++ {
		on := s.Head()
		if salt%7 == 6 {
			on, err = s.TipSetAt(ctx, on.Height()-3, nil)
		}
		if err == nil {
			wins := int64(1)
			if salt%7 == 6 {
				wins = 1000 // the fork takes over
			}
			// Every block has a miner of its own, so the head never gets lighter.
			ts := tipset(noT{}, header(noT{}, on, 1+salt+uint64(os.Getpid())<<20, on.Height()+1, salt, wins))
			_, err = s.Offer(ctx, ts, weigh)
		}
		var c Change
		if err == nil && f.Cursor() != s.Head().Key() {
			if c, err = f.Next(ctx); err == nil {
				err = f.Done(ctx, c)
			}
		}
		if err != nil {
			fmt.Println("victim:", err)
			os.Exit(1)
		}
		w, _ := weigh(ctx, s.Head())
		fmt.Println(w)
	}
}

// A process is killed again and again while it moves the head; each time the disk has a head
// that was the last announced, or one announced after we stopped listening, and all of its
// chain.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	for round := range 4 {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		var said string
		for range 25 + 10*round {
			require.True(t, lines.Scan(), "the victim died by itself")
			said = lines.Text()
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() { // what it said before it died
			said = lines.Text()
		}
		require.Error(t, cmd.Wait())
		announced, err := big.FromString(said)
		require.NoError(t, err)

		s, err := Open(dir, Options{})
		require.NoError(t, err)
		w, err := weigh(ctx, s.Head())
		require.NoError(t, err)
		require.True(t, w.GreaterThanEqual(announced), "head weighs %s, %s was announced", w, announced)
		for ts := s.Head(); ts.Height() > 0; {
			at, err := s.TipSetAt(ctx, ts.Height()-1, nil)
			require.NoError(t, err)
			require.Equal(t, ts.Parents(), at.Key())
			ts = at
		}
		f, err := s.Follow(ctx, "victim")
		require.NoError(t, err)
		for f.Cursor() != s.Head().Key() {
			change, err := f.Next(ctx)
			require.NoError(t, err)
			require.NoError(t, f.Done(ctx, change))
		}
		require.NoError(t, s.Close())
	}
}
