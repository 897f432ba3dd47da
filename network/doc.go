// Package network groups the ways in which a node talks to other nodes. The parts move
// bytes that callbacks have checked; none of them knows a rule of the chain.
//
// host is the libp2p host; peers is the session layer on top of it (who is connected, who
// has shaken hands, who behaves badly); dispatch carries inbound messages from the network
// to their consumers through bounded queues; gossip broadcasts blocks and messages; bitswap
// exchanges blocks by CID; tunnel carries TCP connections to services of other peers.
package network
