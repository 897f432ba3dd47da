// Package lifecycle starts and stops the parts of a node together.
//
// A Group holds parts in the order in which they were added. Start starts them in that order;
// when one fails, those before it are stopped in reverse and the error is joined with every
// stop error. Stop reverses Start, waits for every goroutine of the group, gives each part a
// deadline and names those that are late. It is safe at any moment and may be repeated. A
// part that ends by itself takes its group down: nothing ends silently.
//
// A Role is a group that can be switched on and off again, such as mining; Keep switches it
// on again when it went down by itself. A Restarter runs a loop again that may fail for
// reasons that pass. Both pause longer each time, and count.
//
// The group owns one goroutine a running part and one that unwinds; all have ended when Stop
// returns nil. It knows nothing of what its parts do. Read group.go, then unwind.go.
package lifecycle
