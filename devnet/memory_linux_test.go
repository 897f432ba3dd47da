package devnet

import (
	"os/exec"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	now := residentNow()
	// A program that has just begun has few pages, which a kernel may not have added up yet.
	for end := time.Now().Add(5 * time.Minute); now.child == 0 && time.Now().Before(end); now = residentNow() {
		time.Sleep(time.Millisecond)
	}
	if now.own < 1<<20 || now.child == 0 || now.sum < now.own+now.child {
		t.Errorf("got %+v for a process with a child", now)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	if now := residentNow(); now.child != 0 {
		t.Errorf("got %+v when the child is gone", now)
	}
	m := watchMemory(t.Context())
	m.stop()
	if m.most().own == 0 {
		t.Error("nothing was seen")
	}
}
