// An HTTP server that answers as a test wants: wrongly, slowly, or not at all.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"

namespace sluice {

// One thread a connection, one request a connection. Stops, and joins its threads, when destroyed.
class FakeHttpServer {
 public:
  // What a handler may do with the connection of a request.
  class Connection {
   public:
    explicit Connection(int fd) : fd_(fd) {}
    // False when the client has gone.
    bool Send(const std::string& bytes) const;
    // Returns when the client has closed the connection or the server is being destroyed.
    void AwaitClose() const;

   private:
    int fd_;
  };
  // `head` is the request up to its empty line, or the first bytes of whatever else came.
  using Handler = std::function<void(const std::string& head, const Connection& connection)>;

  // Listens on a free port of `address`, IPv4.
  FakeHttpServer(const std::string& address, Handler handler);
  // A given port, for addresses where the client will not be told another.
  FakeHttpServer(const std::string& address, int port, Handler handler);
  ~FakeHttpServer();
  FakeHttpServer(const FakeHttpServer&) = delete;
  FakeHttpServer& operator=(const FakeHttpServer&) = delete;

  // "127.0.0.1:40123"
  const std::string& host() const { return host_; }
  // The request lines so far, "GET /v2/… HTTP/1.1"; whatever was no HTTP shows as "(not HTTP)".
  std::vector<std::string> requests() const;

 private:
  void Accept();
  void Serve(int fd);

  const Handler handler_;
  UniqueFd listener_;
  std::string host_;
  mutable Mutex mutex_;
  std::vector<std::string> requests_ SLUICE_GUARDED_BY(mutex_);
  std::vector<UniqueFd> connections_ SLUICE_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;  // of the accepting thread's own
  std::thread acceptor_;
};

// A whole answer: status line, headers ("Name: value"), Content-Length, body.
std::string HttpAnswer(int status, const std::string& body, const std::vector<std::string>& headers = {});

}  // namespace sluice
