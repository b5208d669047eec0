//go:build unix

package kafka

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const mechanisms = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"

const log4jServer = `Configuration:
  status: ERROR
  Appenders:
    Console:
      name: out
      PatternLayout: { pattern: "[%d] %p %m (%c{1})%n" }
  Loggers:
    Root: { level: WARN, AppenderRef: { ref: out } }
    Logger:
      - { name: kafka.server.KafkaRaftServer, level: INFO }
`

const log4jTool = `Configuration:
  status: ERROR
  Appenders:
    Console:
      name: err
      target: SYSTEM_ERR
      PatternLayout: { pattern: "[%d] %p %m (%c{1})%n" }
  Loggers:
    Root: { level: WARN, AppenderRef: { ref: err } }
`

// serverProperties are sorted, so that two runs can be compared.
func (c *Cluster) serverProperties(b *broker) []byte {
	p := c.baseProperties(b)
	if c.opts.SASL {
		maps.Copy(p, saslProperties("sasl"))
	}
	if c.opts.TLS {
		maps.Copy(p, c.tlsProperties("tls"))
	}
	if c.opts.SASL && c.opts.TLS {
		maps.Copy(p, saslProperties("sasl_tls"))
		maps.Copy(p, c.tlsProperties("sasl_tls"))
	}
	maps.Copy(p, c.opts.ExtraProperties)

	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	var out bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&out, "%s=%s\n", key, escape.Replace(p[key]))
	}
	return out.Bytes()
}

func (c *Cluster) baseProperties(b *broker) map[string]string {
	names := []string{"PLAINTEXT"}
	listeners := []string{"PLAINTEXT://" + b.address(plaintextPort)}
	protocols := []string{"CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT"}
	add := func(wanted bool, name, protocol string, port int) {
		if wanted {
			names = append(names, name)
			listeners = append(listeners, name+"://"+b.address(port))
			protocols = append(protocols, name+":"+protocol)
		}
	}
	add(c.opts.SASL, "SASL", "SASL_PLAINTEXT", saslPort)
	add(c.opts.TLS, "TLS", "SSL", tlsPort)
	add(c.opts.SASL && c.opts.TLS, "SASL_TLS", "SASL_SSL", saslTLSPort)

	var voters []string
	for _, v := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", v.id, v.address(controllerPort)))
	}
	replicas, inSync := "1", "1"
	if len(c.brokers) == 3 {
		replicas, inSync = "3", "2"
	}
	return map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        fmt.Sprint(b.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listeners":                      strings.Join(append(listeners, "CONTROLLER://"+b.address(controllerPort)), ","),
		"advertised.listeners":           strings.Join(listeners, ","),
		"listener.security.protocol.map": strings.Join(protocols, ","),
		"log.dirs":                       filepath.Join(b.dir, "data"),

		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              inSync,
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,

		// 50 partitions each would make the first group and the first transaction wait for their files.
		"offsets.topic.num.partitions":                 "3",
		"transaction.state.log.num.partitions":         "3",
		"share.coordinator.state.topic.num.partitions": "3",

		"auto.create.topics.enable":        "false", // a misspelt topic is an error, as in production
		"group.initial.rebalance.delay.ms": "0",     // 3 s by default: for groups of many that start together
	}
}

func saslProperties(listener string) map[string]string {
	prefix := "listener.name." + listener + "."
	const module = "org.apache.kafka.common.security."
	return map[string]string{
		prefix + "sasl.enabled.mechanisms":        mechanisms,
		prefix + "plain.sasl.jaas.config":         fmt.Sprintf(`%splain.PlainLoginModule required user_%s="%s";`, module, User, Password),
		prefix + "scram-sha-256.sasl.jaas.config": module + `scram.ScramLoginModule required;`,
		prefix + "scram-sha-512.sasl.jaas.config": module + `scram.ScramLoginModule required;`,
		prefix + "oauthbearer.sasl.jaas.config":   module + `oauthbearer.OAuthBearerLoginModule required;`,
	}
}

func (c *Cluster) tlsProperties(listener string) map[string]string {
	prefix := "listener.name." + listener + ".ssl."
	return map[string]string{
		prefix + "keystore.type":       "PEM",
		prefix + "keystore.location":   filepath.Join(c.dir, serverPEMFile),
		prefix + "truststore.type":     "PEM",
		prefix + "truststore.location": c.CAFile(),
		prefix + "client.auth":         "requested",
	}
}

// clusterID is a random UUID as Kafka writes it: base64url of 16 bytes. The first bit is cleared, because an id that
// begins with "-" would be read as an option.
func clusterID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails: crypto/rand
	id[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(id)
}

// unsecuredToken is a JWS with "alg":"none" (RFC 7515, appendix A.5).
func unsecuredToken(subject string, issued, expires time.Time) string {
	claims, _ := json.Marshal(map[string]any{"sub": subject, "iat": issued.Unix(), "exp": expires.Unix()})
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(claims) + "."
}
