package send

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/ordersctl/ordersctl/internal/order"
)

// Stdin is the file name that means the standard input.
const Stdin = "-"

// One is the source of a single order.
type One struct {
	Order order.Order
	given bool
}

// Next gives the order, once.
func (s *One) Next(e *Entry) error {
	if s.given {
		return io.EOF
	}
	s.given = true
	*e = Entry{Order: s.Order, At: At{N: 1}}
	return nil
}

// Generated is the source of made-up orders.
type Generated struct {
	gen   *order.Generator
	made  int64
	count int64
}

// NewGenerated gives count orders; equal options give equal orders.
func NewGenerated(count int64, opts order.GeneratorOptions) *Generated {
	return &Generated{gen: order.NewGenerator(opts), count: count}
}

// Next makes the next order.
func (s *Generated) Next(e *Entry) error {
	if s.made == s.count {
		return io.EOF
	}
	s.made++
	*e = Entry{Order: s.gen.Next(), At: At{N: s.made}}
	return nil
}

// Files is the source of files, read one after another. Gzip is unpacked.
type Files struct {
	ctx     context.Context //nolint:containedctx // ends a read of a pipe that blocks, which Next can't be told otherwise
	names   []string
	stdin   io.Reader
	dec     *order.Decoder
	rejects io.Writer

	now    *Reader
	packed *bufio.Reader // under now
	gzip   bool
	file   io.Closer
	size   int64
	read   int64 // bytes, also those that only wait in a buffer
	taken  atomic.Int64
	stream bool
}

// OpenFiles looks at every file before the first is read, so that a misspelt
// name is told before anything is sent.
func OpenFiles(ctx context.Context, names []string, stdin io.Reader, dec *order.Decoder, rejects io.Writer) (*Files, error) {
	s := &Files{ctx: ctx, names: names, stdin: stdin, dec: dec, rejects: rejects}
	for _, name := range names {
		if name == Stdin {
			s.stream = true
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read orders: %w", err)
		case info.IsDir():
			return nil, fmt.Errorf("read orders: %s is a folder; name its files (%s)", name, filepath.Join(name, "*"))
		case !info.Mode().IsRegular():
			s.stream = true
		}
		s.size += info.Size()
	}
	return s, nil
}

// Size is the bytes of all files together, 0 where that can't be known.
func (s *Files) Size() int64 {
	if s.stream {
		return 0
	}
	return s.size
}

// Taken is how many bytes of the files the orders so far came from. Any
// goroutine may ask.
func (s *Files) Taken() int64 { return s.taken.Load() }

// Next reads the next order.
func (s *Files) Next(e *Entry) error {
	for {
		if s.now == nil {
			if len(s.names) == 0 {
				return io.EOF
			}
			name := s.names[0]
			s.names = s.names[1:]
			if err := s.open(name); err != nil {
				return err
			}
		}
		err := s.now.Next(e)
		ahead := s.packed.Buffered()
		if !s.gzip {
			ahead += s.now.in.Buffered()
		}
		s.taken.Store(s.read - int64(ahead))
		if err == nil || !errors.Is(err, io.EOF) {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
}

// Close closes the file that is being read.
func (s *Files) Close() error {
	s.now = nil
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

func (s *Files) open(name string) error {
	var in io.Reader
	if name == Stdin {
		name, in = "stdin", newInterruptible(s.ctx, s.stdin)
	} else {
		f, err := openUntil(s.ctx, name)
		if err != nil {
			return err
		}
		s.file, in = f, f
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			in = newInterruptible(s.ctx, f)
		}
	}
	in = &counted{in: in, n: &s.read}
	packed := bufio.NewReaderSize(in, 64<<10)
	in = packed
	s.packed, s.gzip = packed, false
	// By its first bytes and not by its name: the standard input has none.
	if magic, _ := packed.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(packed)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		in, s.gzip = z, true
	}
	s.now = NewReader(name, in, s.dec, s.rejects)
	return nil
}

// openUntil opens a file, or ends with ctx: to open a named pipe waits for its
// writer.
func openUntil(ctx context.Context, name string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() { // stays behind in the open, as interruptible in its read
		f, err := os.Open(name)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, fmt.Errorf("read orders: %w", o.err)
		}
		return o.file, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// counted counts what is read.
type counted struct {
	in io.Reader
	n  *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	*c.n += int64(n)
	return n, err
}

// interruptible ends a read with its context, which the read of a pipe or a
// terminal does not. The goroutine that reads stays behind in that read; there
// is no way to get it out, and the process is about to end.
type interruptible struct {
	ctx    context.Context //nolint:containedctx // io.Reader has no place for it
	pieces chan []byte
	free   chan []byte
	piece  []byte // what is left of the one being handed out
	whole  []byte
	err    error // valid once pieces is closed
}

func newInterruptible(ctx context.Context, in io.Reader) *interruptible {
	r := &interruptible{ctx: ctx, pieces: make(chan []byte), free: make(chan []byte, 2)}
	for range cap(r.free) {
		r.free <- make([]byte, 64<<10)
	}
	go r.pump(in)
	return r
}

func (r *interruptible) pump(in io.Reader) {
	defer close(r.pieces)
	for {
		var buf []byte
		select {
		case buf = <-r.free:
		case <-r.ctx.Done():
			return
		}
		n, err := in.Read(buf[:cap(buf)])
		if n > 0 {
			select {
			case r.pieces <- buf[:n]:
			case <-r.ctx.Done():
				return
			}
		}
		if err != nil {
			r.err = err
			return
		}
		if n == 0 {
			r.free <- buf // never full: one buffer is in our hands
		}
	}
}

func (r *interruptible) Read(p []byte) (int, error) {
	if len(r.piece) == 0 {
		if r.whole != nil {
			r.free <- r.whole
			r.whole = nil
		}
		select {
		case piece, ok := <-r.pieces:
			if !ok && r.ctx.Err() != nil {
				return 0, r.ctx.Err()
			}
			if !ok {
				return 0, r.err
			}
			r.piece, r.whole = piece, piece
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}
