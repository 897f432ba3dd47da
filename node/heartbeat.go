package node

import (
	"context"
	"fmt"

	"github.com/lodenet/lode/network/heartbeat"
	"github.com/lodenet/lode/network/host"
)

// buildHeartbeat makes the reporter when the settings name a collector.
func (n *Node) buildHeartbeat() error {
	c := n.config.Heartbeat
	if c.BeatTarget == "" || n.host.Offline() {
		return nil
	}
	target, err := host.ParseAddrs([]string{c.BeatTarget})
	if err != nil {
		return fmt.Errorf("settings: Heartbeat.BeatTarget: %w", err)
	}
	n.heartbeat = heartbeat.NewReporter(n.host, target[0], n.beat, heartbeat.Options{Period: c.BeatPeriod, Reconnect: c.ReconnectPeriod}, n.clk, n.log)
	return nil
}

// beat is how the node does, for a collector.
func (n *Node) beat(context.Context) (heartbeat.Beat, error) {
	head := n.store.Head()
	behind := max(0, n.epochs.At(n.clk.Now())-head.Height())
	b := heartbeat.Beat{
		Head: head.Key().String(), Height: uint64(head.Height()), Nickname: n.config.Heartbeat.Nickname,
		Network: n.network.Name, Agent: "lode/" + n.opt.Version, Behind: uint64(behind), Peers: len(n.peers.ReadyPeers()),
	}
	if ills := n.ills(behind); len(ills) > 0 {
		b.Reason = ills[0]
	} else {
		b.Healthy = true
	}
	if n.provider != nil {
		b.MinerAddress = n.provider.miner.String()
	}
	return b, nil
}
