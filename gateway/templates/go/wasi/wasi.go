//go:build wasip1

package wasi

import (
	"context"
	"net/http"
	"net/url"
	"unsafe"
)

// Handler answers the requests; it is set by an init function, as a component has no main.
var Handler http.Handler

func init() {
	http.DefaultTransport = transport{}
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
	method := ask(func() string {
		requestMethod(incoming, result(0))
		if kind := int(tag(0)); kind < len(methods) {
			return methods[kind]
		}
		return string(list(result(4)))
	})
	path := ask(func() string { requestPath(incoming, result(0)); return optional() })
	host := ask(func() string { requestAuthority(incoming, result(0)); return optional() })
	header := fields(requestHeaders(incoming))
	held := ask(func() int32 { requestConsume(incoming, result(0)); return handle(4) })
	body, err := open(held, context.Background())
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

func optional() string {
	if tag(0) == 0 {
		return ""
	}
	return string(list(result(4)))
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
	w.body = newSink(func(into unsafe.Pointer) { responseBody(response, into) }, context.Background())
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
