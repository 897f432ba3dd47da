package merkle

import "github.com/lodenet/lode/proofs/fr32"

// Node is a tree's leaf or inner value.
type Node = fr32.Node

// Shape is the make of a Poseidon tree: base trees of arity Base, of which Sub at a time are
// joined under one node, of which Top at a time are joined again. Sub and Top are 0 when
// there is no such floor (spec: 5).
type Shape struct{ Base, Sub, Top int }
