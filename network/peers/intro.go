package peers

import (
	"context"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Capabilities are bits that say what a node serves. Bits that nobody knows here are kept
// and change nothing.
type Capabilities uint64

// The capabilities; their numbers never change.
const (
	ServesChain   Capabilities = 1 << iota // tipsets by request
	ServesState                            // blocks of chain and state by CID
	ServesContent                          // files, by bitswap and over HTTP
	TakesDeals                             // stores for others
	Relays                                 // carries connections of those whom nobody reaches
)

var capabilityNames = []string{"chain", "state", "content", "deals", "relay"}

// Names are the names of the bits that are set and known.
func (c Capabilities) Names() []string {
	out := []string{}
	for i, name := range capabilityNames {
		if c&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// Intro is what a node tells of itself beyond the greeting. It is a claim: the genesis of
// the greeting decides who is a peer, and answers decide who is of use.
type Intro struct {
	Network string // its name
	Agent   string
	// OldestState and NewestState are the epochs whose state it serves; both are 0 when it
	// serves none.
	OldestState, NewestState uint64
	Capabilities             Capabilities
	// Finalised is the instance of the certificate that finalised its head; 0 without
	// certificates.
	Finalised uint64
}

const (
	introFields  = 6
	introTimeout = 5 * time.Second
	introNetwork = 64  // bytes
	introAgent   = 128 // bytes
)

// encode writes the frame: [network, agent, oldest, newest, capabilities, finalised].
func (i *Intro) encode() ([]byte, error) {
	var f frame
	f.header(cbg.MajArray, introFields)
	f.text(i.Network, introNetwork)
	f.text(i.Agent, introAgent)
	for _, n := range []uint64{i.OldestState, i.NewestState, uint64(i.Capabilities), i.Finalised} {
		f.header(cbg.MajUnsignedInt, n)
	}
	return f.bytes()
}

// readIntro reads a frame behind its first header.
func readIntro(r *frameReader) (*Intro, error) {
	i := &Intro{Network: r.text(introNetwork), Agent: r.text(introAgent)}
	i.OldestState = r.header(cbg.MajUnsignedInt, math.MaxInt64)
	i.NewestState = r.header(cbg.MajUnsignedInt, math.MaxInt64)
	i.Capabilities = Capabilities(r.header(cbg.MajUnsignedInt, math.MaxUint64))
	i.Finalised = r.header(cbg.MajUnsignedInt, math.MaxUint64)
	if r.err != nil {
		return nil, r.err
	}
	return i, nil
}

// introduce tells a peer that became Ready what this node is.
func (m *Manager) introduce(ctx context.Context, p peer.ID) {
	if m.opt.Intro == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, introTimeout)
	defer cancel()
	i := m.opt.Intro(ctx)
	frame, err := i.encode()
	if err != nil {
		m.log.Error("encode an introduction", "err", err) // never: the frame is ours
		return
	}
	if err := m.tell(ctx, p, frame); err != nil {
		m.log.Debug("introduction not heard", "peer", p, "err", err)
	}
}

// hearIntro keeps what a peer told, while its session lasts.
func (m *Manager) hearIntro(p peer.ID, i *Intro) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.table.sessions[p]; ok {
		s.intro = i
	}
}
