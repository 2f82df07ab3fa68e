//go:build wasip1

package wasi

import (
	"fmt"
	"io"
	"net/http"
	"unsafe"
)

// Outgoing requests for net/http: goroutines can have several at once, and a request ends with its context.
type transport struct{}

func (transport) RoundTrip(request *http.Request) (*http.Response, error) {
	future, err := send(request)
	if err != nil {
		return nil, err
	}
	defer futureDrop(future)
	if err := newWaiter(request.Context(), futureSubscribe(future)).wait(); err != nil {
		return nil, err
	}
	response := ask(func() int32 {
		futureGet(future, result(0))
		if tag(16) != 0 {
			err = fmt.Errorf("no answer from %s (error %d of wasi:http)", request.URL.Host, tag(24))
			return 0
		}
		return handle(24)
	})
	if err != nil {
		return nil, err
	}
	defer answerDrop(response)
	status, header := int(answerStatus(response)), fields(answerHeaders(response))
	held := ask(func() int32 { answerConsume(response, result(0)); return handle(4) })
	body, err := open(held, request.Context())
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Header: header, Body: body,
		ContentLength: -1, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
	}, nil
}

func send(request *http.Request) (int32, error) {
	if request.Body != nil {
		defer request.Body.Close()
	}
	outgoing, err := outgoing(request)
	if err != nil {
		return 0, err
	}
	to := newSink(func(into unsafe.Pointer) { outgoingBody(outgoing, into) }, request.Context())
	future := ask(func() int32 {
		handleOutgoing(outgoing, 0, 0, result(0))
		if tag(0) != 0 {
			err = fmt.Errorf("%s cannot be asked (error %d of wasi:http)", request.URL.Host, tag(8))
			return 0
		}
		return handle(8)
	})
	if err != nil {
		to.drop()
		return 0, err
	}
	if request.Body != nil {
		// A server may respond without reading all of it.
		_, _ = io.Copy(to, request.Body)
	}
	if err := over(request.Context()); err != nil {
		to.drop()
		futureDrop(future)
		return 0, err
	}
	to.finish()
	return future, nil
}

func outgoing(request *http.Request) (int32, error) {
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
	return outgoing, nil
}
