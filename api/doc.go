// Package api is the contract between a node and everything that talks to it: the methods,
// the objects they carry, and who may call them.
//
// The methods are grouped in small interfaces (Common, Chain, State, …); Node is all of them
// together. Their names and objects are those that Filecoin tools know, prefixed "Filecoin."
// on the wire (spec api.md A); lode's own (the Data, Deal, Mining, Proving and Retrieve
// methods) share the prefix and have names that no tool uses for something else. Each
// method's comment ends with the permission that a caller needs.
//
// package node implements the interfaces, api/server serves them as JSON-RPC, api/client
// calls them from afar, and api/porcelain composes them into what people want done. Proxy, in
// proxy_gen.go, is written by api/gen from the interfaces; run go generate after a change.
//
// Nothing here runs. An empty TipSetKey means the head; states are those before the messages
// of the named tipset ran (spec api.md A.6).
package api

//go:generate go run ./gen
