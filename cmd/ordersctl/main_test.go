package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ordersctl/ordersctl/internal/broker"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ordersctl": main})
}

// TestScripts runs what users type. Each script has a broker of its own
// ($KAFKA, also in ORDERSCTL_KAFKA_BROKERS) without topics, four free ports
// ($PORT1 to $PORT4) and, beside testscript's commands:
//
//	http METHOD URL [-H 'Name: value']... [-d TEXT | -f FILE]
//	    sends a request; stdout is the status line, the headers and the body
//	untilhttp URL CODE
//	    waits until URL answers CODE
//	untilmetric URL LINE
//	    waits until what URL answers has that line
//	untilfile FILE TEXT
//	    waits until FILE holds TEXT
//	fromfile NAME FILE
//	    sets the variable NAME to the content of FILE, without the line's end
//	lines FILE N
//	    fails unless FILE has N lines
//	letter OFFSET KEY [VALUE]
//	    writes the dead letter of a record of orders/0
//	sigterm
//	    sends SIGTERM to every command in the background
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setUp,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http":        httpRequest,
			"untilhttp":   untilHTTP,
			"untilmetric": untilMetric,
			"untilbody":   untilBody,
			"untilfile":   untilFile,
			"fromfile":    fromFile,
			"lines":       lines,
			"letter":      letter,
			"sigterm":     sigterm,
		},
	})
}

func setUp(env *testscript.Env) error {
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	kafka, err := broker.Start(context.Background(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := kafka.Close(); err != nil {
			env.T().Fatal(err)
		}
	})
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(home, ".local", "share"))
	env.Setenv("KAFKA", kafka.Addr())
	env.Setenv("ORDERSCTL_KAFKA_BROKERS", kafka.Addr())
	env.Setenv("ORDERSCTL_SERVE_DRAIN_DELAY", "0s")
	for i := 1; i <= 4; i++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		env.Setenv(fmt.Sprintf("PORT%d", i), strconv.Itoa(port))
	}
	return nil
}

func freePort() (int, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func httpRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [-H 'Name: value']... [-d TEXT | -f FILE]")
	}
	header := http.Header{}
	var body []byte
	for i := 2; i+1 < len(args); i += 2 {
		switch args[i] {
		case "-H":
			name, value, _ := strings.Cut(args[i+1], ":")
			header.Add(name, strings.TrimSpace(value))
		case "-d":
			body = []byte(args[i+1])
		case "-f":
			body = []byte(ts.ReadFile(args[i+1]))
		default:
			ts.Fatalf("http: unknown flag %s", args[i])
		}
	}
	resp, text, err := request(args[0], args[1], header, body)
	if err != nil {
		ts.Fatalf("%v", err)
	}
	out := ts.Stdout()
	fmt.Fprintf(out, "%s\n", resp.Status)
	if err := resp.Header.Write(out); err != nil {
		ts.Fatalf("%v", err)
	}
	fmt.Fprintf(out, "\n%s\n", text)
}

func request(method, url string, header http.Header, body []byte) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header = header
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

func untilHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: untilhttp URL CODE")
	}
	until(ts, fmt.Sprintf("%s answers %s", args[0], args[1]), func() bool {
		resp, _, err := request(http.MethodGet, args[0], http.Header{}, nil)
		return err == nil && strconv.Itoa(resp.StatusCode) == args[1]
	})
}

func untilMetric(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: untilmetric URL LINE")
	}
	until(ts, fmt.Sprintf("%s says %s", args[0], args[1]), func() bool {
		_, text, err := request(http.MethodGet, args[0], http.Header{}, nil)
		return err == nil && strings.Contains("\n"+text, "\n"+args[1]+"\n")
	})
}

func untilBody(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: untilbody URL REGEXP")
	}
	wanted := regexp.MustCompile(args[1])
	until(ts, fmt.Sprintf("%s says %s", args[0], args[1]), func() bool {
		_, text, err := request(http.MethodGet, args[0], http.Header{}, nil)
		return err == nil && wanted.MatchString(text)
	})
}

func untilFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: untilfile FILE TEXT")
	}
	path := ts.MkAbs(args[0])
	until(ts, fmt.Sprintf("%s holds %q", args[0], args[1]), func() bool {
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(text), args[1])
	})
}

func until(ts *testscript.TestScript, what string, met func() bool) {
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		if time.Now().After(deadline) {
			ts.Fatalf("waited 20 s, but not: %s", what)
		}
		<-tick.C
	}
}

func sigterm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sigterm")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			ts.Fatalf("%v", err)
		}
	}
}

func fromFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fromfile NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimRight(ts.ReadFile(args[1]), "\n"))
}

func lines(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	if got := strings.Count(ts.ReadFile(args[0]), "\n"); (strconv.Itoa(got) == args[1]) == neg {
		ts.Fatalf("%s has %d lines, want %s", args[0], got, args[1])
	}
}
