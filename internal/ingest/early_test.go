package ingest_test

import (
	"testing"
	"time"
)

// A stop that comes at any moment of the start ends the server.
func TestAStopAtOnceEndsTheServer(t *testing.T) {
	for range 20 {
		e := start(t, nil)
		ended := make(chan error, 1)
		go func() { ended <- e.end() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it goes on")
		}
	}
}
