package peers

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/lodenet/lode/clock"
)

// Dialling: a failed address is tried again after firstRetry, then twice that, to lastRetry.
const (
	dialTimeout  = 15 * time.Second
	dialParallel = 8
	firstRetry   = time.Second
	lastRetry    = time.Minute
	maxBook      = 1000 // peers remembered for dialling
	listenGrace  = 2 * time.Second
)

// bookEntry is a peer that can be dialled.
type bookEntry struct {
	info    peer.AddrInfo
	keep    bool // from the bootstrap list: never forgotten
	fails   int
	next    time.Time // not before
	good    time.Time // when it was last Ready
	dialing bool
}

// dialLoop looks again and again whether peers are missing, and dials.
func (m *Manager) dialLoop(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	start := m.clk.Now()
	for {
		// A host about to listen dials from its listening port, the address that others can
		// reach. One that never listens does not wait for long.
		if len(m.host.Network().ListenAddresses()) > 0 || m.clk.Now().Sub(start) >= listenGrace {
			for _, info := range m.candidates() {
				wg.Go(func() { m.tryDial(ctx, info) })
			}
		}
		if clock.Sleep(ctx, m.clk, m.opt.Period) != nil {
			return
		}
	}
}

// candidates are the peers to dial now: none when enough are Ready. Peers that were good
// before and those of the bootstrap list take turns, so that neither alone decides whom this
// node knows (spec network.md P-13).
func (m *Manager) candidates() []peer.AddrInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table.ready() >= m.opt.Threshold {
		return nil
	}
	now := m.clk.Now()
	free := dialParallel
	groups := make(map[netip.Prefix]int) // outbound places taken
	for _, s := range m.table.sessions {
		if s.group.IsValid() && s.state != Closing {
			groups[s.group]++
		}
	}
	var known, kept []*bookEntry
	for p, e := range m.book {
		_, here := m.table.sessions[p]
		switch {
		case e.dialing:
			free--
			if g, ok := m.groupOf(e.info); ok {
				groups[g]++
			}
		case here || now.Before(e.next) || m.bans.check(p) != nil:
		case e.keep:
			kept = append(kept, e)
		default:
			known = append(known, e)
		}
	}
	slices.SortFunc(known, better)
	slices.SortFunc(kept, better)
	var out []peer.AddrInfo
	for turn := 0; len(out) < free && len(known)+len(kept) > 0; turn++ {
		from := &known
		if len(known) == 0 || turn%2 == 1 && len(kept) > 0 {
			from = &kept
		}
		e := (*from)[0]
		*from = (*from)[1:]
		if g, ok := m.groupOf(e.info); ok && !e.keep {
			if groups[g] >= m.groupShare() {
				continue
			}
			groups[g]++
		}
		e.dialing = true
		out = append(out, e.info)
	}
	return out
}

// better orders whom to dial first.
func better(a, b *bookEntry) int {
	return cmp.Or(cmp.Compare(a.fails, b.fails), b.good.Compare(a.good), cmp.Compare(a.info.ID, b.info.ID))
}

// groupShare is how many outbound places one subnet may have: a quarter of them.
func (m *Manager) groupShare() int { return max(1, m.opt.MaxPeers/3/4) }

// groupOf is the subnet in which a peer is said to be.
func (m *Manager) groupOf(info peer.AddrInfo) (netip.Prefix, bool) {
	for _, a := range info.Addrs {
		if ip, ok := addrOf(a); ok {
			if g, ok := subnet(ip, m.opt.LimitPrivate); ok {
				return g, true
			}
		}
	}
	return netip.Prefix{}, false
}

// tryDial dials a peer of the book and notes how it went.
func (m *Manager) tryDial(ctx context.Context, info peer.AddrInfo) {
	err := m.dial(ctx, info)
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.book[info.ID]
	if !ok {
		return
	}
	e.dialing = false
	if err != nil {
		m.log.Debug("dial", "peer", info.ID, "err", err)
	}
	// Also after success: a peer that is dropped at once is not dialled in a tight loop.
	// remember clears the count when the peer becomes Ready.
	e.fails++
	e.next = m.clk.Now().Add(retryAfter(info.ID, e.fails))
}

// retryAfter doubles with each failure. A fifth of it depends on the peer, so that nodes
// that failed together do not come back together.
func retryAfter(p peer.ID, fails int) time.Duration {
	d := firstRetry
	for i := 1; i < fails && d < lastRetry; i++ {
		d *= 2
	}
	d = min(d, lastRetry)
	h := fnv.New64a()
	h.Write([]byte(p))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(fails)))
	return d - time.Duration(h.Sum64()%uint64(d/5))
}

// dial connects to a peer. libp2p's own back-off is cleared first: ours decides when.
func (m *Manager) dial(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s, ok := m.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(info.ID)
	}
	m.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	return m.host.Connect(network.WithDialPeerTimeout(ctx, dialTimeout), info)
}

// remember notes a Ready peer's addresses, so that it can be dialled when it is lost.
func (m *Manager) remember(p peer.ID) {
	addrs := m.host.Peerstore().Addrs(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.book[p]
	if !ok {
		if len(addrs) == 0 {
			return
		}
		m.forgetOne()
		e = &bookEntry{info: peer.AddrInfo{ID: p, Addrs: addrs}}
		m.book[p] = e
	}
	if !e.keep {
		e.info.Addrs = addrs
	}
	e.fails, e.next, e.good = 0, time.Time{}, m.clk.Now()
	m.dirty.Store(true)
}

// forgetOne keeps the book bounded: the entry that would be dialled last goes.
func (m *Manager) forgetOne() {
	if len(m.book) < maxBook {
		return
	}
	var worst peer.ID
	for p, e := range m.book {
		if !e.keep && !e.dialing && (worst == "" || better(e, m.book[worst]) > 0) {
			worst = p
		}
	}
	delete(m.book, worst)
}
