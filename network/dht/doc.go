// Package dht finds peers by id and providers by CID in a network's own Kademlia table.
//
// A Table speaks /fil/kad/<network>/kad/1.0.0 with the peers of one network (spec chain.md
// f.5): peer routing and provider records, no values. Offline is the other implementation of
// Router, whose every answer is ErrOffline. An Announcer keeps the provider records of a
// node's content alive.
//
// Run owns the library's goroutines. Provider records are kept in memory: who provides
// something says so again once a day and after a start. Read dht.go, then announce.go.
package dht
