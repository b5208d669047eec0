package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/config"
)

const example = "../../config.example.yaml"

// sources reads file (YAML) in an empty world.
func sources(t *testing.T, file string) config.Sources {
	t.Helper()
	dir := t.TempDir()
	if file != "" {
		if err := os.WriteFile(filepath.Join(dir, "ordersctl.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Sources{WorkDir: dir, UserDir: filepath.Join(dir, "user")}
}

func TestTheExampleFileEqualsTheDefaults(t *testing.T) {
	l, err := config.Load(config.Sources{File: example})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), l.Config); diff != "" {
		t.Errorf("config.example.yaml differs from the defaults (-default +file):\n%s", diff)
	}
}

func TestTheExampleFileNamesEveryKey(t *testing.T) {
	l, err := config.Load(config.Sources{File: example})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.Entries() {
		if e.Source != "file" {
			t.Errorf("%s is not in config.example.yaml: it comes from %s", e.Key, e.Source)
		}
	}
}

func TestNoKeyEndsInPort(t *testing.T) {
	l, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.Entries() {
		if strings.HasSuffix(e.Key, "port") {
			t.Errorf("%s: Kubernetes injects *_PORT variables for a Service of that name", e.Key)
		}
	}
}

func TestPrecedenceIsFlagEnvironmentContextFileDefault(t *testing.T) {
	const file = `
topic: from-file
kafka:
  brokers: [file:9092]
  client-id: from-file
contexts:
  - name: stage
    topic: from-context
    kafka: {brokers: [context-1:9092, context-2:9092]}
`
	s := sources(t, file)
	s.Context = "stage"
	s.Environ = []string{"ORDERSCTL_KAFKA_BROKERS=env-1:9092, env-2:9092", "ORDERSCTL_KAFKA_LINGER=7ms", "ORDERSCTL_SERVE_MAX_BODY=1KiB"}
	s.Flags = map[string]string{"kafka.linger": "3ms"}
	s.FlagOf = map[string]string{"kafka.linger": "linger"}
	l, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		value  any
		source string
	}
	want := map[string]row{
		"kafka.linger":      {"3ms", "flag --linger"},
		"kafka.brokers":     {[]string{"env-1:9092", "env-2:9092"}, "environment ORDERSCTL_KAFKA_BROKERS"},
		"serve.max-body":    {"1KiB", "environment ORDERSCTL_SERVE_MAX_BODY"},
		"topic":             {"from-context", "context stage"},
		"kafka.client-id":   {"from-file", "file"},
		"kafka.compression": {"lz4", "default"},
	}
	for _, e := range l.Entries() {
		w, ok := want[e.Key]
		if !ok {
			continue
		}
		delete(want, e.Key)
		if diff := cmp.Diff(w, row{e.Value, e.Source}, cmp.AllowUnexported(row{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Key, diff)
		}
	}
	if len(want) > 0 {
		t.Errorf("no such keys: %v", want)
	}
	if l.Kafka.Linger != 3*time.Millisecond {
		t.Errorf("linger is %s", l.Kafka.Linger)
	}
}

func TestMistakesInTheFileAreNamedWithTheNextStep(t *testing.T) {
	for name, c := range map[string]struct{ file, want, hint string }{
		"a misspelt key":                 {"kafka: {broker: [a:1]}", `unknown key "kafka.broker"`, `did you mean "kafka.brokers"?`},
		"a key of another section":       {"brokers: [a:1]", `unknown key "brokers"`, `did you mean "kafka.brokers"?`},
		"a misspelt key in a context":    {"contexts: [{name: x, topik: a}]", `context x: unknown key "topik"`, `did you mean "topic"?`},
		"a value where a section is":     {"kafka: localhost:9092", "kafka is a section", "config.example.yaml"},
		"a section where a value is":     {"topic: {name: x}", "topic is a value, not a section", ""},
		"a key in the wrong case":        {"Topic: x", `unknown key "Topic"`, `did you mean "topic"?`},
		"a key with dots":                {"kafka.linger: 5ms", `unknown key "kafka.linger"`, ""},
		"a key that is given twice":      {"topic: a\ntopic: b", "already defined", ""},
		"a second document":              {"topic: a\n---\ntopic: b", "second document", ""},
		"a port that is none":            {`serve: {listen: ":99999"}`, `serve.listen ":99999" has a port that is not between 0 and 65535`, ""},
		"a port far beyond":              {`serve: {listen: ":99999999999999999999"}`, `has a port that is not between`, ""},
		"a port that is no number":       {`serve: {listen: ":http"}`, `serve.listen ":http" is not host:port`, ""},
		"a broker for everyone":          {`dev: {kafka-listen: "0.0.0.0:9092"}`, "dev.kafka-listen", ""},
		"a number where a duration is":   {"kafka: {linger: 5}", "kafka.linger (file): 5 is not a duration", ""},
		"a number where text is":         {"kafka: {sasl: {password: 0123}}", "quote it", ""},
		"a word where a boolean is":      {"serve: {access-log: maybe}", "is not true or false", ""},
		"an unknown mechanism":           {"kafka: {sasl: {mechanism: KERBEROS}}", "is none of PLAIN", "config show"},
		"TLS files without TLS":          {"kafka: {tls: {ca-file: ca.pem}}", "kafka.tls.enabled is false", "config show"},
		"a broker that is a URL":         {`kafka: {brokers: ["http://a:9092"]}`, "is not host:port", "config show"},
		"a topic's name with a space":    {`topic: "my orders"`, "only letters, digits", "config show"},
		"contexts as a map":              {"contexts: {stage: {topic: a}}", "contexts is not a list", "name: stage"},
		"a context without a name":       {"contexts: [{topic: a}]", "context 1 has no name", ""},
		"two contexts of one name":       {"contexts: [{name: a}, {name: a}]", "two contexts are named", ""},
		"what is not YAML":               {"kafka: [", "ordersctl.yaml", "config.example.yaml"},
		"two faults at once, both named": {"{serve: {ack: maybe}, log: {level: loud}}", `serve.ack "maybe" is none of delivered, enqueued; log.level "loud"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(sources(t, c.file))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q is more than one line", err)
			}
			hinted, ok := err.(interface{ Hint() string })
			if !ok || !strings.Contains(hinted.Hint(), c.hint) {
				t.Errorf("hint of %q does not say %q", err, c.hint)
			}
		})
	}
}

func TestAnEmptySectionIsTheDefault(t *testing.T) {
	l, err := config.Load(sources(t, "kafka:\ntopic:\nserve: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), l.Config); diff != "" {
		t.Errorf("(-default +file):\n%s", diff)
	}
}

func TestUnknownVariablesAreWarnedOfAndServiceLinksIgnored(t *testing.T) {
	l, err := config.Load(config.Sources{Environ: []string{
		"ORDERSCTL_KAFKA_BROKER=a:1",
		"ORDERSCTL_ZZZ=1",
		"ORDERSCTL_SERVE_SERVICE_HOST=10.0.0.1",
		"ORDERSCTL_SERVE_SERVICE_PORT=8080",
		"ORDERSCTL_SERVE_PORT=tcp://10.0.0.1:8080",
		"ORDERSCTL_SERVE_PORT_8080_TCP_ADDR=10.0.0.1",
		"OTHER_KAFKA_BROKER=a",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"unknown environment variable ORDERSCTL_KAFKA_BROKER, did you mean ORDERSCTL_KAFKA_BROKERS?",
		"unknown environment variable ORDERSCTL_ZZZ",
	}
	if diff := cmp.Diff(want, l.Warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	s := sources(t, "kafka: {sasl: {mechanism: PLAIN, username: u, password: hunter2}}")
	l, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(l.Kafka.SASL.Password); got != "hunter2" {
		t.Errorf("the password read is %q", got)
	}
	for _, e := range l.Entries() {
		if e.Key == "kafka.sasl.password" && e.Value != "***" {
			t.Errorf("shown as %v", e.Value)
		}
		if e.Key == "kafka.sasl.token" && e.Value != "" {
			t.Errorf("a secret that is not set is shown as %v", e.Value)
		}
	}
}

func TestASecretIsNotShownByTheErrorAboutIt(t *testing.T) {
	for _, value := range []string{"31337007", "[hunter2, x]", "*hunter2", "2024-01-01", "{hunter2: x}"} {
		_, err := config.Load(sources(t, "kafka: {sasl: {mechanism: PLAIN, username: u, password: "+value+"}}"))
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "31337") || strings.Contains(err.Error(), "2024") {
			t.Errorf("password %s: %v", value, err)
		}
	}
}

func TestASecretOfALaterLayerDisplacesItsFileAndTheReverse(t *testing.T) {
	const inFile = "kafka: {sasl: {mechanism: PLAIN, username: u, password: old}}"
	s := sources(t, inFile)
	s.Environ = []string{"ORDERSCTL_KAFKA_SASL_PASSWORD_FILE=/run/secret"}
	l, err := config.Load(s)
	if err != nil || l.Kafka.SASL.Password != "" || l.Kafka.SASL.PasswordFile != "/run/secret" {
		t.Errorf("got %+v, %v", l, err)
	}
	s = sources(t, strings.Replace(inFile, "password: old", "password-file: /old", 1))
	s.Environ = []string{"ORDERSCTL_KAFKA_SASL_PASSWORD=new"}
	l, err = config.Load(s)
	if err != nil || l.Kafka.SASL.Password != "new" || l.Kafka.SASL.PasswordFile != "" {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, err := config.Load(sources(t, strings.Replace(inFile, "old}", "old, password-file: /x}", 1))); err == nil {
		t.Error("both in one file are taken")
	}
}

func TestAContextOfAnotherTypeOfValueWins(t *testing.T) {
	s := sources(t, "kafka: {brokers: [a:1]}\ncontexts: [{name: x, kafka: {brokers: \"b:1,c:1\"}}]")
	s.Context = "x"
	l, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b:1", "c:1"}, l.Kafka.Brokers); diff != "" {
		t.Error(diff)
	}
}

func TestTheContextInUseIsReadOrTheCommandStops(t *testing.T) {
	s := sources(t, "contexts: [{name: stage}]")
	if l, err := config.Load(s); err != nil || l.Context != config.DefaultContext {
		t.Fatalf("none in use: %+v, %v", l, err)
	}
	if err := config.Use(s, "stage"); err != nil {
		t.Fatal(err)
	}
	if l, err := config.Load(s); err != nil || l.Context != "stage" {
		t.Fatalf("got %+v, %v", l, err)
	}
	path := filepath.Join(s.UserDir, "context")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(s); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("an empty file: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(s); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a directory: %v", err)
	}
}

func TestAHomeThatIsNoFolderIsNoConfiguration(t *testing.T) {
	l, err := config.Load(config.Sources{WorkDir: t.TempDir(), UserDir: "/dev/null/ordersctl"})
	if err != nil || l.File != "" || len(l.Warnings) > 0 {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestAContextThatIsNotThereStopsTheCommand(t *testing.T) {
	s := sources(t, "contexts: [{name: stage}]")
	if err := config.Use(s, "prod"); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(s)
	if err == nil || !strings.Contains(err.Error(), `context "prod" (config use)`) {
		t.Errorf("got %v", err)
	}
	s.Context = "stage"
	if l, err := config.Load(s); err != nil || l.Context != "stage" || l.ContextFrom != "flag --context" {
		t.Errorf("got %+v, %v", l, err)
	}
	s.Context = config.DefaultContext
	if l, err := config.Load(s); err != nil || l.Context != config.DefaultContext {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestAFileThatIsNamedHasToBeThere(t *testing.T) {
	s := config.Sources{File: filepath.Join(t.TempDir(), "no.yaml")}
	if _, err := config.Load(s); err == nil {
		t.Error("no error")
	}
	s = config.Sources{Environ: []string{"ORDERSCTL_CONFIG=/nowhere/at/all.yaml"}}
	if _, err := config.Load(s); err == nil {
		t.Error("no error by the environment")
	}
}
