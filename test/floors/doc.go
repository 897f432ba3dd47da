// Package floors tests that imports go down the floors of ARCHITECTURE.md only, so that the
// map stays true.
package floors
