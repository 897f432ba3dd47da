// Package netfault breaks the network under whole nodes and looks at what comes of it.
//
// A scenario is a file in scenarios: nodes, a timeline of faults, load, expectations, and a
// seed. The same file runs at two levels. In virtual time, nodes of this process talk over a
// simulated packet network within a testing/synctest bubble; that is quick and runs with
// every test. In namespaces, each node is a process of its own with the kernel's own TCP and
// UDP, and one user-space shaper is the wire between them: each node's only route is a TUN
// device that the shaper holds. `make test-netns` runs that level; it needs root and
// iproute2, makes namespaces whose names hold the number of its process, and removes them.
//
// Every run ends with the invariants: one head again, every transfer on chain exactly once,
// no miner that signed two blocks for one epoch, no honest peer punished by an honest one, no
// panic, no process over its caps, every stop in time.
//
// It has tests only. Read scenarios/ft-01.toml, then run_test.go; fabric_test.go is the wire.
package netfault
