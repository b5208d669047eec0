package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/telemetry"
)

// runAdmin gives where one listens.
func runAdmin(t *testing.T, c telemetry.AdminConfig) string {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	admin, err := telemetry.NewAdmin(t.Context(), c, telemetry.NewRegistry("", "", ""), func() telemetry.Readiness { return telemetry.Readiness{Ready: true} }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- admin.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done // connections that tests hold open are an error there
	})
	return admin.Addr()
}

func TestTheAdminPortHoldsFewConnections(t *testing.T) {
	addr := runAdmin(t, telemetry.AdminConfig{})
	// turnedAway tells whether the server closes a connection on which nothing was said.
	turnedAway := func(c net.Conn) bool {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		return true
	}
	var held []net.Conn
	for range 80 {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		held = append(held, c)
	}
	if !turnedAway(held[79]) || turnedAway(held[0]) {
		t.Error("the last of 80 is held, or the first is not")
	}
	for _, c := range held {
		_ = c.Close()
	}
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no place was given back: %v", err)
		}
		<-tick.C
	}
}

func TestTheAdminPortLeavesWhoSendsNothing(t *testing.T) {
	addr := runAdmin(t, telemetry.AdminConfig{})
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(c, "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Le"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("it is still open: %v", err)
	}
}

func TestAProfileMayTakeLongerThanAnAnswer(t *testing.T) {
	addr := runAdmin(t, telemetry.AdminConfig{Pprof: true})
	// Refused where it would take longer than the server writes.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/pprof/profile?seconds=120", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("got %s", resp.Status)
		}
		return
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
