package repo

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
)

// The lock of a process that was killed is waited for, for a while: the kernel may not have
// taken it down yet.
func TestLockOfADyingProcess(t *testing.T) {
	dead := exec.Command(os.Args[0], "-test.run=^$")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for _, released := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "repo.lock")
		if err := os.WriteFile(path, []byte(strconv.Itoa(dead.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		held, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			got := make(chan error, 1)
			go func() {
				f, err := takeLock(path, "dir")
				if err == nil {
					err = f.Close()
				}
				got <- err
			}()
			synctest.Wait()
			if released {
				if len(got) > 0 {
					t.Fatalf("it did not wait: %v", <-got)
				}
				if err := held.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := <-got; errors.Is(err, ErrLocked) == released || released && err != nil {
				t.Errorf("released %t: got %v", released, err)
			}
		})
		_ = held.Close() // closed twice where it was released
	}
}
