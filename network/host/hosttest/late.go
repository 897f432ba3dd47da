package hosttest

import (
	"context"
	"errors"
	"time"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/lodenet/lode/clock"
)

// Late is a host on a machine so busy that it closes its half of a stream a second after it
// wrote, when the answer has come and the peer is done with the stream.
type Late struct{ libp2phost.Host }

// NewStream opens a stream that is closed late.
func (h Late) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, ids...)
	return lateStream{s}, err
}

type lateStream struct{ network.Stream }

// CloseWrite implements network.Stream.
func (s lateStream) CloseWrite() error {
	return errors.Join(clock.Sleep(context.Background(), clock.System{}, time.Second), s.Stream.CloseWrite())
}
