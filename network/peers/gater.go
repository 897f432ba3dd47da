package peers

import (
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

var _ connmgr.ConnectionGater = (*Bans)(nil)

// Refused counts the connections that the gater has turned away.
func (b *Bans) Refused() uint64 { return b.refused.Load() }

// pass counts refusals.
func (b *Bans) pass(ok bool) bool {
	if !ok {
		b.refused.Add(1)
	}
	return ok
}

// free tells whether an address is not banned.
func (b *Bans) free(a ma.Multiaddr) bool {
	ip, ok := addrOf(a)
	return !ok || !b.bannedAddr(ip)
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (b *Bans) InterceptPeerDial(p peer.ID) bool { return b.pass(b.check(p) == nil) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (b *Bans) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool { return b.pass(b.free(a)) }

// InterceptAccept implements connmgr.ConnectionGater: who it is shows later.
func (b *Bans) InterceptAccept(c network.ConnMultiaddrs) bool {
	return b.pass(b.free(c.RemoteMultiaddr()))
}

// InterceptSecured implements connmgr.ConnectionGater: the first, cheap look at the caps.
func (b *Bans) InterceptSecured(dir network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	if b.check(p) != nil {
		return b.pass(false)
	}
	return b.pass(dir != network.DirInbound || !b.full.Load() || b.isTrusted(p))
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (b *Bans) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

func (b *Bans) isTrusted(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trusted[p]
}

// trust lets a peer in when all places are taken, or no longer.
func (b *Bans) trust(p peer.ID, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if yes {
		b.trusted[p] = true
	} else {
		delete(b.trusted, p)
	}
}
