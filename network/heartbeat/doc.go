// Package heartbeat tells a collector, again and again, how a node does; and collects.
//
// It speaks fil/heartbeat/1.0.0 of go-filecoin: the node dials the collector its settings
// name and writes one JSON object after the other on one stream; nothing comes back. lode
// adds fields of its own, which older collectors skip. What a collector is told is the
// node's own word; only the peer id is proven.
//
// Reporter.Run owns the sender's one goroutine, Collector.Run the receivers'. Nothing is sent
// unless a collector is named. Read beat.go first.
package heartbeat
