package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// unreachable is the exit code of a broker that can't be reached or used.
const unreachable = 4

// Error is an error of Kafka with the next step for the one who reads it.
type Error struct {
	Msg  string // what is wrong, one line, says where
	Next string // what to do about it
	Code int    // exit code of the command
	Err  error  // the cause, for errors.Is
}

func (e *Error) Error() string { return e.Msg }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *Error) Hint() string { return e.Next }

// ExitCode is the process's exit code for this error.
func (e *Error) ExitCode() int { return e.Code }

// Explain turns what the client library or a broker said into one line with a
// next step. An error that it does not know comes back as it is, as does nil
// and one that is explained already.
func Explain(err error, cfg Config) error {
	var done *Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	for _, explain := range []func(error, Config) *Error{explainSASL, explainTLS, explainTopic, explainNetwork} {
		if e := explain(err, cfg); e != nil {
			e.Err = err
			return e
		}
	}
	return err
}

func where(cfg Config) string { return strings.Join(cfg.Brokers, ",") }

func explainSASL(err error, cfg Config) *Error {
	var eof *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return &Error{
			Msg:  fmt.Sprintf("broker %s refused the credentials of user %q (%s)", where(cfg), cfg.SASL.Username, cfg.SASL.Mechanism),
			Next: "check kafka.sasl.username and its password (ORDERSCTL_KAFKA_SASL_PASSWORD or kafka.sasl.password-file)",
			Code: unreachable,
		}
	case strings.Contains(err.Error(), "unexpected data in oauth response"):
		return &Error{
			Msg:  fmt.Sprintf("broker %s refused the OAUTHBEARER token", where(cfg)),
			Next: "get a new one: kafka.sasl.token-file is read anew at each connection",
			Code: unreachable,
		}
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return &Error{
			Msg:  fmt.Sprintf("broker %s does not offer SASL mechanism %s", where(cfg), cfg.SASL.Mechanism),
			Next: "set kafka.sasl.mechanism to one that the broker has enabled: " + strings.Join(Mechanisms(), ", "),
			Code: unreachable,
		}
	case errors.Is(err, kerr.IllegalSaslState):
		return &Error{
			Msg:  fmt.Sprintf("broker %s asks for no SASL on this listener", where(cfg)),
			Next: "remove kafka.sasl.mechanism, or use the port of its SASL listener",
			Code: unreachable,
		}
	case errors.As(err, &eof) && strings.Contains(eof.Error(), "SASL"):
		return &Error{
			Msg:  fmt.Sprintf("broker %s closed the connection after the first request: it probably asks for SASL", where(cfg)),
			Next: "set kafka.sasl.mechanism, username and password",
			Code: unreachable,
		}
	case cfg.SASL.Mechanism != "" && errors.Is(err, io.EOF) && !errors.As(err, &eof):
		return &Error{
			Msg:  fmt.Sprintf("broker %s closed the connection while we authenticated as %q (%s)", where(cfg), cfg.SASL.Username, cfg.SASL.Mechanism),
			Next: "check kafka.sasl.username and its password, and whether this listener asks for SASL",
			Code: unreachable,
		}
	case strings.Contains(err.Error(), "read secret:") || strings.Contains(err.Error(), "OAUTHBEARER token"):
		return &Error{Msg: err.Error(), Next: "check kafka.sasl.password-file or kafka.sasl.token-file", Code: 2}
	}
	return nil
}

