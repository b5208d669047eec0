//go:build unix

package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A generator that was stopped while its connections were busy reads their
// answers late too, and they are free from then on only: what was not sent
// meanwhile would be the server's doing if nobody had noted when it was released.
func TestAStoppedGeneratorIsNotTheServersFault(t *testing.T) {
	const pause = "0.8"
	e := newEndpoint(t)
	e.slow.Store(int64(100 * ms))
	stop := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("kill -STOP %[1]d; sleep %[2]s; kill -CONT %[1]d", os.Getpid(), pause))
	m := e.run(t, context.Background(), 32, Options{
		Plan:     Plan{Stages: stages(t, "3s@300")},
		LagLimit: 300 * ms,
		Began: func(time.Time) {
			time.AfterFunc(time.Second, func() {
				if err := stop.Run(); err != nil {
					t.Error(err)
				}
			})
		},
	})
	if m.Generator.Valid || !strings.Contains(m.Generator.Reason, "generator lag p99") || !strings.Contains(m.Generator.Reason, "from 0:01 on") {
		t.Errorf("%+v", m.Generator)
	}
}
