// A daemon that may open nothing: what needs a descriptor says so, what needs none works, and it gets over it.
package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func testOutOfDescriptors(t *testing.T) {
	d := startLoadedDaemon(t, withoutContainerd)
	for i := 0; i < loadedChain; i++ {
		d.must(onlyError(d.prepare(fmt.Sprintf("before-%d", i), "")))
	}
	d.committed("base", "", nil)

	// The numbers that are in use are the lowest, but for a few that were given back.
	d.limitDescriptors(d.descriptors() - 1)
	prepared := expectClearRefusals(t, d)
	if newcomer, err := dialFor(d.socket, time.Second); err == nil {
		newcomer()
		t.Log("a new connection was accepted all the same")
	}

	d.limitDescriptors(1024)
	newcomer, err := dialFor(d.socket, deadlock)
	if err != nil {
		t.Fatalf("no new connection once there are descriptors: %v", err)
	}
	newcomer()
	s, cancel := d.within(deadlock)
	defer cancel()
	if err := everyCall(s, "afterwards"); err != nil {
		t.Fatal(err)
	}
	d.expectTidy(len(prepared) + loadedChain - 1 + 1)
}

// expectClearRefusals makes every call without descriptors. Names those that it could prepare.
func expectClearRefusals(t *testing.T, d *loadedDaemon) (prepared []string) {
	t.Helper()
	s, cancel := d.within(deadlock)
	defer cancel()
	refused := 0
	check := func(call string, err error, needsNone bool) bool {
		if err == nil {
			return true
		}
		refused++
		code, message := status.Code(err), status.Convert(err).Message()
		clear := code == codes.Unavailable || code == codes.ResourceExhausted
		if needsNone || !clear || !strings.Contains(message, "Too many open files") {
			t.Errorf("%s without descriptors: %s: %s", call, code, message)
		}
		return false
	}
	// More than are made ahead.
	for i := 0; i < 100; i++ {
		key := fmt.Sprintf("without-%d", i)
		if check("Prepare", onlyError(s.prepare(key, "base")), false) {
			prepared = append(prepared, key)
		}
	}
	if refused == 0 {
		t.Error("a hundred Prepares needed no descriptor: nothing is tried here")
	}
	_, err := s.stat("before-1")
	check("Stat", err, true)
	check("Mounts", onlyError(s.mounts("before-1")), true)
	_, err = s.update(infoWithLabel("before-1"), "labels.load")
	check("Update", err, true)
	_, err = s.list()
	check("List", err, true)
	check("Commit", s.commit("committed", "before-1"), true)
	check("View", onlyError(s.view("view", "base")), true)
	check("Remove of a view", s.remove("view"), true)
	check("Remove", s.remove("before-2"), true)
	check("Cleanup", s.cleanup(), true)
	_, err = s.usage("before-3")
	check("Usage", err, false)
	return prepared
}

// dialFor connects and makes a call.
func dialFor(socket string, limit time.Duration) (func(), error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	return func() { conn.Close() }, nil
}
