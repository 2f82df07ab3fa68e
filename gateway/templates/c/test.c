// The same function, called natively; an array answers in Dapr's place.

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/http.h"
#include "../src/json.h"

enum { MOST = 8 };
static struct {
    const char *key, *value;
} kept[MOST];
static const char *published;

struct reply http_send(const char *method, const char *authority, const char *path, const char *json) {
    assert(strcmp(authority, "localhost:3500") == 0);
    if (strncmp(path, "/v1.0/publish/pubsub/orders", 27) == 0) {
        published = strdup(json);
        return (struct reply){.status = 204};
    }
    const char *item = json ? strchr(json, '{') : "", *etag = json_text(json_member(item, "etag"));
    const char *key = json ? json_text(json_member(item, "key")) : strrchr(path, '/') + 1;
    int at = 0;
    while (kept[at].key && strcmp(kept[at].key, key) != 0)
        at++;
    if (strcmp(method, "GET") == 0)
        return kept[at].key ? (struct reply){.status = 200, .body = kept[at].value, .etag = "1"} : (struct reply){.status = 204};
    if (kept[at].key && etag && !etag[0])
        return (struct reply){.status = 409};
    kept[at].key = key;
    kept[at].value = json_member(item, "value");
    return (struct reply){.status = 204};
}

char *text(const char *format, ...) {
    va_list values;
    char made[4096];
    va_start(values, format);
    vsnprintf(made, sizeof made, format, values);
    va_end(values);
    return strdup(made);
}

static struct response call(const char *method, const char *path, const char *body) {
    struct request request = {.method = method, .path = path, .query = "", .body = body, .length = strlen(body)};
    struct response response = {.status = 200, .body = ""};
    handle(&request, &response);
    return response;
}

static void a_name_is_greeted(void) { assert(strcmp(call("GET", "/you", "").body, "Hello, you!\n") == 0); }

static void an_order_is_kept_published_and_ready_after_its_event(void) {
    assert(call("POST", "/orders", "{\"id\":\"7\",\"drink\":\"caf\\u00e9 \\\"latte\\\"\"}").status == 202);
    assert(published);
    assert(call("POST", "/dapr/events/orders", text("{\"id\":\"event\",\"data\":%s}", published)).status == 200);
    const char *order = call("GET", "/orders/7", "").body;
    assert(strcmp(json_text(json_member(order, "status")), "Ready") == 0);
    assert(strcmp(json_text(json_member(order, "drink")), "café \"latte\"") == 0);
}

static void the_same_order_is_not_taken_twice(void) {
    assert(call("POST", "/orders", "{ \"more\": [{\"id\": 1}, null], \"drink\": \"tea\", \"id\": \"8\" }").status == 202);
    assert(call("POST", "/orders", "{\"id\":\"8\",\"drink\":\"tea\"}").status == 409);
}

static void what_is_no_order_is_refused(void) {
    const char *bodies[] = {"", "latte", "{", "{\"id\":", "{\"id\":7,\"drink\":\"x\"}", "{\"id\":\"\\", "[\"id\"]", "{\"a\":{}"};
    for (size_t at = 0; at < sizeof bodies / sizeof *bodies; at++)
        assert(call("POST", "/orders", bodies[at]).status == 400);
}

int main(void) {
    a_name_is_greeted();
    an_order_is_kept_published_and_ready_after_its_event();
    the_same_order_is_not_taken_twice();
    what_is_no_order_is_refused();
    puts("4 passed, 0 failed");
    return 0;
}
