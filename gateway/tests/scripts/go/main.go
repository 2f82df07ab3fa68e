// An ordinary handler of net/http, run as CGI by Go's own library.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
)

func main() {
	http.HandleFunc("/cgi/echo", func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("Content-Type", request.Header.Get("Content-Type"))
		io.Copy(answer, request.Body)
	})
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("X-From", "net/http/cgi")
		answer.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(answer, "%s %s %s %s a=%s test=%s\n", request.Method, request.URL, request.Host, request.Proto,
			request.FormValue("a"), request.Header.Get("X-Test"))
	})
	if err := cgi.Serve(nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
