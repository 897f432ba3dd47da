package mining

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library logs through a goroutine that it starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}
