package netfault_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also plays the part of an attacker, when a scenario runs this very program in a
// namespace as one.
func TestMain(m *testing.M) {
	if what := os.Getenv(attackerEnv); what != "" {
		os.Exit(attackerMain(what))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // libraries start goroutines when they are loaded
}
