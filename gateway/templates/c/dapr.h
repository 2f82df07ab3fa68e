// State and events by Dapr's HTTP API, which the gateway answers: https://docs.dapr.io/reference/api/

#ifndef DAPR_H
#define DAPR_H

#include <stdbool.h>

enum saved { SAVED, CHANGED, FAILED }; // CHANGED: somebody else was faster

bool dapr_publish(const char *pubsub, const char *topic, const char *json);

// The value as JSON, or NULL; `etag`, if it is not NULL, is set to what dapr_save may be given.
const char *dapr_get(const char *store, const char *key, const char **etag);

// With an ETag, only over the value that has it; with an empty one, only where there is none; with NULL, over any.
enum saved dapr_save(const char *store, const char *key, const char *json, const char *etag);

#define dapr_create(store, key, json) dapr_save(store, key, json, "")

#endif
