// Package server serves an api.Node as JSON-RPC 2.0 over HTTP and WebSocket (spec api.md
// A.1–A.4), and answers health checks.
//
// The wire is that of github.com/filecoin-project/go-jsonrpc, whose client api/client uses.
// The server is written anew because a node needs what that one does not give: a bound on
// frames and on what a slow subscriber may leave lying, the codes of the specification, and
// that every goroutine has ended when Serve returns.
//
// Serve owns all goroutines. A connection has one that reads, one that writes, and one for
// each call under way, of which there is a limit; past it calls are refused. A caller without
// a permission gets an error and the method is not called. Read server.go, then method.go,
// http.go and socket.go.
package server
