package devnet

import (
	"fmt"
	"os"
	"testing"
)

// A node's port is none that the system gives to an outgoing connection of any program, which
// would keep the node from starting for as long as it lasts.
func TestPortsAreNotThoseOfConnections(t *testing.T) {
	first := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(b), &first); err != nil {
			t.Fatal(err)
		}
	}
	if first <= lastPort {
		t.Skipf("this system gives away ports from %d on", first)
	}
	taken := map[int]bool{}
	const many = 100
	for range many {
		port, err := freePort(taken)
		if err != nil {
			t.Fatal(err)
		}
		if port >= first || !taken[port] {
			t.Fatalf("port %d is one that the system gives away, or may be taken twice", port)
		}
	}
	if len(taken) != many {
		t.Errorf("%d ports for %d nodes", len(taken), many)
	}
}
