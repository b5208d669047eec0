package process

import (
	"context"
	"sync"
)

// calls are what is to be done between polls, where neither records nor a
// rebalance can come in between.
type calls struct {
	mu   sync.Mutex
	list []func()           // guarded by mu
	wake context.CancelFunc // guarded by mu: ends the poll

	hungry chan struct{} // a partition would take more
}

func (c *calls) hunger() {
	select {
	case c.hungry <- struct{}{}:
	default:
	}
}

func (c *calls) add(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, f)
	if c.wake != nil {
		c.wake()
	}
}

// poll notes how the poll to come is ended, and ends it where there is
// something to do already.
func (c *calls) poll(wake context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = wake
	if len(c.list) > 0 {
		wake()
	}
}

func (c *calls) run() {
	c.mu.Lock()
	list := c.list
	c.list = nil
	c.mu.Unlock()
	for _, f := range list {
		f()
	}
}
