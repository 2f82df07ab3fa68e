//go:build wasip1

package wasi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"unsafe"
)

// Handler answers the requests; it is set by an init function, as a component has no main.
var Handler http.Handler

func init() {
	http.DefaultTransport = transport{}
}

// What the host's answer is written to, in the layout of the canonical ABI. One is enough: nothing else runs before it
// is read.
var ret [8]uint64

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

func optional(offset int) string {
	defer free()
	if tag(offset) == 0 {
		return ""
	}
	return string(list(result(offset + 4)))
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

//go:wasmexport wasi:http/incoming-handler@0.2.10#handle
func serve(incoming, out int32) {
	if between[0] != 'w' {
		panic("the memory between WASI 0.1 and 0.2 is not there")
	}
	request, err := read(incoming)
	writer := &writer{out: out, header: http.Header{}}
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
	} else {
		Handler.ServeHTTP(writer, request)
	}
	writer.finish()
}

func read(incoming int32) (*http.Request, error) {
	requestMethod(incoming, result(0))
	method := "GET"
	if kind := int(tag(0)); kind < len(methods) {
		method = methods[kind]
	} else {
		method = string(list(result(4)))
	}
	free()
	requestPath(incoming, result(0))
	path := optional(0)
	requestAuthority(incoming, result(0))
	host := optional(0)
	header := fields(requestHeaders(incoming))
	requestConsume(incoming, result(0))
	body, err := open(handle(4))
	if err != nil {
		return nil, err
	}
	target, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	return &http.Request{
		Method: method, URL: target, RequestURI: path, Host: host, Header: header, Body: body, ContentLength: -1,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: header.Get("X-Forwarded-For"),
	}, nil
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

type entry struct{ name, value span }

func fields(held int32) http.Header {
	defer fieldsDrop(held)
	fieldsEntries(held, result(0))
	all := *(*span)(result(0))
	entries := unsafe.Slice((*entry)(place(all.start)), all.length)
	header := http.Header{}
	for index := range entries {
		name, value := list(unsafe.Pointer(&entries[index].name)), list(unsafe.Pointer(&entries[index].value))
		header.Add(string(name), string(value))
	}
	free()
	return header
}

func newFields(header http.Header) (int32, error) {
	var entries []entry
	for name, values := range header {
		for _, value := range values {
			entries = append(entries, entry{spanOf(name), spanOf(value)})
		}
	}
	fieldsFromList(unsafe.Pointer(unsafe.SliceData(entries)), uint32(len(entries)), result(0))
	runtime.KeepAlive(header)
	if tag(0) != 0 {
		return 0, fmt.Errorf("a header is not allowed: %v", header)
	}
	return handle(4), nil
}

// A body that comes.
type body struct {
	held, stream int32
	left         []byte
	err          error
}

func open(held int32) (*body, error) {
	bodyStream(held, result(0))
	if tag(0) != 0 {
		return nil, errors.New("the body was read already")
	}
	return &body{held: held, stream: handle(4)}, nil
}

func (b *body) Read(into []byte) (int, error) {
	for len(b.left) == 0 && b.err == nil {
		streamRead(b.stream, 65536, result(0))
		switch {
		case tag(0) == 0:
			b.left = list(result(4))
		case tag(4) == 0:
			errorDrop(handle(8))
			b.err = io.ErrUnexpectedEOF
		default:
			b.err = io.EOF
		}
		free()
	}
	if len(b.left) == 0 {
		return 0, b.err
	}
	count := copy(into, b.left)
	b.left = b.left[count:]
	return count, nil
}

func (b *body) Close() error {
	if b.held != 0 {
		inputDrop(b.stream)
		bodyDrop(b.held)
		b.held, b.err = 0, http.ErrBodyReadAfterClose
	}
	return nil
}

// A body that goes.
type sink struct{ held, stream int32 }

func (s sink) Write(content []byte) (int, error) {
	const most = 4096 // that one write may have
	for written := 0; written < len(content); {
		part := content[written:min(written+most, len(content))]
		streamWrite(s.stream, unsafe.Pointer(&part[0]), uint32(len(part)), result(0))
		if tag(0) != 0 {
			if tag(4) == 0 {
				errorDrop(handle(8))
			}
			return written, io.ErrClosedPipe
		}
		written += len(part)
	}
	return len(content), nil
}

func (s sink) finish() {
	outputDrop(s.stream)
	bodyFinish(s.held, 0, 0, result(0))
}

type writer struct {
	out     int32
	header  http.Header
	body    sink
	started bool
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.started {
		return
	}
	w.started = true
	fields, err := newFields(w.header)
	if err != nil {
		panic(err)
	}
	response := newResponse(fields)
	responseStatus(response, int32(status))
	responseBody(response, result(0))
	w.body.held = handle(4)
	bodyWrite(w.body.held, result(0))
	w.body.stream = handle(4)
	responseSet(w.out, 0, response, 0, 0, 0, 0, 0, 0)
}

func (w *writer) Write(content []byte) (int, error) {
	if !w.started {
		if w.header.Get("Content-Type") == "" {
			w.header.Set("Content-Type", http.DetectContentType(content))
		}
		w.WriteHeader(http.StatusOK)
	}
	return w.body.Write(content)
}

func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }

func (w *writer) finish() {
	w.WriteHeader(http.StatusOK)
	w.body.finish()
}

// Requests to others, in the way of net/http.
type transport struct{}

func (transport) RoundTrip(request *http.Request) (*http.Response, error) {
	future, err := send(request)
	if err != nil {
		return nil, err
	}
	defer futureDrop(future)
	ready := futureSubscribe(future)
	pollBlock(ready)
	pollDrop(ready)
	futureGet(future, result(0))
	if tag(16) != 0 {
		free()
		return nil, fmt.Errorf("no answer from %s (error %d of wasi:http)", request.URL.Host, tag(24))
	}
	response := handle(24)
	defer answerDrop(response)
	status, header := int(answerStatus(response)), fields(answerHeaders(response))
	answerConsume(response, result(0))
	body, err := open(handle(4))
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Header: header, Body: body,
		ContentLength: -1, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
	}, nil
}

func send(request *http.Request) (int32, error) {
	fields, err := newFields(request.Header)
	if err != nil {
		return 0, err
	}
	outgoing := newRequest(fields)
	method, methodLength := text(request.Method)
	const other = 9
	setMethod(outgoing, other, method, methodLength)
	path, pathLength := text(request.URL.RequestURI())
	setPath(outgoing, 1, path, pathLength)
	scheme := int32(0)
	if request.URL.Scheme == "https" {
		scheme = 1
	}
	setScheme(outgoing, 1, scheme, nil, 0)
	authority, authorityLength := text(request.URL.Host)
	setAuthority(outgoing, 1, authority, authorityLength)
	outgoingBody(outgoing, result(0))
	to := sink{held: handle(4)}
	bodyWrite(to.held, result(0))
	to.stream = handle(4)
	handleOutgoing(outgoing, 0, 0, result(0))
	if tag(0) != 0 {
		free()
		return 0, fmt.Errorf("%s cannot be asked (error %d of wasi:http)", request.URL.Host, tag(8))
	}
	future := handle(8)
	if request.Body != nil {
		// Whoever does not want all of it may still answer.
		_, _ = io.Copy(to, request.Body)
		_ = request.Body.Close()
	}
	to.finish()
	return future, nil
}
