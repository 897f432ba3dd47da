// Package bench measures proofs: how fast each part is on this machine, beside a peer or a
// limit that is measured in the same run, in turns with it, so that what else the machine
// does disturbs both alike.
//
// A Stage measures one part and gives Rows; Run runs them in order. Vanilla has the stages of
// what is below succinct proofs; a proof system adds its own. Peers are linked in for this
// alone. Time and files are handed in. Read bench.go, then seal.go.
package bench
