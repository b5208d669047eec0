package ingest

import (
	"context"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// heal looks whether the topic was deleted, and forgets it then, so that it is
// found again when it is made anew: the client goes on asking for the old
// topic's id by itself. A broker that only knows less than the others is left
// alone: to forget fails what is buffered.
func (s *Server) heal() {
	if s.closing.Load() || !s.healing.CompareAndSwap(false, true) {
		return
	}
	// Not in the promise: to forget takes locks that it holds.
	s.healers.Go(func() {
		defer s.healing.Store(false)
		for told := false; !s.closing.Load(); {
			id, err := s.topicID()
			switch {
			case err == nil && id == s.topic:
				if told {
					s.log.Info("the topic is there again", "topic", s.opts.Topic)
				}
				return
			case err == nil:
				s.kafka.PurgeTopicsFromClient(s.opts.Topic)
				s.topic = id
				s.log.Error("the topic was deleted and made again, going on with the new one", "topic", s.opts.Topic, "topic_id", topic.FormatID(id))
				return
			case !told:
				s.log.Error("the topic is gone, looking for it again", "topic", s.opts.Topic, "err", err)
				told = true
			}
			s.kafka.PurgeTopicsFromClient(s.opts.Topic)
			s.until(healEvery, s.closing.Load)
		}
	})
}

// healEvery is how often a topic that is gone is looked for.
const healEvery = 500 * time.Millisecond

func (s *Server) topicID() ([16]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Kafka.ConnectTimeout) //nolint:forbidigo // a promise has none
	defer cancel()
	id, _, err := topic.Exists(ctx, client.Admin(s.kafka), s.opts.Topic)
	return id, err
}
