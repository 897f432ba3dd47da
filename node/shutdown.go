package node

import "sync"

// asked is closed once, when somebody asks for something.
type asked struct {
	once sync.Once
	ch   chan struct{}
}

func newAsked() *asked { return &asked{ch: make(chan struct{})} }

// ask asks; asking again does nothing.
func (a *asked) ask() { a.once.Do(func() { close(a.ch) }) }

// ShutdownAsked is closed when a user asks the node to stop over the api. Whoever runs the
// node then calls Stop, since an api call cannot wait for its own end.
func (n *Node) ShutdownAsked() <-chan struct{} { return n.shutdown.ch }
