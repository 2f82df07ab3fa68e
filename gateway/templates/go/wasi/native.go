//go:build !wasip1

package wasi

import "net/http"

// Handler answers the requests.
var Handler http.Handler