func explainTLS(err error, cfg Config) *Error {
	var (
		eof      *kgo.ErrFirstReadEOF
		record   tls.RecordHeaderError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		alert    tls.AlertError
	)
	switch {
	case errors.As(err, &unknown):
		return &Error{
			Msg:  fmt.Sprintf("broker %s shows a certificate of an unknown authority", where(cfg)),
			Next: "set kafka.tls.ca-file to the CA that signed it",
			Code: unreachable,
		}
	case errors.As(err, &hostname):
		return &Error{
			Msg:  fmt.Sprintf("broker %s: %s", where(cfg), hostname.Error()),
			Next: "use a broker name that the certificate holds, or set kafka.tls.server-name to it",
			Code: unreachable,
		}
	case errors.As(err, &invalid):
		return &Error{
			Msg:  fmt.Sprintf("broker %s shows a certificate that is not valid: %s", where(cfg), invalid.Error()),
			Next: "renew the broker's certificate, or correct this machine's clock",
			Code: unreachable,
		}
	case errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls:"):
		return &Error{
			Msg:  fmt.Sprintf("broker %s refused our side of TLS: %s", where(cfg), lastPart(err)),
			Next: "it probably asks for a client certificate: set kafka.tls.cert-file and kafka.tls.key-file",
			Code: unreachable,
		}
	case errors.As(err, &record), cfg.TLS.Enabled && (errors.As(err, &eof) || isHandshakeEOF(err)):
		return &Error{
			Msg:  fmt.Sprintf("broker %s does not speak TLS on this port", where(cfg)),
			Next: "set kafka.tls.enabled=false, or use the port of its TLS listener",
			Code: unreachable,
		}
	case strings.Contains(err.Error(), "tls alert record"),
		!cfg.TLS.Enabled && errors.As(err, &eof) && strings.Contains(eof.Error(), "TLS is missing"),
		!cfg.TLS.Enabled && errors.As(err, &eof) && strings.Contains(eof.Error(), "TLS missing"):
		return &Error{
			Msg:  fmt.Sprintf("broker %s closed the connection: it probably speaks TLS on this port, and we do not", where(cfg)),
			Next: "set kafka.tls.enabled=true (and kafka.tls.ca-file), or use the port of its plaintext listener",
			Code: unreachable,
		}
	case strings.Contains(err.Error(), "beginning of an HTTP response"):
		return &Error{
			Msg:  fmt.Sprintf("%s answers in HTTP: it is not a Kafka broker", where(cfg)),
			Next: "give the broker's port with --brokers (usually 9092)",
			Code: unreachable,
		}
	}
	return nil
}

func explainTopic(err error, _ Config) *Error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return &Error{
			Msg:  "the broker does not know this topic or partition",
			Next: `"ordersctl topic list" shows what is there; create it with "ordersctl topic create"`,
			Code: 1,
		}
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
		return &Error{
			Msg:  "not enough replicas are in sync for acks=all (NOT_ENOUGH_REPLICAS)",
			Next: `"ordersctl topic describe" shows who is missing; bring the broker back, or lower min.insync.replicas knowing what that risks`,
			Code: 1,
		}
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return &Error{
			Msg:  "the cluster has fewer brokers than the replication factor asks for",
			Next: "use a smaller --replicas",
			Code: 1,
		}
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		return &Error{
			Msg:  "the broker does not allow this user to do that: " + kerrName(err),
			Next: "ask for the ACL, or use another user (kafka.sasl.username)",
			Code: 1,
		}
	}
	return nil
}

func explainNetwork(err error, cfg Config) *Error {
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	if cfg.TLS.Enabled && errors.Is(err, context.DeadlineExceeded) {
		return &Error{
			Msg:  fmt.Sprintf("no answer from a broker at %s in time", where(cfg)),
			Next: "check the address, and whether that port speaks TLS (kafka.tls.enabled)",
			Code: unreachable,
		}
	}
	next := `start a local broker with "ordersctl dev", or name yours with --brokers`
	switch {
	case errors.As(err, &dns):
		return &Error{Msg: fmt.Sprintf("no broker at %s: the name %q can't be resolved", where(cfg), dns.Name), Next: next, Code: unreachable}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Msg: fmt.Sprintf("no broker at %s: connection refused", where(cfg)), Next: next, Code: unreachable}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Msg: fmt.Sprintf("no answer from a broker at %s in time", where(cfg)), Next: next, Code: unreachable}
	case errors.As(err, &op):
		return &Error{Msg: fmt.Sprintf("no broker at %s: %s", where(cfg), lastPart(err)), Next: next, Code: unreachable}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Msg: fmt.Sprintf("broker %s closed the connection", where(cfg)), Next: next, Code: unreachable}
	}
	return nil
}

func isHandshakeEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

func kerrName(err error) string {
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return ke.Message
	}
	return err.Error()
}

// lastPart is the end of a chain of causes: "dial tcp …: i/o timeout".
func lastPart(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 {
		return s[i+2:]
	}
	return s
}
