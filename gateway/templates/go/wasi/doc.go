// Package wasi is the way between net/http and the component's host, wasi:http 0.2, by the canonical ABI: requests that
// come are Handler's, and those that go leave by http.DefaultTransport. Natively there is a Handler and nothing else.
package wasi
