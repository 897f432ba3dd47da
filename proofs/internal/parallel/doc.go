// Package parallel spreads work over the cores: so many numbers, each taken by the next core
// that is free. It owns the goroutines it starts and returns when all of them have ended. It
// never decides what is worth spreading.
package parallel
