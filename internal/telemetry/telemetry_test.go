package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/internal/telemetry"
)

func TestTheAdminServerAnswersProbesAndScrapers(t *testing.T) {
	ready := telemetry.Readiness{Ready: true, Detail: map[string]string{"topic": "orders"}}
	reg := telemetry.NewRegistry("1.2.3", "abc", "go1.26")
	admin, err := telemetry.NewAdmin(t.Context(), telemetry.AdminConfig{Listen: "127.0.0.1:0"}, reg, func() telemetry.Readiness { return ready }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.Run(ctx) }()
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + admin.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/healthz", 200, `{"healthy":true}`},
		{"/readyz", 200, `{"ready":true,"detail":{"topic":"orders"}}`},
		{"/metrics", 200, `ordersctl_build_info{goversion="go1.26",revision="abc",version="1.2.3"} 1`},
		{"/metrics", 200, "go_goroutines"},
		{"/debug/pprof/", 404, ""},
		{"/", 404, ""},
	} {
		if code, body := get(c.path); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.path, code, body)
		}
	}
	ready = telemetry.Readiness{Reason: "draining"}
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, `"reason":"draining"`) {
		t.Errorf("not ready: %d %s", code, body)
	}
	_, err = telemetry.NewAdmin(t.Context(), telemetry.AdminConfig{Listen: admin.Addr()}, reg, nil, slog.New(slog.DiscardHandler))
	var taken *telemetry.ListenError
	if !errors.As(err, &taken) || !strings.Contains(taken.Hint(), "--admin-listen") || !strings.Contains(taken.Error(), "in use") {
		t.Errorf("a port that is taken: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestLogsAreTextOrJSONInUTC(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, telemetry.LogConfig{Level: "warn", Format: "json"})
	log.Info("too low")
	log.Warn("order refused", "code", 400)
	var line struct {
		Time, Level, Msg string
		Code             int
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "order refused" || line.Code != 400 || !strings.HasSuffix(line.Time, "Z") {
		t.Errorf("got %s: %v", out.String(), err)
	}
	for _, c := range []telemetry.LogConfig{{Level: "loud", Format: "text"}, {Level: "info", Format: "xml"}} {
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}
