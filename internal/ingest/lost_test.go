package ingest_test

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/ingest"
)

// lossy closes a connection in place of its reply to a produce request, while
// lose is set.
type lossy struct {
	net.Listener
	lose *atomic.Bool
	lost *atomic.Int64
}

func (l lossy) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, of: l}, nil
}

type lossyConn struct {
	net.Conn
	of  lossy
	key atomic.Int32 // of the last request
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 8 { // not the four bytes of a size
		c.key.Store(int32(p[0])<<8 | int32(p[1]))
	}
	return n, err
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if kmsg.Key(c.key.Load()) == kmsg.Produce && c.of.lose.Load() {
		c.of.lost.Add(1)
		return 0, errors.Join(errors.New("the reply is lost"), c.Close())
	}
	return c.Conn.Write(p)
}

// The first attempt is appended and its reply lost, every later one is refused
// by a broker that leads no more: the library's error looks as if nothing had
// been written.
func TestAnOrderWhoseReplyWasLostIsNeverCalledNotWritten(t *testing.T) {
	t.Parallel()
	var lose atomic.Bool
	var lost atomic.Int64
	e := startOnBroker(t, func(o *ingest.Options) { o.Timeout, o.DrainTimeout = 3*time.Second, time.Second },
		kfake.ListenFn(func(network, addr string) (net.Listener, error) {
			ln, err := net.Listen(network, addr)
			return lossy{ln, &lose, &lost}, err
		}))
	e.mustPost(body("warm"))
	lose.Store(true)
	e.kafka.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: topicName, Err: kerr.NotLeaderForPartition, Count: -1,
		When: func(kmsg.Request) bool {
			if lost.Load() == 0 {
				return false
			}
			lose.Store(false)
			return true
		},
	})
	r := e.mustPost(body("a"))
	if n := eventIDs(e.records())[r.Event]; r.Outcome != "unknown" || n != 1 || lost.Load() == 0 {
		t.Errorf("answered %s, in the topic %d times, %d replies lost", r.Outcome, n, lost.Load())
	}
}

func TestABrokerThatDoesNotKnowTheTopicYetHasNotLostIt(t *testing.T) {
	e := start(t, nil)
	e.kafka.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicName, Err: kerr.UnknownTopicOrPartition, Count: 8})
	eventually(t, "an order is taken again", func() bool { return e.mustPost(body("a")).code == 202 })
	if log := e.log.String(); strings.Contains(log, "made again") {
		t.Errorf("nobody deleted the topic:\n%s", log)
	}
}
