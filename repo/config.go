package repo

import (
	"time"

	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/chain/types"
)

// Config are a node's settings, config.toml. The names are those that operators of Filecoin
// nodes know (spec api.md D.1). A zero means the default of the part that reads it. It is
// copied freely and never changed once a node runs.
type Config struct {
	API        APIConfig
	Libp2p     Libp2pConfig
	Tunnels    TunnelsConfig
	Logging    LoggingConfig
	Fees       FeesConfig
	Mining     MiningConfig
	Sealing    SealingConfig
	Dealmaking DealmakingConfig
	Retrieval  RetrievalConfig
	Heartbeat  HeartbeatConfig
}

// APIConfig is about the RPC server.
type APIConfig struct {
	// ListenAddress is a multiaddr; port 0 takes a free port, which the file api then names.
	// Empty serves nothing.
	ListenAddress string
	// AllowedOrigins may call from a browser; "*" is everyone.
	AllowedOrigins []string
	// MaxRequestBytes bounds one request.
	MaxRequestBytes int64
}

// Libp2pConfig is about connections to peers.
type Libp2pConfig struct {
	ListenAddresses []string
	// Bootstrap are peers to start from besides those of network.toml, with /p2p/ at the end.
	Bootstrap []string
	// BootstrapMinPeers is how many peers are enough; while there are fewer, the node dials
	// one after the other, looking every BootstrapPeriod.
	BootstrapMinPeers int
	BootstrapPeriod   time.Duration
	ConnMgrLow        int
	ConnMgrHigh       int
	ConnMgrGrace      time.Duration
	MaxPeers          int // nodes of the network; two thirds may be inbound
	MaxGuests         int // other programs, such as Kubo
	// GenesisBan is how long a peer of another genesis is kept out.
	GenesisBan time.Duration
	// MinAnswerRate is how many bytes a second a peer's answer about the chain must bring, over
	// ten seconds. It is lowered by itself for as long as nobody is quicker.
	MinAnswerRate int
	// Offline takes part in no network: the node answers from what it has.
	Offline bool
	// AnnounceAddresses are told to others instead of those listened on; NoAnnounceAddresses
	// never are.
	AnnounceAddresses   []string
	NoAnnounceAddresses []string
	// NatPortMap asks the router to forward the ports (UPnP, NAT-PMP).
	NatPortMap bool
	// Relay lets peers that nobody can reach be reached through this node. It needs an address
	// that everybody can reach.
	Relay bool
	// HolePunching dials through relays and then directly, where both sides can.
	HolePunching bool
	// Relays are where this node can be reached when it cannot be directly, with /p2p/.
	Relays []string
	// DHT is auto, server, client or off.
	DHT string
}

// HeartbeatConfig is about telling a collector how the node does. Nothing is told by default.
type HeartbeatConfig struct {
	BeatTarget      string // the collector's address with /p2p/; empty tells nobody
	BeatPeriod      time.Duration
	ReconnectPeriod time.Duration
	Nickname        string
}

// TunnelsConfig is about lode p2p.
type TunnelsConfig struct {
	// Listen are services offered at every start: protocol, target, then the peers that may
	// use it or any, and report-peer-id if wanted, separated by spaces.
	Listen []string
	// Forward are ports forwarded at every start: protocol, address to listen on, peer.
	Forward []string
	// Linger is how long a connection may be silent after one side has ended; 0 for ever.
	Linger time.Duration
	// Idle is how long a connection may be silent at any time; 0 for ever.
	Idle time.Duration
	// Limits; 0 takes the default: 64, 1024 and 256.
	MaxListeners      int
	MaxStreams        int
	MaxStreamsPerPeer int
}

// LoggingConfig is about the log on standard error.
type LoggingConfig struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// FeesConfig bounds what own messages may burn.
type FeesConfig struct {
	DefaultMaxFee types.FIL
}

// MiningConfig switches the provider's role on.
type MiningConfig struct {
	Enabled bool
	Miner   string // address of the miner actor
}

// SealingConfig is about sectors.
type SealingConfig struct {
	WaitDealsDelay                  time.Duration // how long a sector waits for more deals
	StartEpochSealingBuffer         int64         // epochs
	Cooldown                        time.Duration // pause after a failure
	Confidence                      int64         // epochs on top of own messages
	CommittedCapacitySectorLifetime int64         // epochs
	MaxSealingSectors               int
	Labels                          int // label jobs at once
	Trees                           int // tree jobs at once
	Proofs                          int // proof jobs at once
	AlwaysKeepUnsealedCopy          bool
}

// DealmakingConfig says which deals are taken.
type DealmakingConfig struct {
	ConsiderOnlineStorageDeals     bool
	ConsiderOfflineStorageDeals    bool
	ConsiderVerifiedStorageDeals   bool
	ConsiderUnverifiedStorageDeals bool
	PieceCidBlocklist              []string
	MaxDealStartDelay              int64 // epochs after the soonest start
	ExpectedSealDuration           int64 // epochs
	MaxStagingDealsBytes           uint64
	PublishMsgPeriod               time.Duration
	MaxDealsPerPublishMsg          int
	MaxConcurrentTransfers         int
	RefusePrivateAddresses         bool // do not fetch from private networks
}

// RetrievalConfig is about the HTTP gateway.
type RetrievalConfig struct {
	ListenAddress string // host:port; empty serves nothing
	PublicURL     string // how others reach it, when that differs
}

// defaultMaxFee is 0.07 FIL.
var defaultMaxFee = big.Mul(big.NewInt(7), big.Div(types.FilecoinPrecision, big.NewInt(100)))

// DefaultConfig are the settings of a node that is not a provider.
func DefaultConfig() Config {
	return Config{
		API: APIConfig{
			ListenAddress:   "/ip4/127.0.0.1/tcp/1234/http",
			AllowedOrigins:  []string{},
			MaxRequestBytes: 100 << 20,
		},
		Libp2p: Libp2pConfig{
			ListenAddresses: []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"},
			Bootstrap:       []string{},
			ConnMgrLow:      150,
			ConnMgrHigh:     180,
			ConnMgrGrace:    20 * time.Second,

			BootstrapMinPeers:   4,
			BootstrapPeriod:     time.Second,
			MaxPeers:            160,
			MaxGuests:           40,
			GenesisBan:          24 * time.Hour,
			MinAnswerRate:       32 << 10,
			AnnounceAddresses:   []string{},
			NoAnnounceAddresses: []string{},
			Relays:              []string{},
			DHT:                 "auto",
		},
		Tunnels: TunnelsConfig{Listen: []string{}, Forward: []string{}, Linger: time.Minute},
		Logging: LoggingConfig{Level: "info", Format: "text"},
		Fees:    FeesConfig{DefaultMaxFee: types.FIL(defaultMaxFee)},
		Sealing: SealingConfig{AlwaysKeepUnsealedCopy: true},
		Dealmaking: DealmakingConfig{
			ConsiderOnlineStorageDeals:     true,
			ConsiderOfflineStorageDeals:    true,
			ConsiderVerifiedStorageDeals:   true,
			ConsiderUnverifiedStorageDeals: true,
			PieceCidBlocklist:              []string{},
		},
		Heartbeat: HeartbeatConfig{BeatPeriod: 3 * time.Second, ReconnectPeriod: 10 * time.Second},
	}
}
