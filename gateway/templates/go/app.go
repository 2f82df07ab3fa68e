// The package: a handler of net/http. Each request runs it in a fresh instance: what is to last goes into a store.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

type Order struct {
	ID     string `json:"id"`
	Drink  string `json:"drink"`
	Status string `json:"status"`
}

type App struct {
	dapr   Dapr
	orders State[Order]
}

func NewApp(dapr Dapr) http.Handler {
	app := App{dapr: dapr, orders: State[Order]{dapr, "statestore"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}", app.greet)
	mux.HandleFunc("POST /orders", app.place)
	mux.HandleFunc("GET /orders/{id}", app.show)
	mux.HandleFunc("GET /dapr/subscribe", app.subscriptions)
	mux.HandleFunc("POST /dapr/events/orders", app.brew)
	return mux
}

func (app App) greet(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
}

// Keeps a new order and tells whoever brews.
func (app App) place(w http.ResponseWriter, r *http.Request) {
	var order Order
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil || order.ID == "" || order.Drink == "" {
		http.Error(w, "an order has an id and a drink", http.StatusBadRequest)
		return
	}
	order.Status = "Placed"
	isNew, err := app.orders.Create(order.ID, order)
	if err == nil && !isNew {
		http.Error(w, "there is such an order already", http.StatusConflict)
		return
	}
	if err == nil {
		err = app.dapr.Publish("pubsub", "orders", order)
	}
	reply(w, http.StatusAccepted, order, err)
}

func (app App) show(w http.ResponseWriter, r *http.Request) {
	order, err := app.orders.Get(r.PathValue("id"))
	if err == nil && order == nil {
		http.Error(w, "there is no such order", http.StatusNotFound)
		return
	}
	reply(w, http.StatusOK, order, err)
}

// What the package wants to be told of, and where: paths below /dapr are closed from outside.
func (app App) subscriptions(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, []map[string]string{{
		"pubsubname": "pubsub", "topic": "orders", "route": "/dapr/events/orders", "deadLetterTopic": "orders-dead",
	}}, nil)
}

// An error is tried again, and then goes to `orders-dead`; the same event may come twice.
func (app App) brew(w http.ResponseWriter, r *http.Request) {
	var event struct{ Data Order }
	err := json.NewDecoder(r.Body).Decode(&event)
	if err == nil {
		err = app.orders.Update(event.Data.ID, func(order *Order) *Order {
			if order != nil {
				order.Status = "Ready"
			}
			return order
		})
	}
	reply(w, http.StatusOK, map[string]string{"status": "SUCCESS"}, err)
}

func reply(w http.ResponseWriter, status int, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
