// Package hosttest makes hosts for tests: over the loopback interface, or over a simulated
// network in virtual time. Only tests import it.
package hosttest
