package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/network/tunnel"
)

// p2pAPI answers about tunnels.
type p2pAPI struct{ n *Node }

func (a p2pAPI) P2PListen(ctx context.Context, o *api.P2POffer) error {
	if o == nil {
		return errors.New("no offer given")
	}
	return a.n.tunnels.Listen(ctx, tunnel.Offer{
		Protocol: protocol.ID(o.Protocol), Target: o.Target, Allow: o.Allow, AllowAny: o.AllowAny,
		ReportPeerID: o.ReportPeerID, Ephemeral: o.Ephemeral, Custom: o.AllowCustomProtocol,
	})
}

func (a p2pAPI) P2PForward(ctx context.Context, f *api.P2PForwarding) (string, error) {
	if f == nil {
		return "", errors.New("no forward given")
	}
	target, err := tunnel.ParsePeer(ctx, madns.Resolve, f.Target)
	if err != nil {
		return "", err
	}
	return a.n.tunnels.Forward(ctx, tunnel.Forward{
		Protocol: protocol.ID(f.Protocol), Listen: f.Listen, Peer: target,
		Ephemeral: f.Ephemeral, Custom: f.AllowCustomProtocol,
	})
}

// releaseLimit bounds the closing of a listener whose holder went away.
const releaseLimit = 5 * time.Second

func (a p2pAPI) P2PHold(ctx context.Context, kind, name string) (<-chan string, error) {
	// First, so that what is listed below is the same, or this one is gone.
	gone, err := a.n.tunnels.Gone(ctx, tunnel.Kind(kind), name)
	if err != nil {
		return nil, err
	}
	list, err := a.n.tunnels.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(e tunnel.Entry) bool {
		key := e.Protocol
		if e.Kind == tunnel.KindForward {
			key = e.ListenAddress
		}
		return string(e.Kind) == kind && key == name && e.Ephemeral
	})
	if i < 0 {
		return nil, fmt.Errorf("%w that is ephemeral: %s %s", tunnel.ErrGone, kind, name)
	}
	match := tunnel.Match{Protocol: list[i].Protocol, ListenAddress: list[i].ListenAddress}
	out := make(chan string, 2)
	out <- "held"
	err = a.n.subs.start(ctx, func(ctx context.Context) {
		defer close(out)
		select {
		case <-gone:
			out <- "closed"
		case <-ctx.Done():
			select {
			case <-gone: // another of this name may be there by now
				return
			default:
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
			defer cancel()
			if _, err := a.n.tunnels.Close(ctx, match, false); err != nil {
				a.n.log.Warn("a tunnel whose holder went away stays open; close it with lode p2p close", "tunnel", name, "err", err)
			}
		}
	})
	return out, err
}

func (a p2pAPI) P2PList(ctx context.Context) ([]api.P2PListener, error) {
	list, err := a.n.tunnels.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.P2PListener, len(list))
	for i, e := range list {
		out[i] = api.P2PListener{
			Protocol: e.Protocol, ListenAddress: e.ListenAddress, TargetAddress: e.TargetAddress, Kind: string(e.Kind),
			Allow: e.Allow, AllowAny: e.AllowAny, ReportPeerID: e.ReportPeerID,
			Ephemeral: e.Ephemeral, Declared: e.Declared, Streams: e.Streams, Problem: e.Problem,
		}
	}
	return out, nil
}

func (a p2pAPI) P2PClose(ctx context.Context, m api.P2PMatch) (int, error) {
	return a.n.tunnels.Close(ctx, tunnel.Match{
		Protocol: m.Protocol, ListenAddress: m.ListenAddress, TargetAddress: m.TargetAddress, All: m.All,
	}, m.Streams)
}

func (a p2pAPI) P2PStreams(ctx context.Context) ([]api.P2PStream, error) {
	list, err := a.n.tunnels.Streams(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.P2PStream, len(list))
	for i, s := range list {
		out[i] = api.P2PStream{
			HandlerID: strconv.FormatUint(s.ID, 10), Protocol: s.Protocol, OriginAddress: s.OriginAddress, TargetAddress: s.TargetAddress,
			Kind: string(s.Kind), Opened: s.Opened, BytesIn: s.BytesIn, BytesOut: s.BytesOut, SettingUp: !s.Set,
		}
	}
	return out, nil
}

func (a p2pAPI) P2PStreamClose(ctx context.Context, id uint64) error {
	return a.n.tunnels.CloseStream(ctx, id)
}

func (a p2pAPI) P2PStreamCloseAll(ctx context.Context) (int, error) {
	return a.n.tunnels.CloseStreams(ctx)
}

func (a p2pAPI) P2PStats(ctx context.Context) (*api.P2PStats, error) {
	st, err := a.n.tunnels.Stats(ctx)
	if err != nil {
		return nil, err
	}
	out := &api.P2PStats{
		Open: st.Open, Opened: st.Opened, BytesIn: st.BytesIn, BytesOut: st.BytesOut,
		SetupTime: st.Setup.Sum, Ends: map[string]int64{},
	}
	bounds := append(tunnel.SetupBounds(), 0)
	for i, n := range st.Setup.Counts {
		out.Setup = append(out.Setup, api.P2PSetup{Within: bounds[i], Count: n})
	}
	for why, n := range st.Ends {
		out.Ends[string(why)] = int64(n)
	}
	return out, nil
}
