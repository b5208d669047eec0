// Package config is the sum of what the leaf packages can be told. [Load]
// reads it from flags, environment, context, file and defaults, in that order,
// and knows of each value where it came from.
//
// It does not write the file; config use writes only the name of a context,
// beside it.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/dev"
	"github.com/ordersctl/ordersctl/internal/ingest"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/process"
	"github.com/ordersctl/ordersctl/internal/send"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/telemetry"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// Config is everything that can be set. The tags are the keys of the file; the
// order of the fields is the order in which they are shown.
type Config struct {
	Topic     string                `mapstructure:"topic"`
	DLQTopic  string                `mapstructure:"dlq-topic"`
	Protected bool                  `mapstructure:"protected"`
	Kafka     client.Config         `mapstructure:"kafka"`
	NewTopic  topic.Config          `mapstructure:"new-topic"`
	Order     order.Rules           `mapstructure:"order"`
	Serve     ingest.Config         `mapstructure:"serve"`
	Process   process.Config        `mapstructure:"process"`
	Send      send.Config           `mapstructure:"send"`
	DB        sink.Config           `mapstructure:"db"`
	Admin     telemetry.AdminConfig `mapstructure:"admin"`
	Status    lag.Config            `mapstructure:"status"`
	Dev       dev.Config            `mapstructure:"dev"`
	Log       telemetry.LogConfig   `mapstructure:"log"`
}

// Default is what holds where nothing is set.
func Default() Config {
	return Config{
		Topic:    "orders",
		DLQTopic: "orders.dlq",
		Kafka:    client.DefaultConfig(),
		NewTopic: topic.DefaultConfig(),
		Serve:    ingest.DefaultConfig(),
		Process:  process.DefaultConfig(),
		DB:       sink.DefaultConfig(),
		Admin:    telemetry.DefaultAdminConfig(),
		Status:   lag.DefaultConfig(),
		Dev:      dev.DefaultConfig(),
		Log:      telemetry.DefaultLogConfig(),
	}
}

// Validate names every fault, joined into one line.
func (c Config) Validate() error {
	var errs []error
	if err := topic.ValidateName(c.Topic); err != nil {
		errs = append(errs, fmt.Errorf("topic: %w", err))
	}
	if err := topic.ValidateName(c.DLQTopic); err != nil {
		errs = append(errs, fmt.Errorf("dlq-topic: %w", err))
	}
	if c.Topic == c.DLQTopic {
		errs = append(errs, fmt.Errorf("topic and dlq-topic are both %q", c.Topic))
	}
	err := errors.Join(append(errs, c.Kafka.Validate(), c.NewTopic.Validate(), c.Order.Validate(), c.Serve.Validate(), c.Process.Validate(), c.Send.Validate(), c.DB.Validate(), c.Admin.Validate(), c.Status.Validate(), c.Dev.Validate(), c.Log.Validate())...)
	if err == nil {
		return nil
	}
	return &Error{Msg: strings.ReplaceAll(err.Error(), "\n", "; "), Next: `"ordersctl config show" tells where each value comes from`}
}

// Error is a fault of the configuration; its exit code is 2.
type Error struct {
	Msg  string
	Next string
}

func (e *Error) Error() string { return e.Msg }

// Hint is the next step.
func (e *Error) Hint() string { return e.Next }

// ExitCode is that of usage and configuration.
func (e *Error) ExitCode() int { return 2 }

// field is one key of the configuration and its place in a Config.
type field struct {
	key   string
	value reflect.Value
}

// fields lists the keys of c in order; the values are settable.
func fields(c *Config) []field {
	var list []field
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("mapstructure")
			if name == "" {
				name = strings.ToLower(v.Type().Field(i).Name)
			}
			if f := v.Field(i); f.Kind() == reflect.Struct {
				walk(prefix+name+".", f)
			} else {
				list = append(list, field{prefix + name, f})
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return list
}
