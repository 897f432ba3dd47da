// Package nodelife starts and stops whole nodes, again and again, and looks at what is left.
//
// Its tests are named after the requirements that they show (L-08, L-12, …); those of a group
// of parts alone are with node/lifecycle. LODE_LONG=1 makes the long versions.
//
// It has tests only. Read life_test.go.
package nodelife
