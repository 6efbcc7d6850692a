package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"provery/prover/fault"
)

const (
	// maxLineBytes bounds a request line.
	maxLineBytes = 64 << 20
	// maxWaiting bounds the requests read but not begun.
	maxWaiting = 4096
	// progressEvery is the least time between progress lines of a request.
	progressEvery = 250 * time.Millisecond
)

// Loop serves requests from in until it ends, and writes replies to out; requests are worked on one at a time
// in order, except ping and cancel, which are answered at once. When stop is closed, the request in work is
// finished, those waiting are answered as cancelled, and Loop returns.
func (e *Engine) Loop(in io.Reader, out io.Writer, version string, stop <-chan struct{}) error {
	l := &loop{engine: e, out: json.NewEncoder(out), cancels: map[string]context.CancelFunc{},
		waiting: make(chan *job, maxWaiting), stop: stop}
	l.out.SetEscapeHTML(false)
	l.write(map[string]any{"ready": true, "program": "provery-prover", "version": version, "ops": operations})
	go l.read(in)
	for {
		select {
		case <-stop:
			l.drain()
			return l.failed
		default:
		}
		select {
		case <-stop:
		case next, more := <-l.waiting:
			if !more {
				return l.failed
			}
			l.work(next)
		}
	}
}

type loop struct {
	engine  *Engine
	lock    sync.Mutex
	out     *json.Encoder
	failed  error
	cancels map[string]context.CancelFunc
	waiting chan *job
	stop    <-chan struct{}
}

type job struct {
	request *request
	ctx     context.Context
	cancel  context.CancelFunc
}

// write sends one line; after a failure (the caller is gone) nothing more is sent.
func (l *loop) write(line any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.failed == nil {
		l.failed = l.out.Encode(line)
	}
}

func (l *loop) fail(id string, err *fault.Error) { l.write(reply{ID: id, Error: err}) }

// read takes requests in until the input ends.
func (l *loop) read(in io.Reader) {
	defer close(l.waiting)
	reader := bufio.NewReaderSize(in, 1<<16)
	for {
		line, err := readLine(reader)
		if errors.Is(err, errLongLine) {
			l.fail("", fault.New(fault.Resource, "a request line is longer than %d bytes", maxLineBytes))
			continue
		}
		if len(line) > 0 {
			l.accept(line)
		}
		if err != nil {
			return
		}
	}
}

var errLongLine = errors.New("line too long")

// readLine returns the next line without its end. Too long a line is skipped and reported as errLongLine.
func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		if len(line)+len(part) > maxLineBytes {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = reader.ReadSlice('\n')
			}
			return nil, errLongLine
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n-- {
				line = line[:n-1]
			}
			return line, err
		}
	}
}

func (l *loop) accept(line []byte) {
	r := &request{}
	if err := json.Unmarshal(line, r); err != nil {
		l.fail(r.ID, fault.New(fault.InvalidInput, "a request is not valid: %s", fault.Shorten(err.Error(), 200)))
		return
	}
	switch r.Op {
	case "ping":
		l.write(reply{ID: r.ID, OK: true, Result: map[string]any{"peak_rss_bytes": peakRSSBytes(), "key_memory_bytes": l.engine.keys.bytesIfFree()}})
		return
	case "cancel":
		l.lock.Lock()
		cancel, found := l.cancels[r.Target]
		l.lock.Unlock()
		if found {
			cancel()
		}
		l.write(reply{ID: r.ID, OK: true, Result: map[string]any{"found": found}})
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.lock.Lock()
	_, taken := l.cancels[r.ID]
	if !taken {
		l.cancels[r.ID] = cancel
	}
	l.lock.Unlock()
	if taken {
		cancel()
		l.fail(r.ID, fault.New(fault.InvalidInput, "a request with this id is not finished yet"))
		return
	}
	select {
	case l.waiting <- &job{r, ctx, cancel}:
	default:
		l.finish(&job{r, ctx, cancel})
		l.fail(r.ID, fault.New(fault.Resource, "%d requests are waiting already", maxWaiting))
	}
}

func (l *loop) finish(j *job) {
	j.cancel()
	l.lock.Lock()
	delete(l.cancels, j.request.ID)
	l.lock.Unlock()
}

func (l *loop) work(j *job) {
	defer l.finish(j)
	start := time.Now()
	var told time.Time
	var tellLock sync.Mutex
	report := func(step string, done, total int) {
		tellLock.Lock()
		defer tellLock.Unlock()
		if now := time.Now(); now.Sub(told) >= progressEvery && now.Sub(start) >= progressEvery {
			told = now
			l.write(progressLine{j.request.ID, progressStep{step, done, total}})
		}
	}
	answer := reply{ID: j.request.ID}
	result, err := any(nil), error(fault.New(fault.Cancelled, "cancelled before it was started"))
	if j.ctx.Err() == nil {
		result, err = l.engine.perform(j.ctx, j.request, report)
	}
	if err != nil {
		answer.Error = fault.Of(err)
	} else {
		answer.OK, answer.Result = true, result
	}
	if j.request.Traceparent != "" {
		answer.Span = &span{j.request.Traceparent, start.UnixNano(), time.Now().UnixNano()}
	}
	l.write(answer)
}

// drain answers what is waiting as cancelled.
func (l *loop) drain() {
	for {
		select {
		case j, more := <-l.waiting:
			if !more {
				return
			}
			l.finish(j)
			l.fail(j.request.ID, fault.New(fault.Cancelled, "the program is stopping"))
		default:
			return
		}
	}
}
