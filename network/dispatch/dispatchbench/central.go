package dispatchbench

import "sync"

// central is a dispatcher of the old kind, written for comparison: a registry by name, one
// queue for all topics, and one loop that offers each message to the channels of its topic
// without waiting. A full queue makes the publisher wait.
type central struct {
	queue chan centralMsg
	subs  sync.Map // topic → *sync.Map of chan int64
	done  chan struct{}
}

type centralMsg struct {
	topic string
	at    int64
}

// centralQueue is how many messages wait in all.
const centralQueue = 65_536

func newCentral() *central {
	c := &central{queue: make(chan centralMsg, centralQueue), done: make(chan struct{})}
	go c.loop()
	return c
}

func (c *central) subscribe(topic string, ch chan int64) {
	m, _ := c.subs.LoadOrStore(topic, new(sync.Map))
	m.(*sync.Map).Store(ch, struct{}{})
}

func (c *central) publish(topic string, at int64) { c.queue <- centralMsg{topic, at} }

func (c *central) loop() {
	defer close(c.done)
	for m := range c.queue {
		subs, ok := c.subs.Load(m.topic)
		if !ok {
			continue
		}
		subs.(*sync.Map).Range(func(ch, _ any) bool {
			select {
			case ch.(chan int64) <- m.at:
			default: // lost for this subscriber
			}
			return true
		})
	}
}

// close ends the loop once it has emptied the queue; nobody may publish any more.
func (c *central) close() {
	close(c.queue)
	<-c.done
}
