package store

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestPebbleLogThinsOut(t *testing.T) {
	var out bytes.Buffer
	l := NewPebbleLog(slog.New(slog.NewTextHandler(&out, nil)), "imports")
	l.Infof("chatter")
	for range 1000 {
		l.Errorf("no space left on %s", "device")
	}
	if n := strings.Count(out.String(), "no space left on device"); n != 10 {
		t.Errorf("%d lines for 1000 errors, want 10:\n%s", n, out.String())
	}
	if strings.Contains(out.String(), "chatter") || !strings.Contains(out.String(), "database=imports") {
		t.Error(out.String())
	}
}
