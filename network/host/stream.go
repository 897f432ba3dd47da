package host

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
)

// Bound resets a stream when the context ends, so that no read or write of it outlives the
// context. Call release when the stream is done with; it tells whether the stream was left
// alone.
func Bound(ctx context.Context, s network.Stream) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = s.Reset() }) // already closed is as good
}
