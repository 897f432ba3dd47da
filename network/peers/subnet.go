package peers

import (
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// addrOf is the IP address that a multiaddr names; a relayed one names the relay's, which
// says nothing about the peer.
func addrOf(a ma.Multiaddr) (netip.Addr, bool) {
	if a == nil {
		return netip.Addr{}, false
	}
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
		return netip.Addr{}, false
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// household is what one owner usually has: an IPv4 address, or a /64 of IPv6. Loopback has
// none: many nodes of one machine are a test or a devnet.
func household(a netip.Addr) (netip.Prefix, bool) {
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

// subnet is a piece of the address space that one attacker can have much of: a /16 of IPv4,
// a /32 of IPv6. Private ranges have none unless private is set.
func subnet(a netip.Addr, private bool) (netip.Prefix, bool) {
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() && !private {
		return netip.Prefix{}, false
	}
	bits := 16
	if a.Is6() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}
