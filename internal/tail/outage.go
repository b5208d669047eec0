package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// outages tells of brokers that can't be reached, once each, and of their
// return. The client library goes on trying without a word.
type outages struct {
	talk func(string)

	mu       sync.Mutex
	watching bool            // guarded by mu: before the first contact the caller tells
	down     map[string]bool // guarded by mu
}

func (o *outages) watch() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watching, o.down = true, map[string]bool{}
}

// OnBrokerConnect is called at each attempt; see kgo.HookBrokerConnect.
func (o *outages) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// The seed and the broker behind it are two to the library, one to us.
	at := net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))
	switch {
	case !o.watching || errors.Is(err, context.Canceled):
	case err != nil && !o.down[at]:
		o.down[at] = true
		o.talk(fmt.Sprintf("broker %s can't be reached (%s); trying on", at, cause(err)))
	case err == nil && o.down[at]:
		delete(o.down, at)
		o.talk(fmt.Sprintf("broker %s is back", at))
	}
}

func cause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// ErrGone says what a write would say, before there is something to write.
var ErrGone = fmt.Errorf("write: %w", syscall.EPIPE)

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded)
}

// refused tells what no further try of joining a group can change.
func refused(err error) bool {
	return errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.InconsistentGroupProtocol) || errors.Is(err, kerr.InvalidGroupID)
}

func asError[T error](err error, into *T) bool { return errors.As(err, into) }
