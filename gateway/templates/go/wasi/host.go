//go:build wasip1

package wasi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"unsafe"
)

// The results of a host call, in the layout of the canonical ABI, and the lock for them: a goroutine that allocates may
// yield to others before it has read them.
var (
	ret [8]uint64
	one sync.Mutex
)

func ask[T any](question func() T) T {
	one.Lock()
	defer one.Unlock()
	defer free()
	return question()
}

func result(offset int) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(&ret), offset) }
func tag(offset int) uint8             { return *(*uint8)(result(offset)) }
func handle(offset int) int32          { return *(*int32)(result(offset)) }

// Memory for what the host gives, until it is read. While the host asks for it Go must take none: a heap that grows looks
// at the clock, and the host takes no calls meanwhile.
var given [32 << 10]uint64

// What is taken of that, and memory for what does not fit.
var (
	taken uint32
	asked [][]uint64
)

func free() { taken, asked = 0, nil }

// Memory of what is between WASI 0.1, which Go speaks, and 0.2: `wasmgate componentize` finds it by its first bytes. Else
// that would take pages behind Go's heap, which Go takes for its own when its heap grows.
var between = [256 << 10]byte{
	'w', 'a', 's', 'm', 'g', 'a', 't', 'e', ':', ' ', 'm', 'e', 'm', 'o', 'r', 'y', ' ', 'o', 'f', ' ', 't', 'h', 'e', ' ',
	'a', 'd', 'a', 'p', 't', 'e', 'r', '.',
}

//go:wasmexport cabi_import_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	if size == 0 {
		return place(align)
	}
	words := (size + 7) / 8
	var memory []uint64
	if words <= uint32(len(given))-taken {
		memory = given[taken : taken+words]
		taken += words
	} else {
		memory = make([]uint64, words)
		asked = append(asked, memory)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&memory[0])), size), unsafe.Slice((*byte)(old), oldSize))
	return unsafe.Pointer(&memory[0])
}

// A place in memory by its number: the host's are of 32 bits, Go's pointers of 64.
func place(number uint32) unsafe.Pointer { return unsafe.Add(nil, number) }

func number(place unsafe.Pointer) uint32 { return uint32(uintptr(place)) }

// A list as it is in memory.
type span struct{ start, length uint32 }

func spanOf(s string) span { return span{number(unsafe.Pointer(unsafe.StringData(s))), uint32(len(s))} }

// A copy of the list of bytes whose span is there.
func list(at unsafe.Pointer) []byte {
	span := *(*span)(at)
	return bytes.Clone(unsafe.Slice((*byte)(place(span.start)), span.length))
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

type entry struct{ name, value span }

func fields(held int32) http.Header {
	defer fieldsDrop(held)
	return ask(func() http.Header {
		fieldsEntries(held, result(0))
		all := *(*span)(result(0))
		entries := unsafe.Slice((*entry)(place(all.start)), all.length)
		header := http.Header{}
		for index := range entries {
			name, value := list(unsafe.Pointer(&entries[index].name)), list(unsafe.Pointer(&entries[index].value))
			header.Add(string(name), string(value))
		}
		return header
	})
}

func newFields(header http.Header) (held int32, err error) {
	var entries []entry
	for name, values := range header {
		for _, value := range values {
			entries = append(entries, entry{spanOf(name), spanOf(value)})
		}
	}
	defer runtime.KeepAlive(header)
	ask(func() bool {
		fieldsFromList(unsafe.Pointer(unsafe.SliceData(entries)), uint32(len(entries)), result(0))
		if tag(0) != 0 {
			err = fmt.Errorf("a header is not allowed: %v", header)
		}
		held = handle(4)
		return err == nil
	})
	return held, err
}

// A body to read.
type body struct {
	held, stream int32
	waits        context.Context
	// Set while a goroutine waits for more.
	waiter *waiter
	left   []byte
	err    error
}

func open(held int32, waits context.Context) (*body, error) {
	opened := &body{held: held, waits: waits}
	isUnread := ask(func() bool {
		bodyStream(held, result(0))
		opened.stream = handle(4)
		return tag(0) == 0
	})
	if !isUnread {
		return nil, errors.New("the body was read already")
	}
	return opened, nil
}

func (b *body) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	for len(b.left) == 0 && b.err == nil {
		if b.err = over(b.waits); b.err != nil {
			break
		}
		b.left = ask(b.read)
		if len(b.left) == 0 && b.err == nil {
			b.wait()
		}
	}
	if len(b.left) == 0 {
		return 0, b.err
	}
	count := copy(into, b.left)
	b.left = b.left[count:]
	return count, nil
}

func (b *body) wait() {
	b.waiter = newWaiter(b.waits, inputSubscribe(b.stream))
	err := b.waiter.wait()
	b.waiter = nil
	if b.err == nil {
		b.err = err
	} else {
		b.drop()
	}
}

func (b *body) read() []byte {
	streamRead(b.stream, 65536, result(0))
	switch {
	case tag(0) == 0:
		return list(result(4))
	case tag(4) == 0:
		errorDrop(handle(8))
		b.err = io.ErrUnexpectedEOF
	default:
		b.err = io.EOF
	}
	return nil
}

// Close also ends a Read in another goroutine, which then drops the stream.
func (b *body) Close() error {
	switch {
	case b.err == http.ErrBodyReadAfterClose:
	case b.waiter != nil:
		b.waiter.stop()
	default:
		b.drop()
	}
	b.left, b.err = nil, http.ErrBodyReadAfterClose
	return nil
}

func (b *body) drop() {
	inputDrop(b.stream)
	bodyDrop(b.held)
}

// A body to write.
type sink struct {
	held, stream int32
	waits        context.Context
}

// Of the call that returns the body.
func newSink(write func(into unsafe.Pointer), waits context.Context) sink {
	held := ask(func() int32 { write(result(0)); return handle(4) })
	stream := ask(func() int32 { bodyWrite(held, result(0)); return handle(4) })
	return sink{held, stream, waits}
}

func (s sink) Write(content []byte) (int, error) {
	for written := 0; written < len(content); {
		count, err := s.write(content[written:])
		if err == nil {
			err = over(s.waits)
		}
		if err == nil && count == 0 {
			err = newWaiter(s.waits, outputSubscribe(s.stream)).wait()
		}
		if err != nil {
			return written, err
		}
		written += count
	}
	return len(content), nil
}

// Writes as much as the stream takes now.
func (s sink) write(content []byte) (int, error) {
	count := ask(func() int {
		streamRoom(s.stream, result(0))
		if failed(8) {
			return closed
		}
		part := content[:min(uint64(len(content)), *(*uint64)(result(8)))]
		if len(part) == 0 {
			return 0
		}
		streamWrite(s.stream, unsafe.Pointer(&part[0]), uint32(len(part)), result(0))
		if failed(4) {
			return closed
		}
		streamFlush(s.stream, result(0))
		if failed(4) {
			return closed
		}
		return len(part)
	})
	if count == closed {
		return 0, io.ErrClosedPipe
	}
	return count, nil
}

// Returned in place of a count.
const closed = -1

// Whether a stream returned an error, whose value is at this offset.
func failed(why int) bool {
	if tag(0) == 0 {
		return false
	}
	if tag(why) == 0 {
		errorDrop(handle(why + 4))
	}
	return true
}

func (s sink) finish() {
	outputDrop(s.stream)
	ask(func() bool { bodyFinish(s.held, 0, 0, result(0)); return true })
}

// Drops it unfinished: the reader sees that it is incomplete.
func (s sink) drop() {
	outputDrop(s.stream)
	outgoingBodyDrop(s.held)
}
