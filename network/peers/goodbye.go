package peers

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	cbg "github.com/whyrusleeping/cbor-gen"
)

const (
	goodbyeTimeout = time.Second
	goodbyeText    = 128 // bytes
	goodbyeFields  = 2
)

// reasonCodes are the numbers of reasons on the wire; they never change.
var reasonCodes = map[Reason]uint64{
	ReasonRequested: 0, ReasonGenesis: 1, ReasonHello: 2, ReasonTimeout: 3, ReasonScore: 4,
	ReasonTooMany: 5, ReasonBanned: 6, ReasonUseless: 7, ReasonChurn: 8, ReasonDead: 9,
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

// encodeGoodbye writes the frame: [reason: uint, text].
func encodeGoodbye(r Reason, text string) ([]byte, error) {
	var f frame
	f.header(cbg.MajArray, goodbyeFields)
	f.header(cbg.MajUnsignedInt, reasonCodes[r])
	f.text(text, goodbyeText)
	return f.bytes()
}

// readGoodbye reads a frame behind its first header; its text is of no use to a program.
func readGoodbye(r *frameReader) (Reason, error) {
	code := r.header(cbg.MajUnsignedInt, 1<<16)
	r.text(goodbyeText)
	return reasonOf(code), r.err
}

// sayGoodbye tells a peer why it is dropped, if it listens and is quick; nothing depends on
// it.
func (m *Manager) sayGoodbye(ctx context.Context, p peer.ID, r Reason) {
	if r == ReasonBanned {
		return // it was told when it was banned
	}
	frame, err := encodeGoodbye(r, string(r))
	if err != nil {
		m.log.Error("encode a goodbye", "reason", r, "err", err) // never: the frame is ours
		return
	}
	ctx, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	if err := m.tell(ctx, p, frame); err != nil {
		m.log.Debug("goodbye not heard", "peer", p, "err", err)
	}
}

// hearGoodbye notes why a peer drops us: a full one is left alone for a while.
func (m *Manager) hearGoodbye(p peer.ID, r Reason) {
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
