// Package client reaches a node over its RPC address: a Client is an api.Node whose methods
// run elsewhere.
//
// Calls go over HTTP, one request each, and end with their context. A subscription opens a
// WebSocket of its own, which ends with the subscription's context or when the node cuts it;
// then the channel is closed and the caller subscribes anew. Nothing else runs. Errors with a
// code arrive as *api.Error; a node that cannot be reached is ErrUnreachable.
package client
