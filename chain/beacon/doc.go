// Package beacon gives consensus its randomness: entries that nobody can bias, one round for
// every epoch (spec chain.md e.9).
//
// Consensus asks Check, mining asks EntriesFor. The package keeps no state and starts
// nothing. Local is the beacon of devnets and tests: anyone can compute it ahead.
package beacon
