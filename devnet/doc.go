// Package devnet makes and runs whole networks on one machine: several nodes in one process
// (Network, used by the demo and by simulations) or one process a node (Folder, used by
// `lode devnet`).
//
// It creates what a network needs (keys, pre-sealed sectors, genesis), lays out a folder a
// node, and starts nodes by node.New or as child processes of the same binary. It has no
// rule of the protocol and no access to a node but its api. Read create.go, then network.go
// and folder.go.
package devnet
