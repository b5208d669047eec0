package topic

import (
	"errors"
	"fmt"
)

// Config is the "new-topic" section of the configuration: what a topic gets
// that we create.
type Config struct {
	Partitions int `mapstructure:"partitions"`
	Replicas   int `mapstructure:"replicas"`
}

// DefaultConfig fits one broker; production wants Replicas 3.
func DefaultConfig() Config { return Config{Partitions: 3, Replicas: 1} }

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	return errors.Join(CheckPartitions("new-topic.partitions", c.Partitions), CheckReplicas("new-topic.replicas", c.Replicas))
}

// CheckPartitions refuses a number of partitions that no topic can have; source
// is where it was given.
func CheckPartitions(source string, n int) error { return between(source, n, 100_000) }

// CheckReplicas does so for replicas.
func CheckReplicas(source string, n int) error { return between(source, n, 1000) }

func between(source string, n, most int) error {
	if n < 1 || n > most {
		return fmt.Errorf("%s %d is not between 1 and %d", source, n, most)
	}
	return nil
}
