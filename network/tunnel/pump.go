package tunnel

import (
	"io"
	"sync"
	"sync/atomic"
)

// A direction reads into a small buffer of its own, and into a large one from the pool while
// reads fill what they get: a thousand idle streams then cost little memory, and a busy one
// few calls (spec network.md T-10).
const (
	smallBuffer = 4 << 10
	largeBuffer = 128 << 10
)

// largeBuffers is a cache, not state.
var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// pump carries one direction to its end of file and hands that on. It says which side broke,
// or nothing.
func (t *Tunnels) pump(l *link, from io.Reader, to io.Writer, count *atomic.Uint64, fromBroke, toBroke Reason) Reason {
	small := make([]byte, smallBuffer)
	buf := small
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return toBroke
			}
			count.Add(uint64(n))
			l.moved.Store(t.clk.Now().UnixNano())
		}
		switch {
		case err == io.EOF: // alone: a stream whose connection broke wraps one into its reset
			if half, ok := to.(halfCloser); ok && half.CloseWrite() != nil {
				return toBroke
			}
			return ""
		case err != nil:
			return fromBroke
		case n == len(buf) && large == nil:
			large = largeBuffers.Get().(*[largeBuffer]byte)
			buf = large[:]
		case n < smallBuffer && large != nil:
			largeBuffers.Put(large)
			large, buf = nil, small
		}
	}
}
