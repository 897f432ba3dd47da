// Package porcelain composes a node's methods into what people want done: send a message and
// wait for what came of it, store a file and wait until it is proven, fetch a file, wait for
// a height.
//
// It depends on package api alone, so it works the same inside a node and over the wire. A
// function runs in its caller and ends with its context; waiting follows the head, so nothing
// is asked more often than the chain moves.
package porcelain
