package gossip

import (
	"net"
	"slices"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"
)

// Numbers of spec chain.md f.4.
const (
	bootstrapScore   = 2500
	validateQueue    = 256
	maxSubscriptions = 100 // topics a peer may name (spec network.md P-12)
	messageHistory   = 10
)

// MessageID is the identity of a message in the network: blake2b-256 of its data.
func MessageID(data []byte) string {
	h := blake2b.Sum256(data)
	return string(h[:])
}

// options are the router's settings.
func (g *Gossip) options() []pubsub.Option {
	return []pubsub.Option{
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return MessageID(m.GetData()) }),
		pubsub.WithFloodPublish(true),
		pubsub.WithMaxMessageSize(MaxMessageSize),
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithGossipSubParams(routerParams(g.opt.Bootstrapper)),
		pubsub.WithPeerExchange(g.opt.Bootstrapper),
		pubsub.WithPeerScore(g.scoreParams(), scoreThresholds()),
		pubsub.WithPeerGater(g.gaterParams()),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(
			pubsub.NewAllowlistSubscriptionFilter(g.blocks, g.messages), maxSubscriptions)),
		pubsub.WithLogger(g.log),
	}
}

func routerParams(bootstrapper bool) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dscore, p.Dout, p.Dlo, p.Dhi, p.Dlazy = 8, 6, 3, 6, 12, 12
	p.DirectConnectInitialDelay = 30 * time.Second
	p.IWantFollowupTime = 5 * time.Second
	p.HistoryLength = messageHistory
	p.GossipFactor = 0.1
	if bootstrapper {
		p.D, p.Dscore, p.Dout, p.Dlo, p.Dhi, p.Dlazy = 0, 0, 0, 0, 0, 64
		p.GossipFactor = 0.25
		p.PruneBackoff = 5 * time.Minute
	}
	return p
}

func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold:             -500,
		PublishThreshold:            -1000,
		GraylistThreshold:           -2500,
		AcceptPXThreshold:           1000,
		OpportunisticGraftThreshold: 3.5,
	}
}

func (g *Gossip) scoreParams() *pubsub.PeerScoreParams {
	return &pubsub.PeerScoreParams{
		AppSpecificScore:            g.appScore,
		AppSpecificWeight:           1,
		IPColocationFactorThreshold: 5,
		IPColocationFactorWeight:    -100,
		// Many nodes of one machine are a test or a devnet, not an attack.
		IPColocationFactorWhitelist: loopback(),
		BehaviourPenaltyThreshold:   6,
		BehaviourPenaltyWeight:      -10,
		BehaviourPenaltyDecay:       pubsub.ScoreParameterDecay(time.Hour),
		DecayInterval:               pubsub.DefaultDecayInterval,
		DecayToZero:                 pubsub.DefaultDecayToZero,
		RetainScore:                 6 * time.Hour,
		Topics: map[string]*pubsub.TopicScoreParams{
			g.blocks:   topicScore(0.00027, 5, time.Hour),
			g.messages: topicScore(0.0002778, 0.5, 10*time.Minute),
		},
	}
}

// topicScore rewards time in the mesh and first deliveries, and punishes invalid messages.
func topicScore(mesh, first float64, firstDecay time.Duration) *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight:                    0.1,
		TimeInMeshWeight:               mesh,
		TimeInMeshQuantum:              time.Second,
		TimeInMeshCap:                  1,
		FirstMessageDeliveriesWeight:   first,
		FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(firstDecay),
		FirstMessageDeliveriesCap:      100,
		InvalidMessageDeliveriesWeight: -1000,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(time.Hour),
	}
}

func (g *Gossip) gaterParams() *pubsub.PeerGaterParams {
	source := time.Hour
	if g.opt.Bootstrapper {
		source = 10 * time.Minute
	}
	return pubsub.NewPeerGaterParams(0.33,
		pubsub.ScoreParameterDecay(2*time.Minute), pubsub.ScoreParameterDecay(source)).
		WithTopicDeliveryWeights(map[string]float64{g.blocks: 10, g.messages: 1})
}

// appScore is the part of a peer's score that is not GossipSub's own. Bootstrappers do not
// favour one another.
func (g *Gossip) appScore(p peer.ID) float64 {
	if !g.opt.Bootstrapper && slices.Contains(g.opt.Bootstrap, p) {
		return bootstrapScore
	}
	if g.opt.Score != nil {
		return g.opt.Score(p)
	}
	return 0
}

func loopback() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}
