package main

import (
	"net/http"

	"app/wasi"
)

func init() {
	wasi.Handler = NewApp(Dapr{URL: "http://localhost:3500", Client: http.DefaultClient})
}

// A component has no main: wasi.Handler is called for each request.
func main() {}
