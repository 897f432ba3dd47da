package host

import (
	"context"
	"io"
	"maps"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Serve answers streams by protocol, at most so many at once over all of them; those beyond
// are reset, which a Host counts. What becomes of its stream is a handler's own business. stop takes the handlers
// back and waits for those under way, so what they wait for must have ended, most often by
// their context. It is called once.
func Serve(h libp2phost.Host, most int, handlers map[protocol.ID]network.StreamHandler) (stop func()) {
	places := make(chan struct{}, most)
	for id, handle := range handlers {
		h.SetStreamHandler(id, func(s network.Stream) {
			select {
			case places <- struct{}{}:
			default:
				_ = s.Reset()
				if own, ok := h.(*Host); ok {
					own.turnAway(id)
				}
				return
			}
			defer func() { <-places }()
			handle(s)
		})
	}
	return func() {
		for id := range handlers {
			h.RemoveStreamHandler(id)
		}
		for range most { // no place is left: nobody handles any more, nor begins to
			places <- struct{}{}
		}
	}
}

func (h *Host) turnAway(id protocol.ID) {
	h.turnedMu.Lock()
	defer h.turnedMu.Unlock()
	if h.turned == nil {
		h.turned = make(map[protocol.ID]uint64)
	}
	h.turned[id]++
}

// TurnedAway counts the streams that Serve has reset since all places were taken, by protocol.
func (h *Host) TurnedAway() map[protocol.ID]uint64 {
	h.turnedMu.Lock()
	defer h.turnedMu.Unlock()
	return maps.Clone(h.turned)
}

// Bound resets a stream when the context ends, so that no read or write of it outlives the
// context. Call release when the stream is done with; it tells whether the stream was left
// alone.
func Bound(ctx context.Context, s network.Stream) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = s.Reset() }) // already closed is as good
}

// Source reads what a peer sends, at most so many bytes, and keeps apart how the peer's bytes
// ended and what a decoder makes of them. One goroutine uses it.
type Source struct {
	r   io.Reader
	n   int64
	err error // of the stream
}

// NewSource reads at most so many bytes of a stream.
func NewSource(s io.Reader, most int64) *Source { return &Source{r: io.LimitReader(s, most)} }

// Read implements io.Reader.
func (s *Source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.n += int64(n)
	if err != nil && err != io.EOF { // alone: a stream whose connection broke may wrap one
		s.err = err
	}
	return n, err
}

// Nonsense tells, of bytes that could not be decoded, whether that is the peer's fault: they
// came whole, or were too many. When there are none, or the stream broke, it may only have gone.
func (s *Source) Nonsense() bool { return s.n > 0 && s.err == nil }
