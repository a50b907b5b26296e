#include "registry/client/fault_server.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "FaultServer: %s: %s\n", what, std::strerror(errno));
  std::abort();
}

// The value of a header of `head`, "" without it.
std::string HeaderOf(const std::string& head, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const size_t colon = line.find(':');
    if (colon != line.npos && absl::EqualsIgnoreCase(line.substr(0, colon), name)) {
      return std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
  }
  return "";
}

struct Part {
  size_t first;
  size_t end;
};

// "500-999", "500-" of `size` bytes; unset if there are none of these.
std::optional<Part> PartOf(const std::string& range, size_t size) {
  const std::vector<std::string> ends = absl::StrSplit(range, '-');
  Part part = {0, size};
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &part.first)) return std::nullopt;
  if (!ends[1].empty() && (!absl::SimpleAtoi(ends[1], &part.end) || ++part.end > size)) part.end = size;
  return part.first < part.end ? std::optional<Part>(part) : std::nullopt;
}

std::string InChunks(const std::string& body) {
  std::string chunks;
  constexpr size_t kChunk = 1000;
  for (size_t i = 0; i < body.size(); i += kChunk) {
    const std::string chunk = body.substr(i, kChunk);
    absl::StrAppend(&chunks, absl::Hex(chunk.size()), "\r\n", chunk, "\r\n");
  }
  return chunks;
}

}  // namespace

Reply Reply::Status(int status, const std::string& body) {
  Reply reply;
  reply.status = status;
  reply.body = body;
  return reply;
}

Reply Reply::Redirect(const std::string& location, int status) {
  return Status(status).Header(absl::StrCat("Location: ", location));
}

Reply Reply::Header(const std::string& header) const {
  Reply reply = *this;
  reply.headers.push_back(header);
  return reply;
}
Reply Reply::CutHead(int64_t bytes, Ending how) const {
  Reply reply = End(how);
  reply.cut_head = bytes;
  return reply;
}
Reply Reply::Cut(int64_t bytes, Ending how) const {
  Reply reply = End(how);
  reply.cut = bytes;
  return reply;
}
Reply Reply::End(Ending how) const {
  Reply reply = *this;
  reply.ending = how;
  return reply;
}
Reply Reply::Chunked() const {
  Reply reply = *this;
  reply.chunked = true;
  return reply;
}
Reply Reply::Unframed() const {
  Reply reply = *this;
  reply.unframed = true;
  return reply;
}
Reply Reply::Http10() const {
  Reply reply = *this;
  reply.http10 = true;
  return reply;
}
Reply Reply::IgnoringRanges() const {
  Reply reply = *this;
  reply.ignore_range = true;
  return reply;
}
Reply Reply::SayingRange(const std::string& range) const {
  Reply reply = *this;
  reply.content_range = range;
  return reply;
}
Reply Reply::Body(const std::string& other) const {
  Reply reply = *this;
  reply.body = other;
  return reply;
}
Reply Reply::After(const std::string& text) const {
  Reply reply = *this;
  reply.preface = text;
  return reply;
}
Reply Reply::Dripping(std::chrono::milliseconds between) const {
  Reply reply = *this;
  reply.drip = between;
  return reply;
}

