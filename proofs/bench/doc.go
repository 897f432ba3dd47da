// Package bench measures proofs: how fast each part is on this machine, beside a peer or a
// limit that is measured in the same run, in turns with it, so that what else the machine
// does disturbs both alike.
//
// A Stage measures one part and gives Rows; Run runs them in order. All has every stage;
// Vanilla those of what is below succinct proofs, which need no keys. Peers are linked in for
// this alone. Time, files and keys are handed in. What was not measured is in the report too,
// with the reason. Read bench.go, then sector.go, setup.go, prove.go and verify.go.
package bench
