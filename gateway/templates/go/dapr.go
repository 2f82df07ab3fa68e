package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Dapr is state and events by Dapr's HTTP API, which the gateway answers: https://docs.dapr.io/reference/api/
type Dapr struct {
	URL    string
	Client *http.Client
}

func (dapr Dapr) call(method, path string, body any) (*http.Response, []byte, error) {
	var content []byte
	if body != nil {
		content, _ = json.Marshal(body)
	}
	request, err := http.NewRequest(method, dapr.URL+"/v1.0"+path, bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := dapr.Client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	// 409: somebody else was faster.
	if err == nil && reply.StatusCode >= 300 && reply.StatusCode != http.StatusConflict {
		err = fmt.Errorf("%s %s: %s: %s", method, path, reply.Status, text)
	}
	return reply, text, err
}

func (dapr Dapr) Publish(pubsub, topic string, data any) error {
	_, _, err := dapr.call("POST", "/publish/"+pubsub+"/"+topic, data)
	return err
}

// State is a store's values of one type.
type State[T any] struct {
	dapr  Dapr
	store string
}

func (state State[T]) read(key string) (*T, string, error) {
	reply, text, err := state.dapr.call("GET", "/state/"+state.store+"/"+url.PathEscape(key), nil)
	if err != nil || reply.StatusCode == http.StatusNoContent {
		return nil, "", err
	}
	value := new(T)
	return value, reply.Header.Get("ETag"), json.Unmarshal(text, value)
}

// With an ETag, only over the value that has it; with an empty one, only where there is none.
func (state State[T]) write(key string, value T, etag *string) (bool, error) {
	item := map[string]any{"key": key, "value": value}
	if etag != nil {
		item["etag"], item["options"] = *etag, map[string]string{"concurrency": "first-write"}
	}
	reply, _, err := state.dapr.call("POST", "/state/"+state.store, []any{item})
	return err == nil && reply.StatusCode < 300, err
}

// Get answers nil where there is none.
func (state State[T]) Get(key string) (*T, error) {
	value, _, err := state.read(key)
	return value, err
}

func (state State[T]) Save(key string, value T) error {
	_, err := state.write(key, value, nil)
	return err
}

// Create answers false if it is there already.
func (state State[T]) Create(key string, value T) (bool, error) {
	none := ""
	return state.write(key, value, &none)
}

// Update reads, changes and writes, and again if somebody else was faster; nil changes nothing.
func (state State[T]) Update(key string, change func(*T) *T) error {
	for {
		value, etag, err := state.read(key)
		if err != nil {
			return err
		}
		changed := change(value)
		if changed == nil {
			return nil
		}
		if isWritten, err := state.write(key, *changed, &etag); isWritten || err != nil {
			return err
		}
	}
}
