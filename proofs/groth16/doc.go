// Package groth16 makes and checks succinct proofs of 192 bytes: Groth16 over BLS12-381.
//
// The prover and the verifier are gnark's. What is here beside them: proofs and verifying
// keys in Filecoin's encoding, decoded strictly; checking many proofs, also under several
// keys, with one final exponentiation; keys made many times faster than gnark makes them,
// equal to gnark's for the same secrets; and proving keys that are used where they lie, in a
// mapped file, so that proving needs no copy of them in memory.
//
// The package opens no file: keys are written to a writer and opened from bytes, both by
// proofs/params. It knows no circuit of lode's; it takes any constraint system of gnark's
// over this curve that makes no commitments.
//
// Read proof.go and verify.go for the bytes, setup.go for how keys come about, file.go for
// how a proving key lies on disk, prove.go last.
package groth16

import "github.com/consensys/gnark/logger"

// gnark logs to standard output, which belongs to the commands that print results there.
// Its logger is a variable of its package, so it is switched off before anything runs.
func init() { logger.Disable() }
