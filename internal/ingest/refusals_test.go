package ingest

import (
	"bytes"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRefusalsAreOneLineEachAndCountedWhereThereIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newRefusals(slog.New(slog.NewTextHandler(&log, nil)))
		const seconds, perSecond = 10, 500
		for range seconds * perSecond {
			r.log(refusal{code: 400})
			<-time.After(time.Second / perSecond)
		}
		r.flush()
		lines := strings.Count(log.String(), "\n")
		if most := refusalsBurst + seconds*refusalsPerSecond + 1; lines > most || lines < most-3 {
			t.Errorf("%d lines, want %d at most", lines, most)
		}
		told := strings.Count(log.String(), `msg="order refused"`)
		for _, m := range regexp.MustCompile(`skipped=(\d+)`).FindAllStringSubmatch(log.String(), -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			told += n
		}
		if told != seconds*perSecond {
			t.Errorf("%d of %d are told or counted", told, seconds*perSecond)
		}
	})
}
