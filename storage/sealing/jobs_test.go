package sealing

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
)

// TestQueueIsQuiet: of what the job queue says the operator sees warnings and errors, but none
// that come of the node's stop.
func TestQueueIsQuiet(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(quiet{slog.NewTextHandler(&out, nil)}).With("queue", "seal").WithGroup("job")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		ctx   context.Context
		level slog.Level
		said  bool
	}{
		{t.Context(), slog.LevelInfo, false},
		{t.Context(), slog.LevelWarn, true},
		{t.Context(), slog.LevelError, true},
		{stopped, slog.LevelWarn, false},
		{stopped, slog.LevelError, false},
	} {
		out.Reset()
		log.Log(c.ctx, c.level, "x", "id", 1)
		if said := bytes.Contains(out.Bytes(), []byte("queue=seal job.id=1")); said != c.said || said != (out.Len() > 0) {
			t.Errorf("%s, stopped %v: got %q", c.level, c.ctx.Err() != nil, out.Bytes())
		}
	}
}
