// Package retrieval gives content back: as a server, the trustless HTTP gateway, whole
// pieces and the list of transports (spec markets.md B.1 to B.4); as a client, Fetch, which
// verifies block by block and leaves either the whole file or nothing.
//
// The server reads through a block store and a piece reader handed in, holds one block a
// request, and never knows about deals. Besides plain HTTP it answers on /http/1.1 streams
// of libp2p, which need no open port. Start with server.go and gateway.go, for the client
// with fetch.go.
package retrieval
