package commands

import (
	"fmt"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ordersctl/ordersctl/internal/send"
)

// sendBar is the progress of send on a terminal.
type sendBar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	in       *sendInput
	count    int64 // orders to come, 0 where they are not counted
	stats    atomic.Pointer[send.Stats]
}

func newSendBar(o *sendOptions, in *sendInput) *sendBar {
	b := &sendBar{in: in, count: o.count}
	b.stats.Store(&send.Stats{})
	total := o.count
	if in.files != nil {
		total = in.files.Size()
	}
	b.progress = mpb.New(mpb.WithOutput(o.app.Err), mpb.WithWidth(40), mpb.WithAutoRefresh())
	orders := decor.Any(func(decor.Statistics) string {
		s := b.stats.Load()
		text := thousands(s.Acked) + " acknowledged"
		if f := s.Failed(); f > 0 {
			text += fmt.Sprintf(", %s failed", thousands(f))
		}
		return text + "  "
	})
	if total == 0 { // a pipe: nobody knows its end
		b.bar = b.progress.New(0, mpb.NopStyle(), mpb.BarRemoveOnComplete(), mpb.PrependDecorators(orders))
		return b
	}
	style := mpb.BarStyle().Lbound("[").Filler("#").Tip("#").Padding(".").Rbound("]")
	b.bar = b.progress.New(total, style, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(orders), mpb.AppendDecorators(decor.Percentage()))
	return b
}

// set shows what was answered; the bar of a file is how far it was read.
func (b *sendBar) set(s send.Stats) {
	b.stats.Store(&s)
	switch {
	case b.count > 0:
		b.bar.SetCurrent(min(s.Acked+s.Failed(), b.count-1)) // its end is ours to tell
	case b.in.files != nil && b.in.files.Size() > 0:
		b.bar.SetCurrent(min(b.in.files.Taken(), b.in.files.Size()-1))
	}
}

// stop takes the bar away.
func (b *sendBar) stop() {
	b.bar.Abort(true)
	b.progress.Wait()
}
