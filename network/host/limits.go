package host

import (
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
)

// Memory and descriptors that the network may take: enough for 180 peers, little enough
// that three nodes and their sealing share a small machine.
const (
	maxMemory      = 512 << 20
	maxDescriptors = 1024
)

// requestProtocols answer one question per stream; few are ever open at once (spec
// network.md B.2, I).
var requestProtocols = [...]protocol.ID{"/fil/hello/1.0.0", "/fil/chain/xchg/0.0.1", "/lode/hello/1"}

// tunnelPrefix begins the names of tunnels: many streams of one protocol at once, which
// network/tunnel counts and bounds itself (spec network.md T-04).
const tunnelPrefix = "/x/"

// tunnelLimit leaves tunnels the streams that a peer, or the system, has.
var tunnelLimit = rcmgr.BaseLimit{Streams: 2048, StreamsInbound: 1024, StreamsOutbound: 1024, Memory: 256 << 20}

// limiter is the fixed one but for tunnels, whose names are not known beforehand.
type limiter struct{ rcmgr.Limiter }

// GetProtocolLimits implements rcmgr.Limiter.
func (l limiter) GetProtocolLimits(p protocol.ID) rcmgr.Limit {
	if strings.HasPrefix(string(p), tunnelPrefix) {
		return &tunnelLimit
	}
	return l.Limiter.GetProtocolLimits(p)
}

// GetProtocolPeerLimits implements rcmgr.Limiter.
func (l limiter) GetProtocolPeerLimits(p protocol.ID) rcmgr.Limit {
	if strings.HasPrefix(string(p), tunnelPrefix) {
		return &tunnelLimit
	}
	return l.Limiter.GetProtocolPeerLimits(p)
}

// transientStreams may be negotiating at once; a burst of tunnels must not break at that.
const transientStreams = 1024

// resourceManager bounds connections, streams and memory by system, protocol and peer.
func resourceManager(metrics bool) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	limits.TransientBaseLimit.Streams = 2 * transientStreams
	limits.TransientBaseLimit.StreamsInbound = transientStreams
	limits.TransientBaseLimit.StreamsOutbound = transientStreams
	for _, p := range requestProtocols {
		limits.AddProtocolLimit(p, rcmgr.BaseLimit{
			Streams: 512, StreamsInbound: 256, StreamsOutbound: 256, Memory: 64 << 20,
		}, rcmgr.BaseLimitIncrease{})
		limits.AddProtocolPeerLimit(p, rcmgr.BaseLimit{
			Streams: 32, StreamsInbound: 16, StreamsOutbound: 16, Memory: 16 << 20,
		}, rcmgr.BaseLimitIncrease{})
	}
	var opts []rcmgr.Option
	if !metrics {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	return rcmgr.NewResourceManager(limiter{rcmgr.NewFixedLimiter(limits.Scale(maxMemory, maxDescriptors))}, opts...)
}
