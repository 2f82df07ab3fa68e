//go:build wasip1

package wasi

import (
	"context"
	"runtime"
	"slices"
	"time"
	"unsafe"
)

// A goroutine that waits for the host; others go on meanwhile.
type waiter struct {
	pollable int32
	waits    context.Context
	ready    chan struct{}
}

var (
	waiters   []*waiter
	isWatched bool
)

func newWaiter(waits context.Context, pollable int32) *waiter {
	return &waiter{pollable, waits, make(chan struct{})}
}

// Waits until the pollable is ready, the context is done, or another goroutine calls stop.
func (mine *waiter) wait() error {
	defer pollDrop(mine.pollable)
	one.Lock()
	waiters = append(waiters, mine)
	if !isWatched {
		isWatched = true
		go watch()
	}
	one.Unlock()
	select {
	case <-mine.ready:
		return nil
	case <-mine.waits.Done():
		mine.leave()
		return mine.waits.Err()
	}
}

func (mine *waiter) stop() {
	if mine.leave() {
		close(mine.ready)
	}
}

// Returns whether it was still waiting.
func (mine *waiter) leave() bool {
	one.Lock()
	defer one.Unlock()
	before := len(waiters)
	waiters = slices.DeleteFunc(waiters, func(other *waiter) bool { return other == mine })
	return len(waiters) < before
}

// Polls for all waiters at once, whenever no other goroutine can run.
func watch() {
	since := time.Now()
	for {
		// Twice: now and then the scheduler picks the one that yielded first.
		runtime.Gosched()
		runtime.Gosched()
		one.Lock()
		if len(waiters) == 0 {
			isWatched = false
			one.Unlock()
			return
		}
		if pollAll(since) {
			since = time.Now()
		}
		free()
		one.Unlock()
	}
}

// Returns whether any was ready. Go's own timers do not fire during the call.
func pollAll(since time.Time) bool {
	all := make([]int32, 0, len(waiters)+1)
	for _, waiter := range waiters {
		all = append(all, waiter.pollable)
	}
	clock := clockSubscribe(uint64(patience(since)))
	defer pollDrop(clock)
	all = append(all, clock)
	poll(unsafe.Pointer(&all[0]), uint32(len(all)), result(0))
	ready := *(*span)(result(0))
	waiting := waiters
	waiters = nil
	isReady := make([]bool, len(all))
	for _, index := range unsafe.Slice((*uint32)(place(ready.start)), ready.length) {
		isReady[index] = true
	}
	for index, waiter := range waiting {
		if isReady[index] {
			close(waiter.ready)
		} else {
			waiters = append(waiters, waiter)
		}
	}
	return len(waiters) < len(waiting)
}

// The longest that the host may wait: until the first deadline of a context, and no longer than a timer of Go's may be
// late, which is a sixteenth of the time.
func patience(since time.Time) time.Duration {
	most := min(max(time.Since(since)/16, 2*time.Millisecond), 100*time.Millisecond)
	for _, waiter := range waiters {
		if deadline, ok := waiter.waits.Deadline(); ok {
			most = min(most, time.Until(deadline))
		}
	}
	return max(most, 0)
}

// The error of a context that is done. Its own timer does not fire while a goroutine goes on without a wait.
func over(waits context.Context) error {
	if deadline, ok := waits.Deadline(); ok && time.Now().After(deadline) {
		return context.DeadlineExceeded
	}
	return waits.Err()
}
