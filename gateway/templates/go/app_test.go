package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A map in Dapr's place, and what was published.
type standIn struct {
	kept      map[string]json.RawMessage
	published []string
}

func (dapr *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.Split(r.URL.Path, "/")
	switch {
	case path[2] == "publish":
		dapr.published = append(dapr.published, string(body))
	case r.Method == "GET":
		if value, ok := dapr.kept[path[4]]; ok {
			w.Header().Set("ETag", "1")
			_, _ = w.Write(value)
			return
		}
	default:
		var items []struct {
			Key   string
			Value json.RawMessage
			Etag  *string
		}
		_ = json.Unmarshal(body, &items)
		if _, ok := dapr.kept[items[0].Key]; ok && items[0].Etag != nil && *items[0].Etag == "" {
			w.WriteHeader(http.StatusConflict)
			return
		}
		dapr.kept[items[0].Key] = items[0].Value
	}
	w.WriteHeader(http.StatusNoContent)
}

func call(t *testing.T) (*standIn, func(method, path, body string) *httptest.ResponseRecorder) {
	dapr := &standIn{kept: map[string]json.RawMessage{}}
	server := httptest.NewServer(dapr)
	t.Cleanup(server.Close)
	app := NewApp(Dapr{URL: server.URL, Client: server.Client()})
	return dapr, func(method, path, body string) *httptest.ResponseRecorder {
		reply := httptest.NewRecorder()
		app.ServeHTTP(reply, httptest.NewRequest(method, path, strings.NewReader(body)))
		return reply
	}
}

func TestANameIsGreeted(t *testing.T) {
	_, call := call(t)
	if text := call("GET", "/you", "").Body.String(); text != "Hello, you!\n" {
		t.Fatal(text)
	}
}

func TestAnOrderIsKeptPublishedAndReadyAfterItsEvent(t *testing.T) {
	dapr, call := call(t)
	if reply := call("POST", "/orders", `{"id":"7","drink":"latte"}`); reply.Code != 202 || len(dapr.published) != 1 {
		t.Fatal(reply.Code, reply.Body, dapr.published)
	}
	call("POST", "/dapr/events/orders", `{"data":`+dapr.published[0]+`}`)
	if text := call("GET", "/orders/7", "").Body.String(); !strings.Contains(text, "Ready") {
		t.Fatal(text)
	}
}

func TestTheSameOrderIsNotTakenTwice(t *testing.T) {
	_, call := call(t)
	for _, wanted := range []int{202, 409} {
		if reply := call("POST", "/orders", `{"id":"7","drink":"latte"}`); reply.Code != wanted {
			t.Fatal(reply.Code, reply.Body)
		}
	}
}

func TestWhatIsNoOrderIsRefused(t *testing.T) {
	_, call := call(t)
	if reply := call("POST", "/orders", "latte"); reply.Code != 400 {
		t.Fatal(reply.Code, reply.Body)
	}
}
