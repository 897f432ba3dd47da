package deal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Limits of one exchange (spec markets.md A.1).
const (
	maxMessage    = 64 << 10
	serveDeadline = 10 * time.Second
	writeDeadline = 10 * time.Second
	replyDeadline = 60 * time.Second
	dialDeadline  = 20 * time.Second
)

// Unreachable: the peer could not be asked. It may be down, or its address old.
type Unreachable struct {
	Peer     peer.ID
	Protocol protocol.ID
	Err      error
}

func (e Unreachable) Error() string {
	return fmt.Sprintf("provider %s cannot be reached on %s (is it running, and is its address right?): %v", e.Peer, e.Protocol, e.Err)
}

func (e Unreachable) Unwrap() error { return e.Err }

// Ask-and-answer from the opener's side: one object out, one in.
func exchange(ctx context.Context, h host.Host, p peer.ID, ids []protocol.ID, req cbg.CBORMarshaler, res cbg.CBORUnmarshaler) error {
	dial, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, string(ids[0])), dialDeadline)
	defer cancel()
	s, err := h.NewStream(dial, p, ids...)
	if err != nil {
		return Unreachable{p, ids[0], err}
	}
	defer s.Reset() // after a good exchange nothing is left to lose
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	now := time.Now() // libp2p's deadlines are on the machine's clock
	if err := errors.Join(s.SetWriteDeadline(now.Add(writeDeadline)), s.SetReadDeadline(now.Add(replyDeadline))); err != nil {
		return Unreachable{p, ids[0], err}
	}
	b, err := Encode(req)
	if err != nil {
		return err
	}
	if _, err := s.Write(b); err != nil {
		return Unreachable{p, ids[0], err}
	}
	_ = s.CloseWrite() // fails when the peer is done with the stream; the answer tells how
	if err := res.UnmarshalCBOR(io.LimitReader(s, maxMessage)); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return Unreachable{p, ids[0], fmt.Errorf("no proper answer: %w", err)}
	}
	return nil
}

// Propose offers a deal and returns the provider's answer.
func Propose(ctx context.Context, h host.Host, p peer.ID, m *Params) (*Response, error) {
	var r Response
	return &r, exchange(ctx, h, p, []protocol.ID{ProtocolDeal121, ProtocolDeal120}, m, &r)
}

// QueryStatus asks how far a deal is.
func QueryStatus(ctx context.Context, h host.Host, p peer.ID, m *StatusRequest) (*StatusResponse, error) {
	var r StatusResponse
	return &r, exchange(ctx, h, p, []protocol.ID{ProtocolStatus}, m, &r)
}

// QueryAsk asks for a miner's terms; the caller verifies the signature.
func QueryAsk(ctx context.Context, h host.Host, p peer.ID, m *AskRequest) (*AskResponse, error) {
	var r AskResponse
	return &r, exchange(ctx, h, p, []protocol.ID{ProtocolAsk}, m, &r)
}

// Answer serves one protocol: it reads one object, calls f, and writes what f returns. A
// message that does not decode is answered by bad, when given, with the reason; silence
// would leave the other side guessing. When f returns nil nothing is answered: the server is
// stopping, and the other side asks again. ctx ends when the server stops.
func Answer[Req any, PReq interface {
	*Req
	cbg.CBORUnmarshaler
}](ctx context.Context, s network.Stream, f func(ctx context.Context, from peer.ID, req PReq) cbg.CBORMarshaler, bad func(error) cbg.CBORMarshaler) error {
	ctx, cancel := context.WithTimeout(ctx, replyDeadline-writeDeadline)
	defer cancel()
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	if err := s.SetReadDeadline(time.Now().Add(serveDeadline)); err != nil {
		s.Reset()
		return err
	}
	req := PReq(new(Req))
	var res cbg.CBORMarshaler
	derr := req.UnmarshalCBOR(bufio.NewReader(io.LimitReader(s, maxMessage)))
	switch {
	case derr == nil:
		res = f(ctx, s.Conn().RemotePeer(), req)
	case bad != nil:
		res = bad(derr)
	default:
		s.Reset()
		return derr
	}
	if res == nil {
		s.Reset()
		return ctx.Err()
	}
	b, err := Encode(res)
	if err == nil {
		err = s.SetWriteDeadline(time.Now().Add(writeDeadline))
	}
	if err == nil {
		_, err = s.Write(b)
	}
	if err != nil {
		s.Reset()
	}
	return errors.Join(derr, err)
}
