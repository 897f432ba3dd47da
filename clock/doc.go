// Package clock is the only source of time for the node: a clock that can be handed in,
// and the arithmetic between time and epochs.
//
// Nothing below main calls time.Now itself. A devnet's clock stands still while the devnet
// is down (System.Pause); in tests, testing/synctest moves the same System clock.
package clock
