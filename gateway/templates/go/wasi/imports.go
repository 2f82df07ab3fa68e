//go:build wasip1

package wasi

import "unsafe"

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.method
func requestMethod(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.path-with-query
func requestPath(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.authority
func requestAuthority(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.headers
func requestHeaders(held int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.consume
func requestConsume(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]fields.entries
func fieldsEntries(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [static]fields.from-list
func fieldsFromList(entries unsafe.Pointer, length uint32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]fields
func fieldsDrop(held int32)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-body.stream
func bodyStream(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]incoming-body
func bodyDrop(held int32)

//go:wasmimport wasi:io/streams@0.2.10 [method]input-stream.read
func streamRead(held int32, most uint64, into unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]input-stream.subscribe
func inputSubscribe(held int32) int32

//go:wasmimport wasi:io/streams@0.2.10 [resource-drop]input-stream
func inputDrop(held int32)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.check-write
func streamRoom(held int32, into unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.write
func streamWrite(held int32, content unsafe.Pointer, length uint32, into unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.flush
func streamFlush(held int32, into unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.subscribe
func outputSubscribe(held int32) int32

//go:wasmimport wasi:io/streams@0.2.10 [resource-drop]output-stream
func outputDrop(held int32)

//go:wasmimport wasi:io/error@0.2.10 [resource-drop]error
func errorDrop(held int32)

//go:wasmimport wasi:http/types@0.2.10 [constructor]outgoing-response
func newResponse(fields int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-response.set-status-code
func responseStatus(held, status int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-response.body
func responseBody(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [static]response-outparam.set
func responseSet(out, isError, response, a int32, b int64, c, d, e, f int32)

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-body.write
func bodyWrite(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [static]outgoing-body.finish
func bodyFinish(held, hasTrailers, trailers int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]outgoing-body
func outgoingBodyDrop(held int32)

//go:wasmimport wasi:http/types@0.2.10 [constructor]outgoing-request
func newRequest(fields int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-method
func setMethod(held, kind int32, other unsafe.Pointer, length uint32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-path-with-query
func setPath(held, isSome int32, path unsafe.Pointer, length uint32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-scheme
func setScheme(held, isSome, kind int32, other unsafe.Pointer, length uint32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-authority
func setAuthority(held, isSome int32, authority unsafe.Pointer, length uint32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.body
func outgoingBody(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/outgoing-handler@0.2.10 handle
func handleOutgoing(request, hasOptions, options int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]future-incoming-response.subscribe
func futureSubscribe(held int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]future-incoming-response.get
func futureGet(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]future-incoming-response
func futureDrop(held int32)

//go:wasmimport wasi:io/poll@0.2.10 poll
func poll(all unsafe.Pointer, length uint32, into unsafe.Pointer)

//go:wasmimport wasi:clocks/monotonic-clock@0.2.10 subscribe-duration
func clockSubscribe(nanoseconds uint64) int32

//go:wasmimport wasi:io/poll@0.2.10 [resource-drop]pollable
func pollDrop(held int32)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-response.status
func answerStatus(held int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-response.headers
func answerHeaders(held int32) int32

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-response.consume
func answerConsume(held int32, into unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]incoming-response
func answerDrop(held int32)
