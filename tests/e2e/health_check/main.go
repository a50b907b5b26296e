// Asks gRPC's health service on a Unix socket, as grpc_health_probe does.
//
//	health_check SOCKET SERVICE...         a line for each: its status; a service that is not served is NOT_FOUND
//	health_check -watch SOCKET SERVICE     a line whenever it changes, until the server is gone
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func watch(client health.HealthClient, service string) error {
	stream, err := client.Watch(context.Background(), &health.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return nil
		}
		fmt.Println(answer.Status)
	}
}

func check(client health.HealthClient, services []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, service := range services {
		answer, err := client.Check(ctx, &health.HealthCheckRequest{Service: service})
		if status.Code(err).String() == "NotFound" {
			fmt.Println("NOT_FOUND")
			continue
		}
		if err != nil {
			return err
		}
		fmt.Println(answer.Status)
	}
	return nil
}

func run(arguments []string) error {
	watching := arguments[0] == "-watch"
	if watching {
		arguments = arguments[1:]
	}
	connection, err := grpc.Dial("unix:"+arguments[0], grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer connection.Close()
	client := health.NewHealthClient(connection)
	if watching {
		return watch(client, arguments[1])
	}
	return check(client, arguments[1:])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
