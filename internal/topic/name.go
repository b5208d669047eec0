// Package topic creates, describes and changes topics. Start at [Create] and
// [Describe]; names are checked by [ValidateName].
//
// It moves no partitions between brokers and deletes no records that it was
// not asked to.
package topic

import (
	"errors"
	"fmt"
)

// ValidateName holds name against Kafka's rule: 1 to 249 characters of a–z,
// A–Z, 0–9, ".", "_" and "-" (org.apache.kafka.common.internals.Topic).
func ValidateName(name string) error {
	if name == "" {
		return errors.New("the topic's name is empty")
	}
	if name == "." || name == ".." || len(name) > 249 {
		return fmt.Errorf("%q can't be a topic's name: it wants 1 to 249 characters, and not only dots", name)
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return fmt.Errorf("%q can't be a topic's name: only letters, digits, '.', '_' and '-'", name)
		}
	}
	return nil
}
