package api

import (
	"context"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types"
)

// Net looks at and changes the connections to peers.
type Net interface {
	// NetPeers lists connected peers.
	//
	//perm:read
	NetPeers(ctx context.Context) ([]peer.AddrInfo, error)
	// NetSessions lists connected peers with what the node knows of each.
	//
	//perm:read
	NetSessions(ctx context.Context) ([]PeerSession, error)
	// NetPeerInfo describes a connected peer.
	//
	//perm:read
	NetPeerInfo(ctx context.Context, id peer.ID) (*ExtendedPeerInfo, error)
	// NetConnectedness tells whether a peer is connected.
	//
	//perm:read
	NetConnectedness(ctx context.Context, id peer.ID) (Connectedness, error)
	// NetAddrsListen is where the node listens.
	//
	//perm:read
	NetAddrsListen(ctx context.Context) (peer.AddrInfo, error)
	// NetConnect connects to a peer.
	//
	//perm:write
	NetConnect(ctx context.Context, to peer.AddrInfo) error
	// NetDisconnect closes all connections to a peer.
	//
	//perm:write
	NetDisconnect(ctx context.Context, id peer.ID) error
	// NetAgentVersion is the program that a peer says it runs.
	//
	//perm:read
	NetAgentVersion(ctx context.Context, id peer.ID) (string, error)
	// NetPing measures one round trip to a peer.
	//
	//perm:read
	NetPing(ctx context.Context, id peer.ID) (time.Duration, error)
	// NetFindPeer looks a peer's addresses up: connected peers, then the DHT.
	//
	//perm:read
	NetFindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error)
	// NetAutoNatStatus tells whether others can dial this node.
	//
	//perm:read
	NetAutoNatStatus(ctx context.Context) (NatInfo, error)
	// NetBandwidthStats counts the bytes of all streams since the start.
	//
	//perm:read
	NetBandwidthStats(ctx context.Context) (metrics.Stats, error)
	// NetBandwidthStatsByPeer counts them by peer.
	//
	//perm:read
	NetBandwidthStatsByPeer(ctx context.Context) (map[string]metrics.Stats, error)
	// NetBandwidthStatsByProtocol counts them by protocol.
	//
	//perm:read
	NetBandwidthStatsByProtocol(ctx context.Context) (map[protocol.ID]metrics.Stats, error)
	// NetBans lists who may not connect, until when and why.
	//
	//perm:read
	NetBans(ctx context.Context) ([]NetBan, error)
	// NetBan keeps a peer or a range of addresses out until a moment.
	//
	//perm:admin
	NetBan(ctx context.Context, ban NetBan) error
	// NetUnban lets a peer or a range of addresses in again.
	//
	//perm:admin
	NetUnban(ctx context.Context, ban NetBan) error
	// NetBlockAdd keeps peers and addresses out for good.
	//
	//perm:admin
	NetBlockAdd(ctx context.Context, list NetBlockList) error
	// NetBlockRemove lets them in again.
	//
	//perm:admin
	NetBlockRemove(ctx context.Context, list NetBlockList) error
	// NetBlockList lists all who may not connect.
	//
	//perm:read
	NetBlockList(ctx context.Context) (NetBlockList, error)
	// NetProtectAdd keeps the connections of peers when there are too many.
	//
	//perm:admin
	NetProtectAdd(ctx context.Context, ids []peer.ID) error
	// NetProtectRemove no longer does.
	//
	//perm:admin
	NetProtectRemove(ctx context.Context, ids []peer.ID) error
	// NetProtectList lists the protected among the connected peers.
	//
	//perm:read
	NetProtectList(ctx context.Context) ([]peer.ID, error)
	// NetBootstrapList are the peers to start from.
	//
	//perm:read
	NetBootstrapList(ctx context.Context) ([]peer.AddrInfo, error)
	// NetBootstrapAdd puts a peer on that list for good.
	//
	//perm:admin
	NetBootstrapAdd(ctx context.Context, info peer.AddrInfo) error
	// NetBootstrapRemove takes one off, also one that the network or the settings name.
	//
	//perm:admin
	NetBootstrapRemove(ctx context.Context, id peer.ID) error
	// DhtFindProviders looks for peers that announced a CID; 0 finds all.
	//
	//perm:read
	DhtFindProviders(ctx context.Context, c cid.Cid, n int) ([]peer.AddrInfo, error)
	// DhtProvide announces that this node has a CID. It must have it.
	//
	//perm:write
	DhtProvide(ctx context.Context, c cid.Cid) error
	// DhtQuery finds the peers nearest to a peer's id, nearest first.
	//
	//perm:read
	DhtQuery(ctx context.Context, id peer.ID) ([]peer.ID, error)
	// BitswapStat is what each bitswap has moved.
	//
	//perm:read
	BitswapStat(ctx context.Context) ([]BitswapStat, error)
}

