package peers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/network/host"
)

// Extension is the protocol on which nodes of lode say more to each other than the greeting
// holds (spec network.md P-04, P-11). A stream carries one frame, a CBOR tuple, one way: an
// introduction once the session is Ready, or a goodbye before the connection is closed. Their
// numbers of fields tell them apart. Other programs do not speak it and miss nothing.
const Extension protocol.ID = "/lode/hello/1"

const (
	frameBytes   = 512 // of a whole frame
	framesAtOnce = 32  // that are read
)

var errFrame = errors.New("malformed frame")

// tell sends a frame to a peer that speaks the extension, and waits until it was read.
func (m *Manager) tell(ctx context.Context, p peer.ID, frame []byte) error {
	protos, err := m.host.Peerstore().SupportsProtocols(p, Extension)
	if err != nil || len(protos) == 0 {
		return err
	}
	s, err := m.host.NewStream(network.WithNoDial(ctx, "it is for a connected peer"), p, Extension)
	if err != nil {
		return err
	}
	defer host.Bound(ctx, s)()
	defer s.Reset() // the frame is all there is
	if _, err := s.Write(frame); err != nil {
		return err
	}
	_ = s.CloseWrite() // fails when the peer is done with the stream; what it reads tells how
	if _, err = s.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return nil // its end says that the frame was read
	}
	return err
}

// hear serves the extension until stop is called, which waits for the frames under way.
func (m *Manager) hear(ctx context.Context) (stop func()) {
	return host.Serve(m.host, framesAtOnce, map[protocol.ID]network.StreamHandler{
		Extension: func(s network.Stream) { m.hearFrame(ctx, s) },
	})
}

func (m *Manager) hearFrame(ctx context.Context, s network.Stream) {
	ctx, cancel := context.WithTimeout(ctx, introTimeout)
	defer cancel()
	defer host.Bound(ctx, s)()
	p := s.Conn().RemotePeer()
	in := host.NewSource(s, frameBytes)
	reason, intro, err := decodeFrame(in)
	if err != nil {
		_ = s.Reset()
		if in.Nonsense() {
			m.Report(p, Malformed, err)
		}
		m.log.Debug("a peer's extension", "peer", p, "err", err)
		return
	}
	_ = s.Close()
	if intro != nil {
		m.hearIntro(p, intro)
		return
	}
	m.hearGoodbye(p, reason)
}

// decodeFrame reads an introduction, or the reason of a goodbye. Each of its reads is bounded.
func decodeFrame(r io.Reader) (Reason, *Intro, error) {
	f := &frameReader{r: cbg.NewCborReader(r)}
	switch n := f.header(cbg.MajArray, introFields); {
	case f.err != nil:
		return "", nil, f.err
	case n == goodbyeFields:
		reason, err := readGoodbye(f)
		return reason, nil, err
	case n == introFields:
		intro, err := readIntro(f)
		return "", intro, err
	default:
		return "", nil, fmt.Errorf("%w: a tuple of %d", errFrame, n)
	}
}
