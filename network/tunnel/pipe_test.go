package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// pipe is one side of a connection in memory whose directions end one by one, for virtual
// time: the kernel's sockets do not stand still with it.
type pipe struct {
	in  *io.PipeReader
	out *io.PipeWriter
	rst sync.Once
}

func newPipe() (*pipe, *pipe) {
	ar, aw := io.Pipe()
	br, bw := io.Pipe()
	return &pipe{in: ar, out: bw}, &pipe{in: br, out: aw}
}

var errReset = errors.New("connection reset")

func (p *pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pipe) CloseWrite() error           { return p.out.Close() }

// SetLinger is called for zero alone: what follows is a reset.
func (p *pipe) SetLinger(int) error {
	p.rst.Do(func() { _ = p.out.CloseWithError(errReset) })
	return nil
}

func (p *pipe) Close() error {
	_ = p.in.CloseWithError(errReset)
	return p.out.Close()
}

func (p *pipe) LocalAddr() net.Addr              { return pipeAddr }
func (p *pipe) RemoteAddr() net.Addr             { return pipeAddr }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

var pipeAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000}

// pipes is a machine's network in memory: Bind gives a port that Connect reaches, Dial a
// connection whose other side comes out of targets.
type pipes struct {
	accepts chan net.Conn
	targets chan *pipe
	closed  chan struct{}
	once    sync.Once
	deaf    bool // Dial waits for ever
}

func newPipes() *pipes {
	return &pipes{accepts: make(chan net.Conn), targets: make(chan *pipe, 16), closed: make(chan struct{})}
}

func (p *pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if p.deaf {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a, b := newPipe()
	p.targets <- b
	return a, nil
}

func (p *pipes) Bind(context.Context, string, string) (net.Listener, error) { return p, nil }

func (p *pipes) Connect() *pipe {
	a, b := newPipe()
	p.accepts <- b
	return a
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepts:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr }
