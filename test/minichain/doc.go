// Package minichain makes chains for tests of the packages that follow one: a real store, in
// memory, and a real state with accounts, but no consensus, and a toy execution in which a
// message moves its value and uses all the gas it asked for.
//
// It is for tests alone. Start with New and Mine.
package minichain
