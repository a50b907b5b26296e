#include "registry/client/fake_http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "FakeHttpServer: %s: %s\n", what, std::strerror(errno));
  std::abort();
}

}  // namespace

bool FakeHttpServer::Connection::Send(const std::string& bytes) const {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

void FakeHttpServer::Connection::AwaitClose() const {
  char buffer[1024];
  while (recv(fd_, buffer, sizeof(buffer), 0) > 0) {
  }
}

FakeHttpServer::FakeHttpServer(const std::string& address, Handler handler)
    : FakeHttpServer(address, 0, std::move(handler)) {}

FakeHttpServer::FakeHttpServer(const std::string& address, int port, Handler handler) : handler_(std::move(handler)) {
  listener_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Require(listener_.valid(), "socket");
  const int yes = 1;
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in name = {};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  Require(inet_pton(AF_INET, address.c_str(), &name.sin_addr) == 1, "inet_pton");
  socklen_t size = sizeof(name);
  Require(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0, "bind");
  Require(listen(listener_.get(), 16) == 0, "listen");
  Require(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0, "getsockname");
  host_ = absl::StrCat(address, ":", ntohs(name.sin_port));
  acceptor_ = std::thread([this] { Accept(); });
}

FakeHttpServer::~FakeHttpServer() {
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    MutexLock lock(mutex_);
    for (const UniqueFd& connection : connections_) shutdown(connection.get(), SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::vector<std::string> FakeHttpServer::requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

void FakeHttpServer::Accept() {
  while (true) {
    UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.valid()) return;
    const int fd = connection.get();
    {
      MutexLock lock(mutex_);
      connections_.push_back(std::move(connection));
    }
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void FakeHttpServer::Serve(int fd) {
  std::string head;
  char buffer[1024];
  while (!absl::StrContains(head, "\r\n\r\n")) {
    const ssize_t count = recv(fd, buffer, sizeof(buffer), 0);
    if (count <= 0) break;
    head.append(buffer, static_cast<size_t>(count));
    // A TLS handshake begins with this byte and has no empty line.
    if (head[0] == '\x16') break;
  }
  const bool is_http = absl::StartsWith(head, "GET ");
  {
    MutexLock lock(mutex_);
    requests_.push_back(is_http ? head.substr(0, head.find("\r\n")) : "(not HTTP)");
  }
  if (is_http) {
    handler_(head, Connection(fd));
  } else {
    Connection(fd).Send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  }
  shutdown(fd, SHUT_RDWR);
}

std::string HttpAnswer(int status, const std::string& body, const std::vector<std::string>& headers) {
  std::string answer =
      absl::StrCat("HTTP/1.1 ", status, " x\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n");
  for (const std::string& header : headers) absl::StrAppend(&answer, header, "\r\n");
  return absl::StrCat(answer, "\r\n", body);
}

}  // namespace sluice
