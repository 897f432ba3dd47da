// Package sigs makes and checks the signatures of the chain: secp256k1 and BLS12-381 (spec
// chain.md a.4).
//
// It holds no keys and keeps no state. The wallet signs with it, the VM and consensus check
// with it. Start with Sign and Verify; aggregates are in bls.go.
package sigs
