package commands

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/internal/config"
)

// What a script passes on whose variable is not set must not mean "everything",
// "the group without a name" or "wait for nothing". No broker is asked.
func TestEmptyFlagsAndArgumentsAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"dlq replay --class= --execute":            "--class is empty",
		"dlq replay --class=decode, --execute":     "--class is empty",
		"dlq replay --since= --execute":            "--since is empty",
		"dlq replay --from= --execute":             "--from is empty",
		"dlq replay --input= --execute":            "--input is empty",
		"dlq export --output-file=":                "--output-file is empty",
		"dlq list --to=":                           "--to is empty",
		"dlq discard --reason * --to= --yes":       "--to is empty",
		"dlq discard --class= --yes":               "--class is empty",
		"dlq show ''":                              "an argument of ordersctl dlq show is empty",
		"group seek '' --to end --execute":         "an argument of ordersctl group seek is empty",
		"group describe ''":                        "an argument of ordersctl group describe is empty",
		"lag ''":                                   "an argument of ordersctl lag is empty",
		"topic describe ''":                        "an argument of ordersctl topic describe is empty",
		"send --total 1 --wait=":                   "--wait is empty",
		"dlq replay --since= --from=2h --execute":  "--since is empty",
		"dlq discard --since=2h --class=x, --yes":  "--class is empty",
		"dlq replay --reason= --class=a --execute": "--reason: the pattern is empty",
		"dlq replay --class=decode '' --execute":   "\"\" is not a letter",
		"dlq export --class=decode --output-file=": "--output-file is empty",
		"dlq discard '' --yes":                     "\"\" is not a letter",
	} {
		var stdout, stderr bytes.Buffer
		args := strings.Fields(line)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "''", "")
		}
		app := &App{
			IO:      IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr},
			Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=127.0.0.1:1"}, WorkDir: t.TempDir()},
		}
		if code := Run(t.Context(), app, args); code != exitUsage || !strings.Contains(stderr.String(), "error: "+want) {
			t.Errorf("%s: exit %d\n%s", line, code, stderr.String())
		}
	}
}
