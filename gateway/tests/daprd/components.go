package main

import (
	"github.com/dapr/components-contrib/bindings/cron"
	httpbinding "github.com/dapr/components-contrib/bindings/http"
	"github.com/dapr/components-contrib/bindings/localstorage"
	redisconfiguration "github.com/dapr/components-contrib/configuration/redis"
	"github.com/dapr/components-contrib/conversation/echo"
	redislock "github.com/dapr/components-contrib/lock/redis"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	sqlitenames "github.com/dapr/components-contrib/nameresolution/sqlite"
	memorypubsub "github.com/dapr/components-contrib/pubsub/in-memory"
	redispubsub "github.com/dapr/components-contrib/pubsub/redis"
	envsecrets "github.com/dapr/components-contrib/secretstores/local/env"
	filesecrets "github.com/dapr/components-contrib/secretstores/local/file"
	memorystate "github.com/dapr/components-contrib/state/in-memory"
	postgresqlv1 "github.com/dapr/components-contrib/state/postgresql/v1"
	postgresqlv2 "github.com/dapr/components-contrib/state/postgresql/v2"
	redisstate "github.com/dapr/components-contrib/state/redis"
	sqlitestate "github.com/dapr/components-contrib/state/sqlite"

	"github.com/dapr/dapr/pkg/components"
	bindings "github.com/dapr/dapr/pkg/components/bindings"
	configuration "github.com/dapr/dapr/pkg/components/configuration"
	conversation "github.com/dapr/dapr/pkg/components/conversation"
	crypto "github.com/dapr/dapr/pkg/components/crypto"
	lock "github.com/dapr/dapr/pkg/components/lock"
	middleware "github.com/dapr/dapr/pkg/components/middleware/http"
	nameresolution "github.com/dapr/dapr/pkg/components/nameresolution"
	pubsub "github.com/dapr/dapr/pkg/components/pubsub"
	secretstores "github.com/dapr/dapr/pkg/components/secretstores"
	state "github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/kit/logger"
)

// What a component's type may be, under the names and versions that a released daprd knows them by.
func componentTypes() *registry.Options {
	// A component is handed its registry's logger; without one the first that logs dereferences nil.
	log := logger.NewLogger("dapr.contrib")
	secretstores.DefaultRegistry.Logger = log
	state.DefaultRegistry.Logger = log
	configuration.DefaultRegistry.Logger = log
	lock.DefaultRegistry.Logger = log
	pubsub.DefaultRegistry.Logger = log
	nameresolution.DefaultRegistry.Logger = log
	bindings.DefaultRegistry.Logger = log
	conversation.DefaultRegistry.Logger = log
	crypto.DefaultRegistry.Logger = log
	middleware.DefaultRegistry.Logger = log

	state.DefaultRegistry.RegisterComponent(memorystate.NewInMemoryStateStore, "in-memory")
	state.DefaultRegistry.RegisterComponent(sqlitestate.NewSQLiteStateStore, "sqlite", "sqlite3")
	state.DefaultRegistry.RegisterComponent(redisstate.NewRedisStateStore, "redis")
	for _, name := range []string{"postgres", "postgresql"} {
		state.DefaultRegistry.RegisterComponentWithVersions(name, components.Versioning{
			Preferred: components.VersionConstructor{Version: "v2", Constructor: postgresqlv2.NewPostgreSQLStateStore},
			Others:    []components.VersionConstructor{{Version: "v1", Constructor: postgresqlv1.NewPostgreSQLStateStore}},
			Default:   "v1",
		})
	}
	pubsub.DefaultRegistry.RegisterComponent(memorypubsub.New, "in-memory")
	pubsub.DefaultRegistry.RegisterComponent(redispubsub.NewRedisStreams, "redis")
	secretstores.DefaultRegistry.RegisterComponent(filesecrets.NewLocalSecretStore, "local.file")
	secretstores.DefaultRegistry.RegisterComponent(envsecrets.NewEnvSecretStore, "local.env")
	configuration.DefaultRegistry.RegisterComponent(redisconfiguration.NewRedisConfigurationStore, "redis")
	lock.DefaultRegistry.RegisterComponent(redislock.NewStandaloneRedisLock, "redis")
	nameresolution.DefaultRegistry.RegisterComponent(mdns.NewResolver, "mdns")
	nameresolution.DefaultRegistry.RegisterComponent(sqlitenames.NewResolver, "sqlite")
	bindings.DefaultRegistry.RegisterInputBinding(cron.NewCron, "cron")
	bindings.DefaultRegistry.RegisterOutputBinding(httpbinding.NewHTTP, "http")
	bindings.DefaultRegistry.RegisterOutputBinding(localstorage.NewLocalStorage, "localstorage")
	conversation.DefaultRegistry.RegisterComponent(echo.NewEcho, "echo")

	return registry.NewOptions().
		WithSecretStores(secretstores.DefaultRegistry).
		WithStateStores(state.DefaultRegistry).
		WithConfigurations(configuration.DefaultRegistry).
		WithLocks(lock.DefaultRegistry).
		WithPubSubs(pubsub.DefaultRegistry).
		WithNameResolutions(nameresolution.DefaultRegistry).
		WithBindings(bindings.DefaultRegistry).
		WithConversations(conversation.DefaultRegistry).
		WithCryptoProviders(crypto.DefaultRegistry).
		WithHTTPMiddlewares(middleware.DefaultRegistry)
}
