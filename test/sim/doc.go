// Package sim runs whole nodes in virtual time: the real node.Node, with its stores on disk,
// over a simulated network, within a testing/synctest bubble, where hours pass in seconds and
// nothing happens but what the schedule says.
//
// A schedule is drawn from a seed: messages between the nodes' accounts, restarts, kills and
// partitions. A failure prints the seed; LODE_SIM_SEED runs it again. The schedule repeats
// exactly, the interleaving of goroutines does not. LODE_SIM_EPOCHS overrides the length,
// LODE_SIM_LOG=debug|info|warn shows what the nodes say.
//
// It has tests only. Read sim_test.go, then world_test.go.
package sim
