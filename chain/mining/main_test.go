package mining

import (
	"testing"

	"go.uber.org/goleak"
)

// Libraries start goroutines when they are loaded; those are not ours.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
