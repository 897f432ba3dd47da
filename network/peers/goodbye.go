package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/network/host"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Goodbye is the protocol on which a node says why it closes a connection (spec network.md
// P-11): one CBOR tuple, [reason: uint, text]. Peers without it are closed without a word.
const Goodbye protocol.ID = "/lode/hello/1"

const (
	goodbyeTimeout = time.Second
	goodbyeText    = 128 // bytes
	goodbyeBytes   = 256 // of the whole frame
	goodbyeAtOnce  = 32  // that are read
)

// reasonCodes are the numbers of reasons on the wire; they never change.
var reasonCodes = map[Reason]uint64{
	ReasonRequested: 0, ReasonGenesis: 1, ReasonHello: 2, ReasonTimeout: 3, ReasonScore: 4,
	ReasonTooMany: 5, ReasonBanned: 6, ReasonUseless: 7, ReasonChurn: 8,
}

// reasonOf is the reason with a number; of a later version's it knows only the number.
func reasonOf(code uint64) Reason {
	for r, c := range reasonCodes {
		if c == code {
			return r
		}
	}
	return "unknown"
}

// encodeGoodbye writes the frame.
func encodeGoodbye(r Reason, text string) ([]byte, error) {
	text = text[:min(len(text), goodbyeText)]
	var buf bytes.Buffer
	w := cbg.NewCborWriter(&buf)
	err := errors.Join(w.WriteMajorTypeHeader(cbg.MajArray, 2), w.WriteMajorTypeHeader(cbg.MajUnsignedInt, reasonCodes[r]),
		w.WriteMajorTypeHeader(cbg.MajTextString, uint64(len(text))))
	buf.WriteString(text)
	return buf.Bytes(), err
}

var errGoodbye = errors.New("malformed goodbye")

// decodeGoodbye reads a frame; its text is of no use to a program.
func decodeGoodbye(r io.Reader) (Reason, error) {
	c := cbg.NewCborReader(io.LimitReader(r, goodbyeBytes))
	header := func(want byte, most uint64) (uint64, error) {
		maj, n, err := c.ReadHeader()
		switch {
		case err != nil:
			return 0, fmt.Errorf("%w: %w", errGoodbye, err)
		case maj != want || n > most:
			return 0, fmt.Errorf("%w: type %d, value %d", errGoodbye, maj, n)
		}
		return n, nil
	}
	if n, err := header(cbg.MajArray, 2); err != nil || n != 2 {
		return "", errors.Join(errGoodbye, err)
	}
	code, err := header(cbg.MajUnsignedInt, 1<<16)
	if err != nil {
		return "", err
	}
	n, err := header(cbg.MajTextString, goodbyeText)
	if err != nil {
		return "", err
	}
	if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
		return "", fmt.Errorf("%w: %w", errGoodbye, err)
	}
	return reasonOf(code), nil
}

// sayGoodbye tells a peer why it is dropped, if it listens and is quick; nothing depends on
// it.
func (m *Manager) sayGoodbye(ctx context.Context, p peer.ID, r Reason) {
	if r == ReasonBanned {
		return // it was told when it was banned
	}
	protos, err := m.host.Peerstore().SupportsProtocols(p, Goodbye)
	if err != nil || len(protos) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	s, err := m.host.NewStream(network.WithNoDial(ctx, "a goodbye needs a connection"), p, Goodbye)
	if err != nil {
		return
	}
	defer host.Bound(ctx, s)()
	frame, err := encodeGoodbye(r, string(r))
	if err == nil {
		_, err = s.Write(frame)
	}
	if err == nil {
		err = s.CloseWrite()
	}
	if err == nil {
		_, _ = s.Read(make([]byte, 1)) // its end says that the frame was read
	}
	_ = s.Reset() // the connection is closed next
}

// hearGoodbyes serves the protocol until stop is called, which waits for those under way.
func (m *Manager) hearGoodbyes(ctx context.Context) (stop func()) {
	return host.Serve(m.host, goodbyeAtOnce, map[protocol.ID]network.StreamHandler{
		Goodbye: func(s network.Stream) { m.hearGoodbye(ctx, s) },
	})
}

// hearGoodbye notes why a peer drops us: a full one is left alone for a while.
func (m *Manager) hearGoodbye(ctx context.Context, s network.Stream) {
	ctx, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	defer host.Bound(ctx, s)()
	p := s.Conn().RemotePeer()
	r, err := decodeGoodbye(s)
	if err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
	m.log.Debug("a peer drops us", "peer", p, "reason", r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.goodbyes[r]++
	if e, ok := m.book[p]; ok && (r == ReasonTooMany || r == ReasonChurn) {
		e.next = m.clk.Now().Add(lastRetry)
	}
}

// Goodbyes counts why peers dropped us, as far as they said.
func (m *Manager) Goodbyes() map[Reason]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[Reason]uint64, len(m.goodbyes))
	for r, n := range m.goodbyes {
		out[r] = n
	}
	return out
}
