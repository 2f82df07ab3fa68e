// Dapr's released scheduler, which keeps and fires the jobs of sidecars.
package main

import "github.com/dapr/dapr/cmd/scheduler/app"

func main() {
	app.Run()
}
