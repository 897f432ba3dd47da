package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/network/peers"
)

// forGood is how long a block lasts that has no end.
const forGood = 100 * 365 * 24 * time.Hour

var errBan = errors.New("a ban names either a peer or a range of addresses")

func (a netAPI) NetBans(context.Context) ([]api.NetBan, error) {
	out := []api.NetBan{}
	for _, b := range a.n.peers.Bans().List() {
		x := api.NetBan{Until: b.Until, Reason: string(b.Reason)}
		if b.Net.IsValid() {
			x.Net = b.Net.String()
		} else {
			x.Peer = &b.Peer
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b api.NetBan) int { return cmp.Compare(target(a), target(b)) })
	return out, nil
}

// target is whom a ban is about, for people.
func target(b api.NetBan) string {
	if b.Peer != nil {
		return b.Peer.String()
	}
	return b.Net
}

func (a netAPI) NetBan(_ context.Context, ban api.NetBan) error {
	if (ban.Peer == nil) == (ban.Net == "") {
		return errBan
	}
	d := ban.Until.Sub(a.n.clk.Now())
	if d <= 0 {
		return fmt.Errorf("a ban that ended at %s keeps nobody out", ban.Until.Format(time.RFC3339))
	}
	if ban.Peer != nil {
		if *ban.Peer == a.n.host.ID() {
			return peers.ErrSelf
		}
		a.n.peers.Ban(*ban.Peer, d)
		return nil
	}
	net, err := parseNet(ban.Net)
	if err != nil {
		return err
	}
	a.n.peers.BanNet(net, d)
	return nil
}

func (a netAPI) NetUnban(_ context.Context, ban api.NetBan) error {
	was := false
	switch {
	case (ban.Peer == nil) == (ban.Net == ""):
		return errBan
	case ban.Peer != nil:
		was = a.n.peers.Bans().Unban(*ban.Peer)
	default:
		net, err := parseNet(ban.Net)
		if err != nil {
			return err
		}
		was = a.n.peers.Bans().UnbanNet(net)
	}
	if !was {
		return fmt.Errorf("%s is not banned; lode net ban ls lists who is", target(ban))
	}
	return nil
}

// parseNet reads a range of addresses, or one address.
func parseNet(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().Prefix(addr.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address such as 192.0.2.1 nor a range such as 192.0.2.0/24", s)
	}
	return p, nil
}

// each goes through a block list.
func each(list api.NetBlockList, f func(api.NetBan) error) error {
	var errs []error
	for _, p := range list.Peers {
		errs = append(errs, f(api.NetBan{Peer: &p}))
	}
	for _, n := range append(slices.Clone(list.IPAddrs), list.IPSubnets...) {
		errs = append(errs, f(api.NetBan{Net: n}))
	}
	return errors.Join(errs...)
}

func (a netAPI) NetBlockAdd(ctx context.Context, list api.NetBlockList) error {
	until := a.n.clk.Now().Add(forGood)
	return each(list, func(b api.NetBan) error {
		b.Until = until
		return a.NetBan(ctx, b)
	})
}

func (a netAPI) NetBlockRemove(ctx context.Context, list api.NetBlockList) error {
	return each(list, func(b api.NetBan) error { return a.NetUnban(ctx, b) })
}

func (a netAPI) NetBlockList(context.Context) (api.NetBlockList, error) {
	out := api.NetBlockList{Peers: []peer.ID{}, IPAddrs: []string{}, IPSubnets: []string{}}
	for _, b := range a.n.peers.Bans().List() {
		switch {
		case !b.Net.IsValid():
			out.Peers = append(out.Peers, b.Peer)
		case b.Net.IsSingleIP():
			out.IPAddrs = append(out.IPAddrs, b.Net.Addr().String())
		default:
			out.IPSubnets = append(out.IPSubnets, b.Net.String())
		}
	}
	slices.Sort(out.Peers)
	slices.Sort(out.IPAddrs)
	slices.Sort(out.IPSubnets)
	return out, nil
}

func (a netAPI) NetProtectAdd(_ context.Context, ids []peer.ID) error {
	for _, p := range ids {
		a.n.host.ConnManager().Protect(p, protectTag)
	}
	return nil
}

func (a netAPI) NetProtectRemove(_ context.Context, ids []peer.ID) error {
	for _, p := range ids {
		a.n.host.ConnManager().Unprotect(p, protectTag)
	}
	return nil
}

func (a netAPI) NetProtectList(context.Context) ([]peer.ID, error) {
	out := []peer.ID{}
	for _, p := range a.n.host.Network().Peers() {
		if a.n.host.ConnManager().IsProtected(p, protectTag) {
			out = append(out, p)
		}
	}
	return out, nil
}
