package nodelife_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The dispatcher's counters and those of restarts are there for whoever looks.
func TestD10MetricsAreServed(t *testing.T) {
	_, light := birth(t, time.Now)
	n := build(t, light)
	start(t, n)
	defer stop(t, n)
	where, err := os.ReadFile(filepath.Join(light, "api"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.TrimSpace(string(where)), "/") // /ip4/127.0.0.1/tcp/PORT/http
	if len(parts) < 5 {
		t.Fatalf("the api is at %s", where)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://%s:%s/debug/metrics", parts[2], parts[4]))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"blocks", "messages", "heads", "chain requests", "chain answers"} {
		for _, want := range []string{
			fmt.Sprintf(`lode_dispatch_messages_total{outcome="delivered",topic=%q}`, topic),
			fmt.Sprintf(`lode_dispatch_queued{topic=%q}`, topic),
		} {
			if !strings.Contains(string(body), want) {
				t.Errorf("there is no %s", want)
			}
		}
	}
	for _, want := range []string{
		"lode_peer_book ", "lode_tunnel_streams ", `lode_gossip_messages_total{verdict="reject"} 0`, "lode_dht_announced_total ",
		"lode_clock_stops_mining ", "go_goroutines ",
	} {
		if !strings.Contains(string(body), "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
}
