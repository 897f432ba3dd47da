package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/heartbeat"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/repo"
)

func (a *app) heartbeatCmd() *cobra.Command {
	return a.noun("heartbeat", "Reports of nodes on how they do", nil, a.heartbeatCollect())
}

// collectFlags are what lode heartbeat collect was asked.
type collectFlags struct {
	listen  []string
	key     string
	metrics string
}

func (a *app) heartbeatCollect() *cobra.Command {
	var fl collectFlags
	return a.verb(verb{
		use: "collect", short: "Take the reports of nodes and print them",
		long: "Take the reports of nodes until interrupted, and print each on a line of its own, as JSON with --json. With --metrics the latest of " +
			"each node can be scraped by Prometheus. It needs no node and no chain. Nodes report when Heartbeat.BeatTarget of their settings names " +
			"the address that is printed first. What a node says of itself is its own word; only its peer id is proven.",
		example: "  lode heartbeat collect --listen /ip4/0.0.0.0/tcp/4100 --key collector.key --metrics 127.0.0.1:9100\n" +
			"  lode heartbeat collect --json > beats.json",
		flags: func(f *pflag.FlagSet) {
			f.StringArrayVar(&fl.listen, "listen", []string{"/ip4/127.0.0.1/tcp/0"}, "where to listen")
			f.StringVar(&fl.key, "key", "", "file of the collector's key, made when it is not there (default: a new key each time)")
			f.StringVar(&fl.metrics, "metrics", "", "serve /metrics for Prometheus at this host:port")
		},
		run: func(ctx context.Context, _ []string) error { return a.collect(ctx, fl) },
	})
}

// collector makes the host and the collector of the flags.
func (a *app) collector(fl collectFlags) (*host.Host, *heartbeat.Collector, error) {
	opt := host.Options{Version: Version()}
	for _, s := range fl.listen {
		m, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, nil, usagef("--listen: %q is not a multiaddr such as /ip4/0.0.0.0/tcp/4100: %w", s, err)
		}
		opt.Listen = append(opt.Listen, m)
	}
	var err error
	if fl.key != "" {
		opt.Key, err = host.Identity(fl.key)
	} else {
		opt.Key, err = host.RandomKey()
	}
	if err != nil {
		return nil, nil, err
	}
	h, err := host.New(opt)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex // one line after the other
	enc := json.NewEncoder(a.Out)
	show := func(r heartbeat.Report) {
		mu.Lock()
		defer mu.Unlock()
		if a.json {
			_ = enc.Encode(r) // nobody is left to tell when the output is closed
			return
		}
		fmt.Fprintln(a.Out, r)
	}
	log := newLogger(a.Err, repo.LoggingConfig{Level: "warn"})
	return h, heartbeat.NewCollector(h, show, clock.System{}, log), nil
}

func (a *app) collect(ctx context.Context, fl collectFlags) (err error) {
	h, c, err := a.collector(fl)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return c.Run(ctx) })
	all.Go(func() error {
		<-c.Ready()
		if err := h.Listen(); err != nil {
			return err
		}
		for _, m := range h.P2PAddrs() {
			a.say("collecting at %s", m)
		}
		return h.Run(ctx)
	})
	if fl.metrics != "" {
		all.Go(func() error { return serveMetrics(ctx, fl.metrics, c) })
	}
	return all.Wait()
}

// serveMetrics lets Prometheus scrape until the context ends.
func serveMetrics(ctx context.Context, addr string, c prometheus.Collector) error {
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		return err
	}
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("--metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }() // ends with Close, below
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	err = srv.Close()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