// A socket, with TLS on it or without.
class FaultServer::Connection {
 public:
  Connection(int fd, SSL_CTX* context) : fd_(fd), ssl_(context == nullptr ? nullptr : SSL_new(context)) {
    if (ssl_ != nullptr) SSL_set_fd(ssl_, fd_);
    const int yes = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }
  ~Connection() { SSL_free(ssl_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Handshake() { return ssl_ == nullptr || SSL_accept(ssl_) == 1; }

  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const auto count = ssl_ == nullptr ? send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                                         : SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  // Some bytes, "" at the end.
  std::string Receive() {
    char buffer[4096];
    const auto count = ssl_ == nullptr ? recv(fd_, buffer, sizeof(buffer), 0) : SSL_read(ssl_, buffer, sizeof(buffer));
    return count <= 0 ? "" : std::string(buffer, static_cast<size_t>(count));
  }

  bool HasClientCertificate() const {
    return ssl_ != nullptr && std::unique_ptr<X509, decltype(&X509_free)>(SSL_get1_peer_certificate(ssl_), &X509_free);
  }

  void End(Ending ending) {
    if (ending == Ending::kHang) {
      while (!Receive().empty()) {
      }
    }
    if (ending == Ending::kReset) {
      // What was sent has to arrive first: a reset overtakes it otherwise.
      int unsent = 1;
      while (ioctl(fd_, SIOCOUTQ, &unsent) == 0 && unsent > 0) std::this_thread::yield();
      // Closing is the owner's; connecting to nowhere resets just as well.
      const sockaddr nowhere = {AF_UNSPEC, {}};
      connect(fd_, &nowhere, sizeof(nowhere));
      return;
    }
    shutdown(fd_, SHUT_RDWR);
  }

  // What has come beyond the request that is being answered.
  std::string pending;

 private:
  const int fd_;
  SSL* const ssl_;
};

FaultServer::FaultServer(const std::string& address, std::string blob, const TlsIdentity* tls)
    : blob_(std::move(blob)) {
  if (tls != nullptr) {
    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
    tls_context_ = std::shared_ptr<void>(context, [](void* p) { SSL_CTX_free(static_cast<SSL_CTX*>(p)); });
    // Asked for, and whatever comes is good.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    const unsigned char session_context = 1;
    SSL_CTX_set_session_id_context(context, &session_context, 1);
    Require(SSL_CTX_use_certificate_chain_file(context, tls->certificate_file.c_str()) == 1, "certificate");
    Require(SSL_CTX_use_PrivateKey_file(context, tls->key_file.c_str(), SSL_FILETYPE_PEM) == 1, "key");
  }
  listener_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Require(listener_.valid(), "socket");
  sockaddr_in name = {};
  name.sin_family = AF_INET;
  Require(inet_pton(AF_INET, address.c_str(), &name.sin_addr) == 1, "inet_pton");
  socklen_t size = sizeof(name);
  Require(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0, "bind");
  Require(listen(listener_.get(), 64) == 0, "listen");
  Require(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0, "getsockname");
  host_ = absl::StrCat(address, ":", ntohs(name.sin_port));
  acceptor_ = std::thread([this] { Accept(); });
}

FaultServer::~FaultServer() {
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    MutexLock lock(mutex_);
    for (const UniqueFd& connection : connections_) shutdown(connection.get(), SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

void FaultServer::Script(std::vector<Reply> replies) {
  MutexLock lock(mutex_);
  replies_ = std::move(replies);
  next_ = 0;
}

void FaultServer::OnRequest(std::function<void(const SeenRequest&)> observer) {
  MutexLock lock(mutex_);
  observer_ = std::move(observer);
}

std::vector<SeenRequest> FaultServer::requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

void FaultServer::Accept() {
  for (int number = 1;; ++number) {
    UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.valid()) return;
    const int fd = connection.get();
    {
      MutexLock lock(mutex_);
      connections_.push_back(std::move(connection));
    }
    threads_.emplace_back([this, fd, number] { Serve(fd, number); });
  }
}

void FaultServer::Serve(int fd, int number) {
  Connection connection(fd, static_cast<SSL_CTX*>(tls_context_.get()));
  if (!connection.Handshake()) {
    connection.End(Ending::kClose);
    return;
  }
  while (AnswerOne(connection, number)) {
  }
}

bool FaultServer::AnswerOne(Connection& connection, int number) {
  const auto receive_until = [&connection](const auto& enough) {
    while (!enough()) {
      const std::string bytes = connection.Receive();
      if (bytes.empty()) return false;
      connection.pending += bytes;
    }
    return true;
  };
  size_t end = 0;
  const auto is_http = [&connection] { return connection.pending[0] == 'G' || connection.pending[0] == 'P'; };
  const bool has_head = receive_until([&] {
    end = connection.pending.find("\r\n\r\n");
    return end != std::string::npos || (!connection.pending.empty() && !is_http());
  });
  if (!has_head || !is_http()) {
    connection.End(Ending::kClose);
    return false;
  }
  SeenRequest request;
  request.head = connection.pending.substr(0, end);
  connection.pending.erase(0, end + 4);
  size_t form_bytes = 0;
  if (absl::SimpleAtoi(HeaderOf(request.head, "content-length"), &form_bytes)) {
    receive_until([&] { return connection.pending.size() >= form_bytes; });
    request.form = connection.pending.substr(0, form_bytes);
    connection.pending.erase(0, form_bytes);
  }
  request.line = request.head.substr(0, request.head.find("\r\n"));
  request.range = std::string(absl::StripPrefix(HeaderOf(request.head, "range"), "bytes="));
  request.authorization = HeaderOf(request.head, "authorization");
  request.client_certificate = connection.HasClientCertificate();
  request.connection = number;

  std::function<void(const SeenRequest&)> observer;
  {
    MutexLock lock(mutex_);
    observer = observer_;
  }
  if (observer) observer(request);
  Reply reply;
  size_t index = 0;
  {
    MutexLock lock(mutex_);
    if (!replies_.empty()) reply = replies_[std::min(next_++, replies_.size() - 1)];
    index = requests_.size();
    requests_.push_back(request);
  }
  const bool sent = Send(connection, reply, request.range, index);
  if (sent && reply.ending == Ending::kKeepAlive) return true;
  connection.End(sent ? reply.ending : Ending::kClose);
  return false;
}

bool FaultServer::Send(Connection& connection, const Reply& reply, const std::string& range, size_t index) {
  std::string body = reply.body.value_or(blob_);
  int status = reply.status.value_or(200);
  std::string content_range;
  if (!reply.status.has_value() && !range.empty() && !reply.ignore_range) {
    const std::optional<Part> part = PartOf(range, body.size());
    status = part.has_value() ? 206 : 416;
    content_range = absl::StrCat("bytes */", body.size());
    if (part.has_value()) {
      content_range = absl::StrCat("bytes ", part->first, "-", part->end - 1, "/", body.size());
    }
    body = part.has_value() ? body.substr(part->first, part->end - part->first) : "";
  }
  std::string head = absl::StrCat(reply.preface, reply.http10 ? "HTTP/1.0 " : "HTTP/1.1 ", status, " x\r\n");
  for (const std::string& header : reply.headers) absl::StrAppend(&head, header, "\r\n");
  if (!content_range.empty()) {
    absl::StrAppend(&head, "Content-Range: ", reply.content_range.value_or(content_range), "\r\n");
  }
  if (reply.chunked) {
    absl::StrAppend(&head, "Transfer-Encoding: chunked\r\n");
  } else if (!reply.unframed) {
    absl::StrAppend(&head, "Content-Length: ", body.size(), "\r\n");
  }
  absl::StrAppend(&head, "\r\n");
  if (reply.cut_head.has_value()) return connection.Send(head.substr(0, static_cast<size_t>(*reply.cut_head)));
  if (reply.cut.has_value()) body.resize(std::min(body.size(), static_cast<size_t>(*reply.cut)));
  {
    MutexLock lock(mutex_);
    requests_[index].body_bytes = static_cast<int64_t>(body.size());
  }
  if (!connection.Send(head)) return false;
  if (reply.drip.count() > 0) {
    for (const char c : body) {
      if (!connection.Send(absl::string_view(&c, 1))) return false;
      std::this_thread::sleep_for(reply.drip);
    }
    return true;
  }
  const std::string tail = reply.chunked && !reply.cut.has_value() ? "0\r\n\r\n" : "";
  return connection.Send(reply.chunked ? InChunks(body) + tail : body);
}

}  // namespace sluice