// PeerSession is a connected peer as the session layer sees it.
type PeerSession struct {
	ID        peer.ID
	State     string // connected, identified, hello-sent, hello-received, ready, guest, closing
	Inbound   bool
	Bootstrap bool
	Addrs     []string
	Agent     string
	Protocols []string
	Latency   time.Duration // of the greeting; 0 when unknown
	Offset    time.Duration // how far its clock is behind ours
	Score     float64       // 0 is neutral, −100 is a ban
	Since     time.Time
	Intro     *PeerIntro // what it told of itself; only nodes of lode do
}

// PeerIntro is what a peer claims of itself.
type PeerIntro struct {
	Network      string
	Agent        string
	OldestState  uint64 // the epochs whose state it serves
	NewestState  uint64
	Capabilities []string // chain, state, content, deals, relay
	Finalised    uint64   // instance of the certificate of its head; 0 without certificates
}

// ExtendedPeerInfo describes a connected peer.
type ExtendedPeerInfo struct {
	ID          peer.ID
	Agent       string
	Addrs       []string
	Protocols   []string
	ConnMgrMeta *ConnMgrInfo
}

// ConnMgrInfo is how the connection manager values a peer.
type ConnMgrInfo struct {
	FirstSeen time.Time
	Value     int
	Tags      map[string]int
	Conns     map[string]time.Time
}

// Connectedness tells whether a peer is connected, in libp2p's numbers.
type Connectedness int

// What a connection to a peer can be. Limited is one over a relay.
const (
	NotConnected Connectedness = 0
	IsConnected  Connectedness = 1
	IsLimited    Connectedness = 4
)

// Reachability tells whether others can dial a node, in libp2p's numbers.
type Reachability int

// What is known of it.
const (
	ReachUnknown Reachability = iota
	ReachPublic
	ReachPrivate
)

// String names the reachability.
func (r Reachability) String() string {
	switch r {
	case ReachPublic:
		return "public"
	case ReachPrivate:
		return "private"
	}
	return "unknown"
}

// NatInfo tells whether others can dial this node.
type NatInfo struct {
	Reachability Reachability
	PublicAddrs  []string
}

// NetBan keeps a peer or a range of addresses out.
type NetBan struct {
	Peer   *peer.ID `json:",omitempty"` // one of Peer and Net is not set
	Net    string   `json:",omitempty"` // such as 192.0.2.0/24
	Until  time.Time
	Reason string
}

// NetBlockList is who may not connect.
type NetBlockList struct {
	Peers     []peer.ID
	IPAddrs   []string
	IPSubnets []string
}

// BitswapStat is what one bitswap has moved since the start.
type BitswapStat struct {
	Protocol         protocol.ID
	Peers            []string
	Wantlist         []cid.Cid
	BlocksReceived   uint64
	DataReceived     uint64
	BlocksSent       uint64
	DataSent         uint64
	DupBlksReceived  uint64
	DupDataReceived  uint64
	MessagesReceived uint64
}

// Sync tells how the node follows the chain.
type Sync interface {
	// SyncState is what each worker does.
	//
	//perm:read
	SyncState(ctx context.Context) (*SyncState, error)
}

// SyncStage is how far a worker is.
type SyncStage int

// The stages.
const (
	StageIdle SyncStage = iota
	StageHeaders
	StagePersistHeaders
	StageMessages
	StageComplete
	StageError
	StageFetchingMessages
)

// String names the stage.
func (s SyncStage) String() string {
	names := [...]string{"idle", "header sync", "persisting headers", "message sync", "complete", "error", "fetching messages"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// SyncState is the work of the syncer.
type SyncState struct {
	ActiveSyncs []ActiveSync
	VMApplied   uint64 // tipsets executed since the start
}

// ActiveSync is one way from a base to a target.
type ActiveSync struct {
	WorkerID uint64
	Base     *types.TipSet
	Target   *types.TipSet
	Stage    SyncStage
	Height   abi.ChainEpoch
	Start    time.Time
	End      time.Time
	Message  string
}
