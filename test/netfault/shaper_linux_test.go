package netfault_test

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"
)

// shaper is the wire between namespaces: it takes each node's packets off its TUN device,
// asks the fabric what becomes of them, and puts them into the receiver's device in time.
// It owns two goroutines a device until close.
type shaper struct {
	fabric *fabric
	ports  []*port
	owner  map[netip.Addr]int // addresses of all ports; immutable once packets flow
	wg     sync.WaitGroup
}

// port is one device and what waits to go into it.
type port struct {
	tun  *os.File
	wake chan struct{} // tells the sender that the first packet changed
	quit chan struct{}

	mu      sync.Mutex
	queue   packets // guarded by mu
	serial  uint64  // guarded by mu
	dropped uint64  // guarded by mu
}

const (
	maxQueued = 20_000 // packets on their way to one device
	mtu       = 1500
)

type packet struct {
	at     time.Time
	serial uint64 // keeps the order of packets of one moment
	b      []byte
}

type packets []packet

// Len, Less, Swap, Push and Pop are heap.Interface.
func (p packets) Len() int { return len(p) }
func (p packets) Less(i, j int) bool {
	return p[i].at.Before(p[j].at) || p[i].at.Equal(p[j].at) && p[i].serial < p[j].serial
}
func (p packets) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *packets) Push(x any)   { *p = append(*p, x.(packet)) }
func (p *packets) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = packet{}
	*p = (*p)[:last]
	return x
}

func newShaper(f *fabric) *shaper { return &shaper{fabric: f, owner: map[netip.Addr]int{}} }

// add takes over a device; its node has the number of calls before.
func (s *shaper) add(tun *os.File, addrs ...netip.Addr) {
	for _, a := range addrs {
		s.owner[a] = len(s.ports)
	}
	s.ports = append(s.ports, &port{tun: tun, wake: make(chan struct{}, 1), quit: make(chan struct{})})
}

func (s *shaper) run() {
	for i, p := range s.ports {
		s.wg.Go(func() { s.read(i, p) })
		s.wg.Go(p.send)
	}
}

func (s *shaper) close() error {
	var errs []error
	for _, p := range s.ports {
		close(p.quit)
		errs = append(errs, p.tun.Close())
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// read forwards what a node sends, until its device is closed.
func (s *shaper) read(from int, p *port) {
	buf := make([]byte, mtu+64)
	for {
		n, err := p.tun.Read(buf)
		if err != nil {
			return
		}
		to, ok := s.receiver(buf[:n])
		if !ok {
			continue // multicast, IPv6, or nobody's address
		}
		now := time.Now()
		if delay, ok := s.fabric.route(now, from, to, n); ok {
			s.ports[to].put(packet{at: now.Add(delay), b: append([]byte(nil), buf[:n]...)})
		}
	}
}

// receiver is whom an IPv4 packet is for.
func (s *shaper) receiver(b []byte) (int, bool) {
	const destination = 16
	if len(b) < destination+4 || b[0]>>4 != 4 {
		return 0, false
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(b[destination:]))
	to, ok := s.owner[netip.AddrFrom4(a)]
	return to, ok
}

func (p *port) put(x packet) {
	p.mu.Lock()
	if len(p.queue) >= maxQueued {
		p.dropped++
		p.mu.Unlock()
		return
	}
	p.serial++
	x.serial = p.serial
	heap.Push(&p.queue, x)
	first := p.queue[0].serial == x.serial
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// due takes the packets whose time has come, and tells when the next one's comes.
func (p *port) due(now time.Time, out []packet) ([]packet, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && !p.queue[0].at.After(now) {
		out = append(out, heap.Pop(&p.queue).(packet))
	}
	if len(p.queue) == 0 {
		return out, time.Hour
	}
	return out, p.queue[0].at.Sub(now)
}

// send puts packets into the device when their time has come.
func (p *port) send() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var out []packet
	for {
		var wait time.Duration
		out, wait = p.due(time.Now(), out[:0])
		for _, x := range out {
			if _, err := p.tun.Write(x.b); err != nil && errors.Is(err, os.ErrClosed) {
				return
			} // the kernel may refuse a packet, for example while the device goes down: it is lost
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.quit:
			return
		}
	}
}
