package node

import "context"

type rpcServer struct{}

func (n *Node) buildRPC(context.Context) error { n.rpc = &rpcServer{}; return nil }

func (r *rpcServer) start(context.Context) error { return nil }
func (r *rpcServer) stop(context.Context) error  { return nil }
