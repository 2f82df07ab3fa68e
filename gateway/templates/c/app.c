// The package. Each request runs it in a fresh instance: what is to last goes into a store.

#include <stdio.h>
#include <string.h>

#include "dapr.h"
#include "http.h"
#include "json.h"

static const char STORE[] = "statestore";

static void answer(struct response *response, int status, const char *json) {
    *response = (struct response){.status = status, .type = "application/json", .body = json};
}

static const char *order(const char *id, const char *drink, const char *status) {
    return text("{\"id\":%s,\"drink\":%s,\"status\":\"%s\"}", json_quoted(id), json_quoted(drink), status);
}

// Keeps a new order and tells whoever brews.
static void place(const struct request *request, struct response *response) {
    const char *id = json_text(json_member(request->body, "id"));
    const char *drink = json_text(json_member(request->body, "drink"));
    if (!id || !drink) {
        answer(response, 400, "{\"error\":\"an order has an id and a drink\"}");
        return;
    }
    const char *placed = order(id, drink, "Placed");
    switch (dapr_create(STORE, id, placed)) {
    case SAVED:
        break;
    case CHANGED:
        answer(response, 409, "{\"error\":\"there is such an order already\"}");
        return;
    case FAILED:
        answer(response, 500, "{\"error\":\"the order cannot be kept\"}");
        return;
    }
    if (!dapr_publish("pubsub", "orders", placed)) {
        answer(response, 500, "{\"error\":\"the order cannot be published\"}");
        return;
    }
    answer(response, 202, placed);
}

static void show(const char *id, struct response *response) {
    const char *kept = dapr_get(STORE, id, NULL);
    if (kept)
        answer(response, 200, kept);
    else
        answer(response, 404, "{\"error\":\"there is no such order\"}");
}

// Another status than 200 is tried again, and then goes to `orders-dead`; the same event may come twice.
static void brew(const struct request *request, struct response *response) {
    const char *id = json_text(json_member(json_member(request->body, "data"), "id"));
    enum saved saved = id ? CHANGED : FAILED;
    while (saved == CHANGED) {
        const char *etag, *kept = dapr_get(STORE, id, &etag);
        if (!kept)
            break;
        const char *drink = json_text(json_member(kept, "drink"));
        saved = dapr_save(STORE, id, order(id, drink ? drink : "", "Ready"), etag);
    }
    if (saved == FAILED)
        answer(response, 500, "{\"error\":\"the order cannot be brewed\"}");
    else
        answer(response, 200, "{\"status\":\"SUCCESS\"}");
}

void handle(const struct request *request, struct response *response) {
    bool is_get = strcmp(request->method, "GET") == 0, is_post = strcmp(request->method, "POST") == 0;
    const char *path = request->path;
    if (is_get && strcmp(path, "/dapr/subscribe") == 0)
        // What the package wants to be told of, and where: paths below /dapr are closed from outside.
        answer(response, 200,
               "[{\"pubsubname\":\"pubsub\",\"topic\":\"orders\",\"route\":\"/dapr/events/orders\","
               "\"deadLetterTopic\":\"orders-dead\"}]");
    else if (is_post && strcmp(path, "/dapr/events/orders") == 0)
        brew(request, response);
    else if (is_post && strcmp(path, "/orders") == 0)
        place(request, response);
    else if (is_get && strncmp(path, "/orders/", 8) == 0)
        show(path + 8, response);
    else if (is_get && strchr(path + 1, '/') == NULL)
        response->body = text("Hello, %s!\n", path + 1);
    else
        answer(response, 404, "{\"error\":\"there is no such page\"}");
}
